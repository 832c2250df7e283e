//! How the OpenAPI 3.1 document is put together.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use waypost_api::{ProblemCode, ProblemDocument};
use waypost_control::{Operation, Reach};

/// Where schemas stand in the document.
const SCHEMAS: &str = "/components/schemas";

/// Writes the schema of a type with a generator.
type Schema = fn(&mut SchemaGenerator) -> schemars::Schema;

/// One method of one path.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    id: &'static str,
    pub(crate) operation: Operation,
    summary: &'static str,
    about: &'static str,
    takes_if_match: bool,
    pub(crate) parameters: Vec<Parameter>,
    body: Option<Body>,
    answer: Option<Answer>,
    refusals: &'static [u16],
}

/// A parameter of a query.
#[derive(Clone)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    about: &'static str,
    schema: Value,
}

/// The JSON of a request.
#[derive(Clone)]
pub(crate) struct Body {
    media_type: &'static str,
    schema: Result<Schema, Value>,
    example: Value,
}

/// What an endpoint answers if all is well.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    about: &'static str,
    content: Option<(&'static str, Result<Schema, Value>)>,
    /// Further media types, by `format` or `Accept`.
    others: &'static [&'static str],
    is_tagged: bool,
}

pub(crate) fn query(name: &'static str, about: &'static str, schema: Value) -> Parameter {
    Parameter { name, about, schema }
}

pub(crate) fn text(name: &'static str, about: &'static str) -> Parameter {
    query(name, about, json!({ "type": "string" }))
}

pub(crate) fn integer(name: &'static str, about: &'static str, min: u64, max: u64) -> Parameter {
    query(
        name,
        about,
        match max {
            u64::MAX => json!({ "type": "integer", "minimum": min }),
            _ => json!({ "type": "integer", "minimum": min, "maximum": max }),
        },
    )
}

impl Body {
    pub(crate) fn json<T: JsonSchema>(example: Value) -> Self {
        Self { media_type: "application/json", schema: Ok(SchemaGenerator::subschema_for::<T>), example }
    }

    pub(crate) const fn of_value(schema: Value, example: Value) -> Self {
        Self { media_type: "application/json", schema: Err(schema), example }
    }

    /// A file.
    pub(crate) const fn file(media_type: &'static str) -> Self {
        Self { media_type, schema: Err(Value::Bool(true)), example: Value::Null }
    }
}

impl Answer {
    pub(crate) fn json<T: JsonSchema>(about: &'static str) -> Self {
        let schema: Schema = SchemaGenerator::subschema_for::<T>;
        Self { status: 200, about, content: Some(("application/json", Ok(schema))), others: &[], is_tagged: false }
    }

    pub(crate) const fn of_value(about: &'static str, schema: Value) -> Self {
        Self { status: 200, about, content: Some(("application/json", Err(schema))), others: &[], is_tagged: false }
    }

    pub(crate) fn stream(media_type: &'static str, about: &'static str) -> Self {
        let schema = Err(json!({ "type": "string" }));
        Self { status: 200, about, content: Some((media_type, schema)), others: &[], is_tagged: false }
    }

    pub(crate) const fn empty(about: &'static str) -> Self {
        Self { status: 204, about, content: None, others: &[], is_tagged: false }
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// An image, and other kinds that `format` may ask for.
    pub(crate) fn image(about: &'static str) -> Self {
        Self { others: &["image/svg+xml", "text/plain"], ..Self::stream("image/png", about) }
    }

    /// Also as text/csv and NDJSON, by `format` or `Accept`.
    pub(crate) fn or_csv(self) -> Self {
        Self { others: &["text/csv", "application/x-ndjson"], ..self }
    }

    /// With the version as its `ETag`.
    pub(crate) fn tagged(self) -> Self {
        Self { is_tagged: true, ..self }
    }
}

macro_rules! methods {
    ($($name:ident $method:literal),+) => {
        impl Endpoint {
            $(pub(crate) fn $name(path: &'static str, id: &'static str, operation: Operation, summary: &'static str) -> Self {
                Self::new($method, path, id, (operation, summary))
            })+
        }
    };
}
methods!(get "GET", post "POST", put "PUT", patch "PATCH", delete "DELETE");

impl Endpoint {
    fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        (operation, summary): (Operation, &'static str),
    ) -> Self {
        Self {
            method,
            path,
            id,
            operation,
            summary,
            about: "",
            takes_if_match: false,
            parameters: Vec::new(),
            body: None,
            answer: None,
            refusals: &[],
        }
    }

