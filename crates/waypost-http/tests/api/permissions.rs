//! Who may do what: every route of the API with an API key of every scope, in the account and in another one. The routes are read
//! from their source, so that a new one cannot be forgotten.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use waypost_control::{Operation, Reach};
use waypost_core::access::{Scope, Scopes};
use waypost_store::{ApiKeyLimits, NewApiKey};

use crate::harness::TestApp;
use crate::tenants::sibling;

/// A request of the API, and the operation that it is.
struct Row {
    method: &'static str,
    /// As the router has it.
    route: &'static str,
    body: Value,
    operation: Operation,
}

fn rows() -> Vec<Row> {
    let row = |method, route, body, operation| Row { method, route, body, operation };
    let get = |route, operation| row("GET", route, Value::Null, operation);
    let delete = |route, operation| row("DELETE", route, Value::Null, operation);
    let link = json!({"destination_url": "https://example.com/"});
    vec![
        get("/api/v1/links", Operation::ReadLinks),
        row("POST", "/api/v1/links", link.clone(), Operation::CreateLink),
        row("POST", "/api/v1/links/bulk", json!({"links": [link]}), Operation::CreateLink),
        get("/api/v1/links/{id}", Operation::ReadLinks),
        row("PATCH", "/api/v1/links/{id}", json!({"enabled": false}), Operation::UpdateLink),
        get("/api/v1/links/{id}/versions", Operation::ReadLinks),
        get("/api/v1/links/{id}/qr", Operation::ReadLinks),
        get("/api/v1/account/qr-logo", Operation::ReadLinks),
        row("PUT", "/api/v1/account/qr-logo", json!({}), Operation::SetQrLogo),
        delete("/api/v1/account/qr-logo", Operation::DeleteQrLogo),
        get("/api/v1/links/{id}/sync", Operation::ReadLinkSync),
        row("POST", "/api/v1/links/{id}/sync", Value::Null, Operation::RetryLinkSync),
        row("POST", "/api/v1/links/{id}/decide", json!({}), Operation::Decide),
        row("POST", "/api/v1/decide", json!({"record": "https://example.com/"}), Operation::Decide),
        row("POST", "/api/v1/links/{id}/lint", Value::Null, Operation::Lint),
        row("POST", "/api/v1/lint", json!({"record": "https://example.com/"}), Operation::Lint),
        delete("/api/v1/links/{id}/clicks", Operation::EraseClicks),
        delete("/api/v1/links/{id}", Operation::DeleteLink),
        get("/api/v1/sync", Operation::ReadSync),
        row("POST", "/api/v1/sync", json!({"status": "failed"}), Operation::RetryLinkSync),
        get("/api/v1/sync/links", Operation::ReadLinkSync),
        row("POST", "/api/v1/sync/verify", json!({}), Operation::ChangeSync),
        get("/api/v1/reports", Operation::ReadClicks),
        get("/api/v1/clicks", Operation::ReadClicks),
        get("/api/v1/clicks/live?link_id={id}", Operation::ReadClicks),
        get("/api/v1/clicks/audit", Operation::AuditClicks),
        get("/api/v1/clicks/refused", Operation::AuditClicks),
        get("/api/v1/clicks/retention", Operation::ReadRetention),
        row("PUT", "/api/v1/clicks/retention", json!({"days": 30}), Operation::SetRetention),
        delete("/api/v1/visitors/{key}/clicks", Operation::EraseClicks),
        get("/api/v1/audit", Operation::ReadAuditLog),
        get("/api/v1/keys", Operation::ReadApiKeys),
        row("POST", "/api/v1/keys", json!({"name": "made"}), Operation::CreateApiKey),
        delete("/api/v1/keys/{id}", Operation::RevokeApiKey),
        get("/api/v1/domains", Operation::ReadDomains),
        row("POST", "/api/v1/domains", json!({"host": "x.example"}), Operation::CreateDomain),
        row("PATCH", "/api/v1/domains/{id}", json!({"root_url": null}), Operation::UpdateDomain),
        delete("/api/v1/domains/{id}", Operation::DeleteDomain),
    ]
}

