//! The vectors again: all of them through `waypost decide`, and those that HTTP can express through a running server.

use std::collections::HashMap;
use std::fs;

use serde_json::{Map, Value, json};
use waypost_testkit::http::{Connection, Response};
use waypost_testkit::server::Server;

use crate::support::{Folder, repository_file, run_with_input};

fn cases() -> Vec<Value> {
    let mut files: Vec<_> =
        fs::read_dir(repository_file("vectors")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let is_json = |file: &&std::path::PathBuf| file.extension().is_some_and(|extension| extension == "json");
    let read = |file: &std::path::PathBuf| serde_json::from_slice::<Vec<Value>>(&fs::read(file).unwrap()).unwrap();
    files.iter().filter(is_json).flat_map(read).collect()
}

#[test]
fn every_vector_through_the_command() {
    let cases = cases();
    let line = |case: &Value| json!({ "record": case["record"], "visit": case["visit"] }).to_string() + "\n";
    let input: String = cases.iter().map(line).collect();
    let answers = run_with_input(&["decide"], input.as_bytes()).json_lines();
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(&answers) {
        for (field, expected) in case["expect"].as_object().unwrap() {
            if field == "error" {
                let found = answer["error"].as_str().unwrap_or_default();
                assert!(found.contains(expected.as_str().unwrap()), "{}: {answer}", case["name"]);
            } else {
                assert_eq!(&answer[field], expected, "{}: {field} in {answer}", case["name"]);
            }
        }
    }
}

/// Fields of a record whose meaning hangs on the time; the server has its own.
const TIMES: [&str; 7] = ["starts_at", "expires_at", "ends_at", "from", "until", "evolution_rules", "schedule"];

fn mentions(value: &Value, fields: &[&str]) -> bool {
    match value {
        Value::Object(object) => object.iter().any(|(name, value)| {
            (fields.contains(&name.as_str()) && !value.is_null() && value != &json!([])) || mentions(value, fields)
        }),
        Value::Array(items) => items.iter().any(|item| mentions(item, fields)),
        _ => false,
    }
}

/// The record as a body for the API, if HTTP can express the case.
fn expressible(case: &Value) -> Option<Map<String, Value>> {
    let visit = case["visit"].as_object().unwrap();
    let has = |field: &str| visit.get(field).is_some_and(|value| !value.is_null());
    let is_header = |field: &str| {
        visit
            .get(field)
            .and_then(Value::as_str)
            .is_none_or(|text| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && text.trim() == text)
    };
    // A server has the visitor's region and city from its database.
    let fits = !["visitor_id", "region", "city"].iter().any(|field| has(field))
        && !has("unlocked")
        && matches!(visit.get("method").and_then(Value::as_str), None | Some("GET" | "HEAD"))
        && ["user_agent", "referrer", "accept_language", "purpose", "query"].iter().all(|field| is_header(field))
        && visit.get("query").and_then(Value::as_str).is_none_or(|query| query.bytes().all(|byte| !b" #\"<>\\^`{|}".contains(&byte)))
        && case["expect"].get("error").is_none()
        && !mentions(&case["record"], &TIMES)
        && !mentions(&case["record"], &["password_hash"])
        // Every client has an address.
        && (!mentions(&case["record"], &["addresses"]) || has("ip"))
        // A split goes by address and user agent.
        && (!mentions(&case["record"], &["ab_test"]) || (has("ip") && has("user_agent")));
    let mut body = match &case["record"] {
        Value::String(url) => Map::from_iter([("destination_url".to_owned(), json!(url))]),
        record => record.as_object()?.clone(),
    };
    for given in ["link_id", "account_id", "version", "slug", "domain", "created_at", "updated_at"] {
        body.remove(given);
    }
    fits.then_some(body)
}

fn ask(server: &Server, slug: &str, visit: &Value) -> Response {
    let text = |field: &str| visit[field].as_str();
    let method = text("method").unwrap_or("GET");
    let query = text("query").map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!("{method} /{slug}{query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.address());
    let headers = [
        ("User-Agent", "user_agent"),
        ("Referer", "referrer"),
        ("Accept-Language", "accept_language"),
        ("Sec-Purpose", "purpose"),
        ("CF-IPCountry", "country"),
        ("X-Forwarded-For", "ip"),
    ];
    for (name, field) in headers {
        if let Some(value) = text(field) {
            head += &format!("{name}: {value}\r\n");
        }
    }
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send((head + "\r\n").as_bytes()).unwrap();
    if method == "HEAD" { connection.read_head().unwrap() } else { connection.read_response().unwrap() }
}

fn check(case: &Value, response: &Response) {
    let expect = &case["expect"];
    let name = &case["name"];
    if let Some(status) = expect.get("status") {
        assert_eq!(json!(response.status), *status, "{name}");
    }
    if let Some(location) = expect.get("location") {
        assert_eq!(response.header("location"), location.as_str(), "{name}");
    }
    let actions = HashMap::from([("not_found", 404), ("gone", 410), ("unlock", 200)]);
    if let Some(status) = expect["action"].as_str().and_then(|action| actions.get(action)) {
        assert_eq!(response.status, *status, "{name}");
    }
}

#[test]
fn vectors_through_a_running_server() {
    let cases = cases();
    let folder = Folder::new();
    let server = folder.serve(&["--trusted-proxies", "127.0.0.1", "--country-header", "cf-ipcountry"]);
    let mut lines = String::new();
    let mut chosen = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        if let Some(mut body) = expressible(case) {
            body.insert("slug".to_owned(), json!(format!("v{number}")));
            lines += &(Value::Object(body).to_string() + "\n");
            chosen.push((format!("v{number}"), case));
        }
    }
    let file = folder.write("vectors.ndjson", lines);
    // The API is stricter than a record's reader: some records that edges must bear cannot be made through it.
    let import = folder.run(&["import", &file]);
    assert!(matches!(import.status, 0 | 3), "{import:?}");
    let made: Vec<Value> = folder.run(&["link", "list", "--all", "--json"]).json_lines();
    let is_made = |slug: &str| made.iter().any(|link| link["slug"] == slug);
    let chosen: Vec<_> = chosen.into_iter().filter(|(slug, _)| is_made(slug)).collect();
    assert!(chosen.len() * 2 >= cases.len(), "only {} of {} cases; {}", chosen.len(), cases.len(), import.stderr);
    for (slug, case) in chosen {
        check(case, &ask(&server, &slug, &case["visit"]));
    }
}
