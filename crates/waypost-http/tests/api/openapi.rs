//! The OpenAPI document in `docs/openapi.json`: it is what the types and the routes say, and what the server answers with.

pub(crate) mod document;
mod endpoints;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::permissions::source_routes;

/// Where the document is kept.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
/// Set to write the document instead of comparing it.
const WRITE: &str = "WAYPOST_WRITE_OPENAPI";

#[test]
fn the_document_is_what_the_types_say() {
    let document = document::document(&endpoints::endpoints());
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    assert!(text.len() < 300 << 10, "{} bytes", text.len());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(Path::new(PATH), &text).unwrap();
    }
    let kept = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        kept == text,
        "docs/openapi.json is not what the types say: run this test once with {WRITE}=1 and read the change"
    );
}

#[test]
fn every_route_is_in_the_document() {
    let described: BTreeSet<(String, String)> = endpoints::endpoints()
        .into_iter()
        .map(|endpoint| (endpoint.method.to_owned(), endpoint.path.to_owned()))
        .collect();
    assert_eq!(described, source_routes());
}

/// Every reference leads somewhere, and every schema is used.
#[test]
fn references_have_targets() {
    let document = document::document(&endpoints::endpoints());
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    for reference in &references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(references.contains(&format!("#/components/schemas/{name}")), "nothing uses {name}");
    }
}

fn collect_references(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(reference) if name == "$ref" => drop(references.insert(reference.clone())),
                    _ => collect_references(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
        _ => {}
    }
}

/// A parameter that the document names is one that the endpoint reads.
#[tokio::test]
async fn parameters_are_known() {
    let app = TestApp::new().await;
    for endpoint in endpoints::endpoints() {
        for parameter in &endpoint.parameters {
            let path = endpoint.path.replace("{id}", endpoints::example_id());
            // A link that is not there ends the live feed at once.
            let rest = if parameter.name == "link_id" {
                String::new()
            } else {
                format!("&link_id={}", endpoints::example_id())
            };
            let rest = if path.ends_with("/live") { rest } else { String::new() };
            let reply = app.operator("GET", &format!("{path}?{}={rest}", parameter.name)).send().await;
            assert!(
                !reply.text().contains("there is no query parameter"),
                "{path} {}: {}",
                parameter.name,
                reply.text()
            );
        }
    }
    app.stop().await;
}

/// The body of a new link has every field that a link has and a client may set, and the server knows each of them.
#[tokio::test]
async fn bodies_of_links_have_all_fields() {
    let document = document::document(&endpoints::endpoints());
    let names = |schema: &str| -> BTreeSet<String> {
        let schema = &document["components"]["schemas"][schema];
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let body = names("CreateLinkBody");
    let shown = names("LinkFields");
    assert_eq!(shown.difference(&body).collect::<Vec<_>>(), ["has_password"]);
    let app = TestApp::new().await;
    for name in &body {
        let mut link = json!({"destination_url": "https://example.com/"});
        if name != "destination_url" {
            link[name] = Value::Null;
        }
        let created = app.operator("POST", "/api/v1/links").json(&link).await;
        assert_eq!(created.status, 201, "{name}: {}", created.text());
    }
    app.stop().await;
}

#[tokio::test]
async fn the_document_is_served_to_anyone() {
    let app = TestApp::new().await;
    let reply = app.call("GET", "/api/openapi.json").send().await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.json()["openapi"], "3.1.0");
    assert_eq!(reply.text(), std::fs::read_to_string(PATH).unwrap());
    app.stop().await;
}