/// The routes in routes.rs that need an API key, each with a method.
pub(crate) fn source_routes() -> BTreeSet<(String, String)> {
    let source = include_str!("../../src/routes.rs");
    let routes = source.split(".route(").skip(1);
    let routes = routes.filter(|route| route.trim_start_matches(['\n', ' ', '"']).starts_with("/api/v1/"));
    let of_route = |route: &str| {
        let path = route.split('"').nth(1).unwrap().to_owned();
        let methods = ["get(", "post(", "put(", "patch(", "delete("];
        let methods = methods.into_iter().filter(|method| route.contains(method));
        methods.map(|method| (method.trim_end_matches('(').to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    routes.flat_map(of_route).collect()
}

/// A key with this scope alone, in the default account or in another one.
async fn key_with(app: &TestApp, scope: Scope, is_foreign: bool) -> String {
    let made = app.operator("POST", "/api/v1/keys").json(&json!({"name": scope.name(), "scopes": [scope]})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let key = made.json()["key"].as_str().unwrap().to_owned();
    if !is_foreign {
        return key;
    }
    let key_id = format!("foreign{}", scope.code());
    let text = sibling(&key, &key_id);
    let mut tx = app.store.begin("foreign_key").await.unwrap();
    let account = tx.create_account("Other").await.unwrap();
    let limits = ApiKeyLimits { scopes: Scopes::default().with(scope), ..ApiKeyLimits::default() };
    let new = NewApiKey {
        account_id: account.account_id,
        name: String::new(),
        key_id,
        secret_digest: Sha256::digest(&text).into(),
        limits,
        expires_at: None,
    };
    tx.create_api_key(&new).await.unwrap();
    tx.commit().await.unwrap();
    text
}

#[tokio::test]
async fn every_route_with_a_key_of_every_scope() {
    let app = TestApp::new().await;
    let rows = rows();
    let known = rows.iter().map(|row| (row.method.to_owned(), row.route.split('?').next().unwrap().to_owned()));
    assert_eq!(source_routes(), known.collect(), "every route is in this test, and none that is no more");
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "here"})).await;
    let link_id = link["id"].as_str().unwrap();
    for (scope, is_foreign) in Scope::ALL.into_iter().flat_map(|scope| [(scope, false), (scope, true)]) {
        let key = key_with(&app, scope, is_foreign).await;
        for Row { method, route, body, operation } in &rows {
            let is_of_link = route.contains("/links/{id}") || route.contains("link_id={id}");
            // Of its own account it only asks for what is not there, so that nothing is deleted under the next key.
            let id = if is_foreign { link_id } else { "link_00000000000000000000000000000001" };
            let path = route.replace("{id}", id).replace("{key}", "0123456789abcdef");
            let call = app.with_key(&key, method, &path);
            let reply = if body.is_null() { call.send().await } else { call.json(body).await };
            let takes = operation.requirement();
            let is_reached = match takes.reach {
                Reach::Account => true,
                Reach::Instance => !is_foreign,
                Reach::Operator => false,
            };
            let is_allowed = is_reached && (scope == takes.scope || scope == Scope::Admin);
            let shown = format!("{method} {route} with {} of another account: {is_foreign}", scope.name());
            assert_eq!(reply.status == 403, !is_allowed, "{shown}: {}", reply.status);
            assert_ne!(reply.status, 401, "{shown}");
            if is_allowed && is_of_link {
                assert_eq!(reply.status, 404, "{shown}");
            }
        }
    }
    let link = app.operator("GET", &format!("/api/v1/links/{link_id}")).send().await.json();
    assert_eq!(link["version"], 1, "nothing of it was changed");
    for Row { method, route, body, .. } in &rows {
        let path = route.replace("{id}", link_id).replace("{key}", "0123456789abcdef");
        let call = app.call(method, &path);
        let reply = if body.is_null() { call.send().await } else { call.json(body).await };
        reply.assert_problem(401, "unauthorized");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_key_that_is_limited_to_domains_knows_no_others() {
    let app = TestApp::new().await;
    app.operator("POST", "/api/v1/domains").json(&json!({"host": "mine.example"})).await;
    let on = |domain: &str| json!({"destination_url": "https://example.com/", "domain": domain});
    let mine = app.create_link(on("mine.example")).await;
    let other = app.create_link(on("go.example")).await;
    let asked = json!({"name": "limited", "domains": ["Mine.Example"]});
    let made = app.operator("POST", "/api/v1/keys").json(&asked).await.json();
    assert_eq!(made["domains"], json!(["mine.example"]));
    assert_eq!(made["scopes"], json!(["links:read", "links:write", "stats:read", "conversions:write"]));
    let key = made["key"].as_str().unwrap().to_owned();
    let call = |method: &str, path: &str| app.with_key(&key, method, path);

    let listed = call("GET", "/api/v1/links").send().await.json();
    let ids: Vec<_> = listed["links"].as_array().unwrap().iter().map(|link| link["id"].clone()).collect();
    assert_eq!(ids, std::slice::from_ref(&mine["id"]));
    let listed = call("GET", "/api/v1/links?slug_prefix=").send().await.json();
    assert_eq!(listed["links"].as_array().unwrap().len(), 1, "{listed}");
    let hosts = call("GET", "/api/v1/domains").send().await.json();
    assert_eq!(hosts["domains"].as_array().unwrap().len(), 1, "{hosts}");
    let paths = |link: &Value| {
        let id = link["id"].as_str().unwrap().to_owned();
        [
            format!("/api/v1/links/{id}"),
            format!("/api/v1/links/{id}/versions"),
            format!("/api/v1/reports?link_id={id}"),
            format!("/api/v1/clicks?link_id={id}"),
        ]
    };
    for path in paths(&mine) {
        assert_eq!(call("GET", &path).send().await.status, 200, "{path}");
    }
    for path in paths(&other) {
        call("GET", &path).send().await.assert_problem(404, "not_found");
    }
    let path = &paths(&other)[0];
    call("PATCH", path).json(&json!({"enabled": false})).await.assert_problem(404, "not_found");
    call("DELETE", path).send().await.assert_problem(404, "not_found");
    call("POST", "/api/v1/links").json(&on("mine.example")).await;
    call("POST", "/api/v1/links").json(&on("go.example")).await.assert_problem(422, "domain_unknown");
    let bulk = json!({"links": [on("go.example"), on("mine.example"), {"destination_url": "https://example.com/"}]});
    let bulk = call("POST", "/api/v1/links/bulk").json(&bulk).await.json();
    let statuses: Vec<_> = bulk["results"].as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
    assert_eq!(statuses, [422, 201, 422], "{bulk}");
    // The same item was imported to another domain before: that link is nothing to this key.
    let item = |domain: &str| json!({"links": [{"destination_url": "https://example.com/same", "domain": domain}], "if_exists": "skip"});
    let first = app.operator("POST", "/api/v1/links/bulk").json(&item("go.example")).await.json();
    for (status, shown) in [(201, "created"), (200, "existing")] {
        let same = call("POST", "/api/v1/links/bulk").json(&item("mine.example")).await.json();
        assert_eq!((&same["results"][0]["status"], &same[shown]), (&json!(status), &json!(1)), "{same}");
        assert_ne!(same["results"][0]["id"], first["results"][0]["id"], "{same}");
    }
    for path in ["/api/v1/reports", "/api/v1/clicks", "/api/v1/clicks/live"] {
        call("GET", path).send().await.assert_problem(403, "forbidden");
    }
    call("GET", "/api/v1/reports?domain=go.example").send().await.assert_problem(404, "not_found");
    assert_eq!(call("GET", "/api/v1/reports?domain=mine.example").send().await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn an_api_key_has_a_header_of_its_own_too() {
    let app = TestApp::new().await;
    let key = app.operator("POST", "/api/v1/keys").json(&json!({"name": "t"})).await.json()["key"].clone();
    let key = key.as_str().unwrap();
    assert_eq!(app.call("GET", "/api/v1/links").header("x-api-key", key).send().await.status, 200);
    let both = app.with_key(key, "GET", "/api/v1/links").header("x-api-key", key).send().await;
    both.assert_problem(401, "unauthorized");
    app.call("GET", "/api/v1/links").header("x-api-key", "wp_nothing").send().await.assert_problem(401, "unauthorized");
    app.stop().await;
}
