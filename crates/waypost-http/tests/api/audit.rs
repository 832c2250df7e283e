//! The audit log: every change writes one entry, in its own transaction, with what it changed and without secrets.

use serde_json::{Value, json};

use crate::harness::{TestApp, on_both_databases};

const URL: &str = "https://example.com/";

on_both_databases!(every_change_is_an_entry, entries_are_listed_by_pages_and_filters, large_changes_make_small_pages);

async fn entries(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.operator("GET", &format!("/api/v1/audit?limit=1000{query}")).send().await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.json()["items"].as_array().unwrap().clone()
}

/// The newest entry, which there was not before.
async fn newest(app: &TestApp, before: &mut usize) -> Value {
    let entries = entries(app, "").await;
    *before += 1;
    assert_eq!(entries.len(), *before, "{entries:#?}");
    entries[0].clone()
}

pub(crate) async fn every_change_is_an_entry(app: &TestApp) {
    let key = app.operator("POST", "/api/v1/keys").json(&json!({"name": "robot"})).await.json();
    let (key_text, key_id) = (key["key"].as_str().unwrap().to_owned(), key["id"].clone());
    let mut count = 0;
    let made = newest(app, &mut count).await;
    assert_eq!(
        (&made["action"], &made["actor"], &made["object_id"]),
        (&json!("api_key.create"), &json!("operator"), &key_id)
    );
    assert_eq!(made["after"]["scopes"], json!(["admin"]));
    assert!(!made.to_string().contains(&key_text[12..]), "no secret: {made}");
    let call = |method: &str, path: &str| app.with_key(&key_text, method, path).address("203.0.113.77");

    let link = json!({"destination_url": URL, "slug": "a", "password": "open sesame"});
    let link = call("POST", "/api/v1/links").json(&link).await.json();
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let made = newest(app, &mut count).await;
    assert_eq!(
        (&made["action"], &made["object_id"], &made["version"]),
        (&json!("link.create"), &link["id"], &json!(1))
    );
    assert_eq!(
        (&made["actor"], &made["actor_name"], &made["address"]),
        (&key_id, &json!("robot"), &json!("203.0.113.0"))
    );
    assert_eq!((&made["before"], &made["after"]["destination_url"]), (&Value::Null, &json!(URL)));
    assert!(!made.to_string().contains("argon2"), "no password: {made}");

    call("PATCH", &path).json(&json!({"forward_query": true})).await;
    let changed = newest(app, &mut count).await;
    assert_eq!(
        (&changed["before"], &changed["after"]),
        (&json!({"forward_query": false}), &json!({"forward_query": true}))
    );
    call("PATCH", &path).json(&json!({"forward_query": true})).await;
    assert_eq!(entries(app, "").await.len(), count, "what changes nothing is no entry");

    let once =
        || call("POST", "/api/v1/links").header("idempotency-key", "once").json(&json!({"destination_url": URL}));
    once().await;
    assert_eq!(newest(app, &mut count).await["action"], "link.create");
    once().await;
    assert_eq!(entries(app, "").await.len(), count, "what is repeated is no entry");

    let links = json!({"links": [{"destination_url": URL}, {"destination_url": URL, "slug": "b"}, {"slug": "c"}]});
    call("POST", "/api/v1/links/bulk").json(&links).await;
    let bulk = newest(app, &mut count).await;
    assert_eq!((&bulk["action"], &bulk["after"]["links"]), (&json!("link.create"), &json!(2)));
    let mut dry = links.clone();
    dry["dry_run"] = json!(true);
    call("POST", "/api/v1/links/bulk").json(&dry).await;
    assert_eq!(entries(app, "").await.len(), count, "a dry run is no entry");

    call("DELETE", &path).send().await;
    let deleted = newest(app, &mut count).await;
    assert_eq!((&deleted["action"], &deleted["after"]), (&json!("link.delete"), &Value::Null));
    assert_eq!(deleted["before"]["forward_query"], true);

    let domain = app.operator("POST", "/api/v1/domains").json(&json!({"host": "d.example"})).await.json();
    assert_eq!(newest(app, &mut count).await["after"]["host"], "d.example");
    let domain = format!("/api/v1/domains/{}", domain["id"].as_str().unwrap());
    app.operator("PATCH", &domain).json(&json!({"root_url": "https://example.com/x"})).await;
    assert_eq!(newest(app, &mut count).await["before"], json!({"root_url": null}));
    app.operator("DELETE", &domain).send().await;
    assert_eq!(newest(app, &mut count).await["action"], "domain.delete");

    call("PUT", "/api/v1/clicks/retention").json(&json!({"days": 9})).await;
    assert_eq!(newest(app, &mut count).await["after"], json!({"days": 9}));
    call("DELETE", &format!("{path}/clicks")).send().await;
    assert_eq!(newest(app, &mut count).await["object_id"], link["id"]);
    call("DELETE", "/api/v1/visitors/0123456789abcdef/clicks").send().await;
    let erased = newest(app, &mut count).await;
    assert!(!erased.to_string().contains("0123456789abcdef"), "{erased}");
    app.operator("DELETE", &format!("/api/v1/keys/{}", key_id.as_str().unwrap())).send().await;
    assert_eq!(newest(app, &mut count).await["action"], "api_key.revoke");
}

pub(crate) async fn entries_are_listed_by_pages_and_filters(app: &TestApp) {
    for slug in ["a", "b", "c", "d", "e"] {
        app.create_link(json!({"destination_url": URL, "slug": slug})).await;
    }
    app.operator("POST", "/api/v1/keys").json(&json!({"name": "k"})).await;
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = app.operator("GET", &format!("/api/v1/audit?action=link&limit=2{cursor}")).send().await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|entry| entry["after"]["destination_url"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, vec![json!(URL); 5]);
    assert_eq!(entries(app, "&action=api_key.create").await.len(), 1);
    assert_eq!(entries(app, "&action=api_key.c").await.len(), 0);
    assert_eq!(entries(app, "&actor=nobody").await.len(), 0);
    assert_eq!(entries(app, "&from=1h").await.len(), 6);
    assert_eq!(entries(app, "&to=2020-01-01").await.len(), 0);
    for bad in ["action=a%25", "cursor=x", "limit=0", "limit=1001", "from=never", "nothing=1"] {
        assert_eq!(app.operator("GET", &format!("/api/v1/audit?{bad}")).send().await.status.as_u16() / 100, 4, "{bad}");
    }
}

/// However many large changes a page could have, it stays of a size that a server can give many of at one time.
pub(crate) async fn large_changes_make_small_pages(app: &TestApp) {
    let rules = |country: &str| -> Vec<Value> {
        let url = format!("{URL}{}", "x".repeat(4_000));
        (0..40).map(|_| json!({"when": {"countries": [country]}, "to": {"url": url}})).collect()
    };
    let link = app.create_link(json!({"destination_url": URL, "slug": "large"})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    for change in 0..40 {
        let country = if change % 2 == 0 { "DE" } else { "AT" };
        let changed = app.operator("PATCH", &path).json(&json!({"rules": rules(country)})).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
    }
    let (mut cursor, mut seen) = (String::new(), 0);
    loop {
        let page = app.operator("GET", &format!("/api/v1/audit?action=link&limit=1000{cursor}")).send().await;
        assert!(page.body.len() < 5 << 20, "{} bytes", page.body.len());
        let page = page.json();
        seen += page["items"].as_array().unwrap().len();
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, 41);
    assert!(!cursor.is_empty(), "it was more than one page");
}
