//! One account never sees, changes or learns of another's things: every route, with the key of a second account.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use waypost_store::{ApiKeyLimits, NewApiKey};

use crate::harness::TestApp;

/// A key of a second account. Its text is made by the API for the first account and moved over in the store, because
/// there is no route yet that makes accounts.
async fn stranger_key(app: &TestApp) -> String {
    let made = app.operator("POST", "/api/v1/keys").json(&json!({"name": "moved"})).await.json();
    let key = made["key"].as_str().unwrap().to_owned();
    // The text names its own checksum, so a sibling is made: the same secret under another account cannot exist twice.
    let mut tx = app.store.begin("db_stranger").await.unwrap();
    let account = tx.create_account("Stranger").await.unwrap();
    let first = tx.authenticate_api_key(made["key_id"].as_str().unwrap(), &Sha256::digest(&key).into()).await.unwrap();
    tx.revoke_api_key(&first.unwrap().account_id, &made["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
    let text = sibling(&key, "stranger");
    let new = NewApiKey {
        limits: ApiKeyLimits::default(),
        account_id: account.account_id,
        name: "stranger".to_owned(),
        key_id: text[3..11].to_owned(),
        secret_digest: Sha256::digest(&text).into(),
        expires_at: None,
    };
    tx.create_api_key(&new).await.unwrap();
    tx.commit().await.unwrap();
    text
}

/// Another well-formed key: the documented form, worked out here once more.
pub(crate) fn sibling(key: &str, key_id: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("wp_{key_id}{}", &key[11..key.len() - 6]);
    let checksum = Sha256::digest(&body);
    let checksum: String = checksum.iter().take(6).map(|byte| char::from(ALPHABET[usize::from(byte % 62)])).collect();
    body + &checksum
}

#[tokio::test]
async fn foreign_things_are_not_there() {
    let app = TestApp::new().await;
    let stranger = stranger_key(&app).await;
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "mine"})).await;
    let own_key = app.operator("POST", "/api/v1/keys").json(&json!({"name": "mine"})).await.json();
    let domain = app.operator("GET", "/api/v1/domains").send().await.json()["domains"][0].clone();
    let link_path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let call = |method: &str, path: &str| app.with_key(&stranger, method, path);

    assert_eq!(call("GET", "/api/v1/links").send().await.json(), json!({"links": [], "next_cursor": null}));
    assert_eq!(call("GET", "/api/v1/links?slug=mine").send().await.json()["links"], json!([]));
    call("GET", &link_path).send().await.assert_problem(404, "not_found");
    call("PATCH", &link_path).json(&json!({"enabled": false})).await.assert_problem(404, "not_found");
    call("PATCH", &link_path).header("if-match", "\"9\"").json(&json!({})).await.assert_problem(404, "not_found");
    call("DELETE", &link_path).send().await.assert_problem(404, "not_found");
    call("GET", &format!("{link_path}/versions")).send().await.assert_problem(404, "not_found");
    call("GET", &format!("{link_path}/qr")).send().await.assert_problem(404, "not_found");
    call("POST", &format!("{link_path}/decide")).json(&json!({})).await.assert_problem(404, "not_found");
    let keys = call("GET", "/api/v1/keys").send().await.json();
    let names: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["stranger"]);
    let key_path = format!("/api/v1/keys/{}", own_key["id"].as_str().unwrap());
    call("DELETE", &key_path).send().await.assert_problem(404, "not_found");
    call("POST", "/api/v1/domains").json(&json!({"host": "x.example"})).await.assert_problem(403, "forbidden");
    let domain_path = format!("/api/v1/domains/{}", domain["id"].as_str().unwrap());
    call("PATCH", &domain_path).json(&json!({"root_url": null})).await.assert_problem(403, "forbidden");
    call("DELETE", &domain_path).send().await.assert_problem(403, "forbidden");

    let id = link["id"].as_str().unwrap();
    for query in [format!("reports?link_id={id}"), format!("clicks?link_id={id}"), format!("clicks/live?link_id={id}")]
    {
        call("GET", &format!("/api/v1/{query}")).send().await.assert_problem(404, "not_found");
    }
    call("DELETE", &format!("{link_path}/clicks")).send().await.assert_problem(404, "not_found");
    call("GET", &format!("{link_path}/sync")).send().await.assert_problem(404, "not_found");
    call("POST", &format!("{link_path}/sync")).send().await.assert_problem(404, "not_found");
    assert_eq!(call("GET", "/api/v1/sync/links").send().await.json(), json!({"links": [], "next_cursor": null}));
    for body in [json!({"refill": true}), json!({"refill": true, "target": "cloudflare_kv"})] {
        call("POST", "/api/v1/sync").json(&body).await.assert_problem(403, "forbidden");
    }
    call("POST", "/api/v1/sync/verify").json(&json!({})).await.assert_problem(403, "forbidden");
    for path in ["/api/v1/clicks/audit", "/api/v1/sync", "/metrics"] {
        call("GET", path).send().await.assert_problem(403, "forbidden");
    }

    let own = call("POST", "/api/v1/links").json(&json!({"destination_url": "https://example.com/"})).await;
    assert_eq!(own.status, 201);
    assert_ne!(own.json()["account_id"], link["account_id"]);
    let bulk = call("POST", "/api/v1/links/bulk").json(&json!({"links": [
        {"destination_url": "https://example.com/", "slug": "mine"},
        {"destination_url": "https://example.com/", "slug": "other", "account_id": link["account_id"]},
    ]}));
    let bulk = bulk.await.json();
    assert_eq!(bulk["results"][0]["problem"]["code"], "slug_taken");
    assert_eq!(bulk["results"][1]["problem"]["code"], "unknown_field");
    assert_eq!(app.operator("GET", &link_path).send().await.json(), link, "nothing of it was changed");
    assert_eq!(app.with_key(own_key["key"].as_str().unwrap(), "GET", &link_path).send().await.status, 200);
}

