//! How far targets are with links, as the API shows it, and trying again.

use serde_json::{Value, json};

use crate::harness::{TestApp, on_both_databases};

on_both_databases!(
    what_the_table_holds_is_shown,
    without_a_target_outside_there_is_nothing_to_retry,
    bad_requests_say_what_is_wrong
);

fn sync_path(link: &Value) -> String {
    format!("/api/v1/links/{}/sync", link["id"].as_str().unwrap())
}

async fn what_the_table_holds_is_shown(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": "https://example.com/", "slug": "a"})).await;
    let shown = app.operator("GET", &sync_path(&link)).send().await.json();
    let table = json!({"target": "table", "status": "synced", "version": 1, "synced_version": 1, "attempts": 0,
        "error": null, "next_attempt_at": null, "synced_at": null, "pending_since": null});
    assert_eq!(shown, json!({"link_id": link["id"], "version": 1, "targets": [table]}));
    let retried = app.operator("POST", &sync_path(&link)).send().await;
    assert_eq!((retried.status.as_u16(), retried.json()), (202, shown));
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    app.operator("PATCH", &path).json(&json!({"enabled": false})).await;
    let shown = app.operator("GET", &sync_path(&link)).send().await.json();
    assert_eq!((&shown["version"], &shown["targets"][0]["synced_version"]), (&json!(2), &json!(2)));
    app.operator("DELETE", &path).send().await;
    app.operator("GET", &sync_path(&link)).send().await.assert_problem(404, "not_found");
}

async fn without_a_target_outside_there_is_nothing_to_retry(app: &TestApp) {
    app.create_link(json!({"destination_url": "https://example.com/"})).await;
    let overview = app.operator("GET", "/api/v1/sync?synced=true").send().await.json();
    assert_eq!((&overview["objective_s"], &overview["objective_met"]), (&json!(300), &json!(true)));
    let health = json!({"ok": true, "resting": false, "reason": null, "until": null, "error": null,
        "last_success_at": null});
    let table = json!({"target": "table", "links": 1, "behind": false,
        "counts": {"pending": 0, "syncing": 0, "synced": 1, "failed": 0}, "oldest_pending_since": null,
        "oldest_pending_age_s": null, "objective_met": true, "health": health});
    assert_eq!(overview["targets"], json!([table]));
    let empty = json!({"links": [], "next_cursor": null});
    assert_eq!(app.operator("GET", "/api/v1/sync/links").send().await.json(), empty);
    let named = app.operator("GET", "/api/v1/sync/links?target=cloudflare_kv").send().await;
    named.assert_problem(409, "no_sync_target");
    for body in [json!({"status": "failed"}), json!({"refill": true})] {
        app.operator("POST", "/api/v1/sync").json(&body).await.assert_problem(409, "no_sync_target");
    }
}

async fn bad_requests_say_what_is_wrong(app: &TestApp) {
    for (body, fields) in [
        (json!({}), &[""][..]),
        (json!({"status": "failed", "refill": true}), &[""]),
        (json!({"refill": false}), &[""]),
        (json!({"status": "pending"}), &["status"]),
        (json!({"status": 1, "refil": true}), &["status", "refil"]),
        (json!({"status": "failed", "target": "table"}), &["target"]),
        (json!({"refill": "yes"}), &["refill"]),
    ] {
        let reply = app.operator("POST", "/api/v1/sync").json(&body).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        let found: Vec<String> = reply.errors().into_iter().map(|(field, _)| field).collect();
        assert!(fields.iter().all(|field| found.iter().any(|found| found == field)), "{body}: {found:?}");
    }
    for query in ["synced=1", "synchronised=true", "synced=true&synced=true"] {
        let reply = app.operator("GET", &format!("/api/v1/sync?{query}")).send().await;
        assert!(reply.status.is_client_error(), "{query}: {}", reply.text());
    }
    for query in [
        "status=synced",
        "target=table",
        "limit=0",
        "limit=1001",
        "cursor=x",
        "cursor=failed.dom_1",
        "cursor=synced.dom_1.a",
        "cursor=failed.dom_1.a%00",
        "cursor=failed.dom_1.a&status=pending",
        "page=2",
    ] {
        let reply = app.operator("GET", &format!("/api/v1/sync/links?{query}")).send().await;
        assert!(reply.status.is_client_error(), "{query}: {}", reply.text());
    }
    app.operator("GET", "/api/v1/links/nothing/sync").send().await.assert_problem(404, "not_found");
    app.operator("POST", "/api/v1/links/link_1/sync").send().await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn a_record_that_the_table_cannot_hold_says_why() {
    use waypost_core::{LinkRecord, Slug};
    use waypost_store::{NewLink, SlugChoice};
    let app = TestApp::new().await;
    let good = app.create_link(json!({"destination_url": "https://example.com/"})).await;
    let mut tx = app.store.begin("db_bad").await.unwrap();
    let account_id = good["account_id"].as_str().unwrap().parse().unwrap();
    let domain = tx.get_default_domain().await.unwrap().unwrap();
    let link = NewLink {
        account_id,
        domain_id: domain.domain_id,
        slug: SlugChoice::Chosen(Slug::parse("bad").unwrap()),
        record: LinkRecord::from_url("gopher://example.com/"),
        dedupe_key: None,
        created_at: None,
    };
    let link = tx.create_link(&link, None).await.unwrap();
    tx.commit().await.unwrap();
    app.create_link(json!({"destination_url": "https://example.com/"})).await;
    let path = format!("/api/v1/links/{}/sync", link.link_id);
    let shown = app.operator("GET", &path).send().await.json();
    let table = &shown["targets"][0];
    assert_eq!((&table["status"], &table["synced_version"]), (&json!("failed"), &Value::Null), "{shown}");
    assert!(table["error"].as_str().unwrap().contains("destination_url"), "{shown}");
    let overview = app.operator("GET", "/api/v1/sync").send().await.json();
    assert_eq!(overview["targets"][0]["counts"], json!({"pending": 0, "syncing": 0, "synced": 2, "failed": 1}));
}

#[tokio::test]
async fn a_slug_that_the_edge_would_take_for_another_domains_is_refused() {
    let app = TestApp::new().await;
    app.operator("POST", "/api/v1/domains").json(&json!({"host": "b.example"})).await;
    let link =
        |slug: &str, domain: Value| json!({"destination_url": "https://example.com/", "slug": slug, "domain": domain});
    for slug in ["b.example/x", "B.Example/x/y"] {
        let reply = app.operator("POST", "/api/v1/links").json(&link(slug, Value::Null)).await;
        reply.assert_problem(422, "slug_reserved");
        assert_eq!(reply.errors(), [("slug".to_owned(), "slug_reserved".to_owned())]);
        assert!(reply.text().contains("b.example is a domain of this instance"), "{}", reply.text());
        let body = json!({"links": [link(slug, Value::Null), link("fine", Value::Null)], "dry_run": true});
        let bulk = app.operator("POST", "/api/v1/links/bulk").json(&body).await.json();
        assert_eq!(bulk["results"][0]["problem"]["code"], "slug_reserved", "{bulk}");
        assert_eq!(bulk["results"][1]["status"], 201, "{bulk}");
    }
    for (slug, domain) in [
        ("b.example", Value::Null),
        ("c.example/x", Value::Null),
        ("go.example/x", Value::Null),
        ("b.example/x", json!("b.example")),
    ] {
        let reply = app.operator("POST", "/api/v1/links").json(&link(slug, domain)).await;
        assert_eq!(reply.status, 201, "{slug}: {}", reply.text());
    }
}