    pub(crate) fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    pub(crate) fn if_match(self) -> Self {
        Self { takes_if_match: true, ..self }
    }

    pub(crate) fn taking<const N: usize>(mut self, parameters: [Parameter; N]) -> Self {
        self.parameters.extend(parameters);
        self
    }

    pub(crate) fn with_body(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(crate) fn answering(self, answer: Answer) -> Self {
        Self { answer: Some(answer), ..self }
    }

    pub(crate) fn refusing(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }

    /// The statuses of problems that it may answer with.
    fn problems(&self) -> Vec<u16> {
        // A key that is missing, one that may not, too many requests, and a database that is away.
        let mut statuses = vec![400, 401, 403, 429, 500, 503];
        statuses.extend(self.refusals);
        if self.method == "POST" {
            statuses.push(409);
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }

    fn write(&self, schemas: &mut Schemas) -> Value {
        let mut written = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [tag_of(self.path)],
            "security": [{ "api_key": [] }, { "api_key_header": [] }],
            "parameters": self.write_parameters(),
            "responses": self.write_responses(schemas),
        });
        written["description"] = Value::String(self.describe());
        if let Some(body) = &self.body {
            let schema = schemas.of(&body.schema, Direction::Asked);
            let mut content = json!({ body.media_type: { "schema": schema } });
            if !body.example.is_null() {
                content[body.media_type]["example"] = body.example.clone();
            }
            written["requestBody"] = json!({ "required": true, "content": content });
        }
        written
    }

    fn describe(&self) -> String {
        let takes = self.operation.requirement();
        let who = match takes.reach {
            Reach::Account => format!("Takes the scope `{}`, or the role {}.", takes.scope.name(), takes.role.name()),
            Reach::Instance => format!("Takes the scope `{}` in the default account.", takes.scope.name()),
            Reach::Operator => "Takes the operator of the instance.".to_owned(),
        };
        if self.about.is_empty() { who } else { format!("{} {who}", self.about) }
    }

    fn write_parameters(&self) -> Vec<Value> {
        let mut parameters = Vec::new();
        for part in self.path.split('/').filter_map(|part| part.strip_prefix('{')) {
            let name = part.trim_end_matches('}');
            parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        }
        parameters.extend(self.parameters.iter().map(|parameter| {
            json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": parameter.schema })
        }));
        if self.takes_if_match {
            parameters.push(json!({ "$ref": "#/components/parameters/IfMatch" }));
        }
        if self.method == "POST" {
            parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        }
        parameters
    }

    fn write_responses(&self, schemas: &mut Schemas) -> Map<String, Value> {
        let mut responses = Map::new();
        let answer = self.answer.as_ref().expect("every endpoint answers something");
        let mut response = json!({ "description": answer.about });
        if let Some((media_type, schema)) = &answer.content {
            response["content"][*media_type] = json!({ "schema": schemas.of(schema, Direction::Answered) });
        }
        for media_type in answer.others {
            response["content"][*media_type] = json!({ "schema": { "type": "string" } });
        }
        if answer.is_tagged {
            response["headers"]["ETag"] =
                json!({ "description": "The version of the link.", "schema": { "type": "string" } });
        }
        responses.insert(answer.status.to_string(), response);
        for status in self.problems() {
            let name = format!("#/components/responses/Problem{status}");
            responses.insert(status.to_string(), json!({ "$ref": name }));
        }
        responses
    }
}

fn tag_of(path: &str) -> &'static str {
    match path.trim_start_matches("/api/v1/").split('/').next() {
        _ if path.ends_with("/sync") => "edges",
        _ if path.ends_with("/clicks") => "clicks",
        Some("links" | "decide" | "lint" | "account") => "links",
        Some("reports" | "clicks" | "visitors") => "clicks",
        Some("keys" | "audit") => "access",
        Some("domains") => "domains",
        _ => "edges",
    }
}