#[tokio::test]
async fn idempotency_keys_belong_to_an_account() {
    let app = TestApp::new().await;
    let stranger = stranger_key(&app).await;
    let body: Value = json!({"destination_url": "https://example.com/"});
    let mine = app.operator("POST", "/api/v1/links").header("idempotency-key", "k").json(&body).await.json();
    let theirs =
        app.with_key(&stranger, "POST", "/api/v1/links").header("idempotency-key", "k").json(&body).await.json();
    assert_ne!(mine["id"], theirs["id"]);
}

#[tokio::test]
async fn no_route_of_the_api_opens_without_a_key() {
    let app = TestApp::new().await;
    for (method, path) in [
        ("GET", "/api/v1/links"),
        ("POST", "/api/v1/links"),
        ("POST", "/api/v1/links/bulk"),
        ("GET", "/api/v1/links/link_1"),
        ("PATCH", "/api/v1/links/link_1"),
        ("DELETE", "/api/v1/links/link_1"),
        ("GET", "/api/v1/links/link_1/versions"),
        ("GET", "/api/v1/links/link_1/qr"),
        ("GET", "/api/v1/account/qr-logo"),
        ("PUT", "/api/v1/account/qr-logo"),
        ("DELETE", "/api/v1/account/qr-logo"),
        ("POST", "/api/v1/links/link_1/decide"),
        ("POST", "/api/v1/decide"),
        ("GET", "/api/v1/keys"),
        ("POST", "/api/v1/keys"),
        ("DELETE", "/api/v1/keys/key_1"),
        ("GET", "/api/v1/domains"),
        ("POST", "/api/v1/domains"),
        ("PATCH", "/api/v1/domains/dom_1"),
        ("GET", "/api/v1/reports"),
        ("GET", "/api/v1/clicks"),
        ("GET", "/api/v1/clicks/live"),
        ("GET", "/api/v1/clicks/audit"),
        ("GET", "/api/v1/clicks/retention"),
        ("PUT", "/api/v1/clicks/retention"),
        ("DELETE", "/api/v1/links/link_1/clicks"),
        ("DELETE", "/api/v1/visitors/0123456789abcdef/clicks"),
        ("GET", "/api/v1/links/link_1/sync"),
        ("POST", "/api/v1/links/link_1/sync"),
        ("GET", "/api/v1/sync"),
        ("POST", "/api/v1/sync"),
        ("GET", "/api/v1/sync/links"),
        ("POST", "/api/v1/sync/verify"),
        ("GET", "/metrics"),
    ] {
        app.call(method, path).send().await.assert_problem(401, "unauthorized");
    }
}
