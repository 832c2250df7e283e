//! `/api/docs`: the OpenAPI document as a page, without scripts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::{POLICY, html};
use crate::assets::{ASSETS, AssetPaths};

/// The OpenAPI document, as it is served.
pub(crate) const OPENAPI: &str = include_str!("../../../../docs/openapi.json");
/// Methods in the order in which a path lists them.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// Groups of endpoints, in their order on the page.
const GROUPS: [(&str, &str); 5] = [
    ("links", "Links"),
    ("clicks", "Clicks and reports"),
    ("domains", "Domains"),
    ("access", "API keys and the audit log"),
    ("edges", "Edges"),
];

static REFERENCE: LazyLock<Reference> = LazyLock::new(|| {
    let document = serde_json::from_str(OPENAPI).expect("a test has read the document");
    Reference::of(&document)
});

/// What the page shows.
struct Reference {
    groups: Vec<Group>,
    types: Vec<Type>,
}

struct Group {
    title: &'static str,
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: String,
    parameters: Vec<Field>,
    /// The type of the body, and an example.
    body: Option<(TypeName, String)>,
    answers: Vec<Answer>,
}

struct Answer {
    status: String,
    description: String,
    content: TypeName,
}

/// A field of a type, or a parameter.
struct Field {
    name: String,
    is_required: bool,
    type_name: TypeName,
    description: String,
}

struct Type {
    name: String,
    description: String,
    fields: Vec<Field>,
    values: String,
}

/// The name of a type, and the one in it that has a place on the page.
#[derive(Default)]
struct TypeName {
    text: String,
    link: Option<String>,
}

#[derive(Template)]
#[template(path = "reference.html")]
struct ReferencePage {
    assets: &'static AssetPaths,
    reference: &'static Reference,
}

/// The page.
pub(crate) fn reference() -> Response {
    html(StatusCode::OK, &ReferencePage { assets: &ASSETS, reference: &REFERENCE }, POLICY)
}

impl Reference {
    fn of(document: &Value) -> Self {
        let mut by_group: BTreeMap<&str, Vec<Endpoint>> = BTreeMap::new();
        for (path, methods) in entries(&document["paths"]) {
            for method in METHODS {
                let Some(operation) = methods.get(method) else { continue };
                let group = operation["tags"][0].as_str().unwrap_or_default();
                by_group.entry(group).or_default().push(Endpoint::of(document, method, path, operation));
            }
        }
        let groups = GROUPS
            .into_iter()
            .map(|(name, title)| Group { title, endpoints: by_group.remove(name).unwrap_or_default() });
        let types = entries(&document["components"]["schemas"]).map(|(name, schema)| Type::of(name, schema));
        Self { groups: groups.collect(), types: types.collect() }
    }
}

impl Endpoint {
    fn of(document: &Value, method: &str, path: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| resolve(document, parameter)).map(|parameter| Field {
            name: text(&parameter["name"]),
            is_required: parameter["required"] == true,
            type_name: TypeName::of(&parameter["schema"]),
            description: text(&parameter["description"]),
        });
        let body = entries(&operation["requestBody"]["content"]).next().map(|(media_type, content)| {
            let example = content.get("example").map(|example| format!("{example:#}")).unwrap_or_default();
            (TypeName::of_content(media_type, content), example)
        });
        let answers = entries(&operation["responses"]).map(|(status, answer)| {
            let answer = resolve(document, answer);
            let content = entries(&answer["content"]).next();
            Answer {
                status: status.clone(),
                description: text(&answer["description"]),
                content: content
                    .map(|(media_type, content)| TypeName::of_content(media_type, content))
                    .unwrap_or_default(),
            }
        });
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            description: text(&operation["description"]).replace('`', ""),
            parameters: parameters.collect(),
            body,
            answers: answers.collect(),
        }
    }
}

impl Type {
    fn of(name: &str, schema: &Value) -> Self {
        let required =
            |field: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == field));
        let fields = entries(&schema["properties"]).map(|(field, schema)| Field {
            name: field.clone(),
            is_required: required(field),
            type_name: TypeName::of(schema),
            description: text(&schema["description"]).replace('`', ""),
        });
        let variants = ["oneOf", "anyOf"].iter().flat_map(|list| schema[*list].as_array().into_iter().flatten());
        let variants: Vec<String> = variants.map(|variant| TypeName::of(variant).text).collect();
        let values = match schema["enum"].as_array() {
            Some(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            None if variants.is_empty() => schema["pattern"].as_str().unwrap_or_default().to_owned(),
            None => variants.join(", or "),
        };
        Self {
            name: name.to_owned(),
            description: text(&schema["description"]).replace('`', ""),
            fields: fields.collect(),
            values,
        }
    }
}

impl TypeName {
    fn of_content(media_type: &str, content: &Value) -> Self {
        match media_type {
            "application/json" | "application/problem+json" => Self::of(&content["schema"]),
            _ => Self { text: media_type.to_owned(), link: None },
        }
    }

    fn of(schema: &Value) -> Self {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            return Self { text: name.to_owned(), link: Some(name.to_owned()) };
        }
        if let Some(first) = ["anyOf", "oneOf", "allOf"].iter().find_map(|list| schema[*list].as_array()?.first()) {
            return Self::of(first);
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            return Self { text: values.join(", "), link: None };
        }
        if let Some(constant) = schema["const"].as_str() {
            return Self { text: constant.to_owned(), link: None };
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.first().and_then(Value::as_str),
            kind => kind.as_str(),
        };
        match kind {
            Some("array") => {
                let item = Self::of(&schema["items"]);
                Self { text: format!("list of {}", item.text), link: item.link }
            }
            Some(kind) => Self { text: schema["format"].as_str().unwrap_or(kind).to_owned(), link: None },
            None => Self { text: "any".to_owned(), link: None },
        }
    }
}

/// What a reference leads to; anything else stays itself.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let target = value["$ref"].as_str().and_then(|reference| document.pointer(reference.trim_start_matches('#')));
    target.unwrap_or(value)
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