/// Whether a schema is of a request or a response: what is absent means something else in each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Asked,
    Answered,
}

/// The schemas of all types, those of requests apart.
struct Schemas {
    asked: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = SCHEMAS.into();
                settings.meta_schema = None;
            })
        };
        Self {
            asked: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
        }
    }

    fn of(&mut self, schema: &Result<Schema, Value>, direction: Direction) -> Value {
        let generator = match direction {
            Direction::Asked => &mut self.asked,
            Direction::Answered => &mut self.answered,
        };
        match schema {
            Ok(write) => {
                let mut schema = write(generator).to_value();
                if direction == Direction::Asked {
                    mark_asked(&mut schema);
                }
                schema
            }
            Err(schema) => schema.clone(),
        }
    }

    /// All definitions: types that only requests have keep their names, those that both have get `Input` behind it in requests.
    fn definitions(mut self) -> BTreeMap<String, Value> {
        let answered = self.answered.take_definitions(true);
        let mut definitions: BTreeMap<String, Value> = answered.into_iter().collect();
        for (name, mut schema) in self.asked.take_definitions(true) {
            mark_asked(&mut schema);
            definitions.insert(asked_name(&name), schema);
        }
        definitions
    }
}

/// What a type is called in requests. Bodies are of requests only.
fn asked_name(name: &str) -> String {
    if name.ends_with("Body") || name.starts_with("Create") || name.starts_with("Set") || name.starts_with("Update") {
        name.to_owned()
    } else {
        format!("{name}Input")
    }
}

fn mark_asked(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                match value {
                    Value::String(reference) if name == "$ref" => {
                        if let Some((folder, name)) = reference.rsplit_once('/') {
                            *reference = format!("{folder}/{}", asked_name(name));
                        }
                    }
                    _ => mark_asked(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mark_asked),
        _ => {}
    }
}

/// The whole document.
pub(crate) fn document(endpoints: &[Endpoint]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in endpoints {
        let written = endpoint.write(&mut schemas);
        paths.entry(endpoint.path).or_default().insert(endpoint.method.to_lowercase(), written);
    }
    let problem = schemas.of(&Ok(SchemaGenerator::subschema_for::<ProblemDocument>), Direction::Answered);
    let mut statuses: Vec<u16> = ProblemCode::ALL.iter().map(|code| code.status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let responses: Map<String, Value> =
        statuses.into_iter().map(|status| (format!("Problem{status}"), problem_response(status, &problem))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Waypost API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Short links, rules, clicks and edges. Errors are problem documents (RFC 9457); /docs/problems lists their codes.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "api_key": { "type": "http", "scheme": "bearer" },
                "api_key_header": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
            },
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "Up to 255 printable characters. The same request with the same key within 24 hours is carried out once.",
                    "schema": { "type": "string", "maxLength": 255 },
                },
                "IfMatch": {
                    "name": "If-Match",
                    "in": "header",
                    "description": "The version, in quotes, that the link must still have.",
                    "schema": { "type": "string" },
                },
            },
            "responses": responses,
            "schemas": schemas.definitions(),
        },
    })
}

fn problem_response(status: u16, problem: &Value) -> Value {
    let codes: Vec<&str> =
        ProblemCode::ALL.iter().filter(|code| code.status() == status).map(|code| code.name()).collect();
    json!({
        "description": format!("Refused: {}", codes.join(", ")),
        "content": { "application/problem+json": { "schema": problem } },
    })
}
