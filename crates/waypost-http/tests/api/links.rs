//! `/api/v1/links`, one at a time and many at once.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{TestApp, on_both_databases};

const URL: &str = "https://example.com/";

on_both_databases! {
    create_read_change_delete,
    versions_are_kept,
    if_match,
    of_many_who_want_one_slug_one_gets_it,
    of_many_who_change_one_version_one_does,
    pages_of_links_stay_whole_while_links_are_made,
    rules_decide_and_the_preview_says_why,
    passwords_are_never_shown,
    a_request_that_comes_twice_is_done_once,
    bulk_says_of_each_what_became_of_it,
    domains_and_letter_case,
    a_domain_without_links_can_be_deleted,
}

async fn create_read_change_delete(app: &TestApp) {
    let reply = app.operator("POST", "/api/v1/links").json(&json!({"destination_url": URL, "slug": "größe"})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("etag"), Some("\"1\""));
    let link = reply.json();
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    assert_eq!(reply.header("location"), Some(path.as_str()));
    assert_eq!(link["short_url"], "https://go.example/gr%C3%B6%C3%9Fe");
    assert_eq!(app.destination("", "größe").as_deref(), Some(URL));

    let read = app.operator("GET", &path).send().await;
    assert_eq!((read.status.as_u16(), read.json()), (200, link.clone()));
    let fields: Vec<&String> = link.as_object().unwrap().keys().collect();
    for field in [
        "id",
        "account_id",
        "short_url",
        "domain",
        "slug",
        "destination_url",
        "version",
        "redirect_status",
        "forward_query",
        "enabled",
        "starts_at",
        "expires_at",
        "expired_url",
        "has_password",
        "rules",
        "evolution_rules",
        "geo_rules",
        "ab_test",
        "link_utms",
        "utm_templates",
        "created_at",
        "updated_at",
    ] {
        assert!(fields.iter().any(|found| *found == field), "{field}");
    }

    let patch = json!({"destination_url": "https://example.com/new", "link_utms": {"utm_source": "mail"}});
    let changed = app.operator("PATCH", &path).header("if-match", "\"1\"").json(&patch).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!((changed.json()["version"].as_u64(), changed.header("etag")), (Some(2), Some("\"2\"")));
    assert_eq!(app.destination("", "größe").as_deref(), Some("https://example.com/new"));
    let cleared = app.operator("PATCH", &path).json(&json!({"link_utms": null})).await;
    assert_eq!(cleared.json()["link_utms"], Value::Null);
    let same = app.operator("PATCH", &path).json(&json!({"enabled": true})).await;
    assert_eq!(same.json()["version"], 3, "a patch that changes nothing makes no version");

    assert_eq!(app.operator("DELETE", &path).send().await.status, 204);
    assert_eq!(app.destination("", "größe"), None);
    app.operator("GET", &path).send().await.assert_problem(404, "not_found");
    app.operator("DELETE", &path).send().await.assert_problem(404, "not_found");
    let again = app.create_link(json!({"destination_url": URL, "slug": "größe"})).await;
    assert_eq!(again["version"], 5, "a slug's versions go on");
    assert_eq!(app.destination("", "größe").as_deref(), Some(URL));
}

async fn versions_are_kept(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": URL})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    app.operator("PATCH", &path).json(&json!({"enabled": false})).await;
    app.operator("DELETE", &path).send().await;
    let versions = app.operator("GET", &format!("{path}/versions")).send().await.json();
    let found: Vec<_> =
        versions["versions"].as_array().unwrap().iter().map(|v| v["version"].as_u64().unwrap()).collect();
    assert_eq!(found, [3, 2, 1]);
    assert_eq!(versions["versions"][0]["link"], Value::Null);
    assert_eq!(versions["versions"][1]["link"]["enabled"], false);
    assert_eq!(versions["versions"][2]["link"]["destination_url"], URL);
    assert_eq!(versions["versions"][2]["changed_by"], "operator");
    let page = app.operator("GET", &format!("{path}/versions?limit=1&before=3")).send().await.json();
    assert_eq!((&page["versions"][0]["version"], &page["next_before"]), (&json!(2), &json!(2)));
}

async fn if_match(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": URL})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let patch = json!({"enabled": false});
    for stale in ["\"2\"", "\"0\"", "\"01\"", "\"+1\"", "W/\"1\"", "\"x\"", "\"7\", \"8\"", "\"7,1\""] {
        let reply = app.operator("PATCH", &path).header("if-match", stale).json(&patch).await;
        reply.assert_problem(412, "stale_version");
        app.operator("DELETE", &path).header("if-match", stale).send().await.assert_problem(412, "stale_version");
    }
    for malformed in ["1", "\"1", "\"1\" \"2\"", "\"1\", *", ","] {
        let reply = app.operator("PATCH", &path).header("if-match", malformed).json(&patch).await;
        reply.assert_problem(400, "bad_request");
    }
    assert_eq!(app.operator("GET", &path).send().await.json()["version"], 1);
    assert_eq!(app.operator("PATCH", &path).header("if-match", "\"9\", \"1\"").json(&patch).await.status, 200);
    assert_eq!(app.operator("PATCH", &path).header("if-match", "*").json(&json!({"enabled": true})).await.status, 200);
    assert_eq!(app.operator("DELETE", &path).header("if-match", "\"3\"").send().await.status, 204);
}

async fn of_many_who_want_one_slug_one_gets_it(app: &TestApp) {
    let calls = (0..64).map(|index| {
        let link = json!({"destination_url": format!("https://example.com/{index}"), "slug": "wanted"});
        async { (app.operator("POST", "/api/v1/links").json(&link).await, link) }
    });
    let replies = join_all(calls).await;
    let winners: Vec<_> = replies.iter().filter(|(reply, _)| reply.status == 201).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(app.destination("", "wanted").as_deref(), winners[0].1["destination_url"].as_str());
    for (reply, _) in replies.iter().filter(|(reply, _)| reply.status != 201) {
        reply.assert_problem(409, "slug_taken");
    }
}

async fn of_many_who_change_one_version_one_does(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": URL, "slug": "raced"})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let calls = (0..32).map(|index| {
        let patch = json!({"destination_url": format!("https://example.com/{index}")});
        let reply = app.operator("PATCH", &path).header("if-match", "\"1\"").json(&patch);
        async { reply.await.status.as_u16() }
    });
    let statuses = join_all(calls).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 31);
}

async fn pages_of_links_stay_whole_while_links_are_made(app: &TestApp) {
    for index in 0..25 {
        app.create_link(json!({"destination_url": URL, "slug": format!("old-{index}")})).await;
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let query = cursor.map_or_else(|| "limit=10".to_owned(), |cursor| format!("limit=10&cursor={cursor}"));
        let page = app.operator("GET", &format!("/api/v1/links?{query}")).send().await.json();
        seen.extend(page["links"].as_array().unwrap().iter().map(|link| link["slug"].as_str().unwrap().to_owned()));
        pages += 1;
        app.create_link(json!({"destination_url": URL, "slug": format!("new-{pages}")})).await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    let old: Vec<String> = (0..25).rev().map(|index| format!("old-{index}")).collect();
    assert_eq!(seen, old, "newest first, nothing twice, nothing left out");

    let exact = app.operator("GET", "/api/v1/links?slug=old-1").send().await.json();
    assert_eq!((exact["links"].as_array().unwrap().len(), &exact["next_cursor"]), (1, &Value::Null));
    let prefix = app.operator("GET", "/api/v1/links?slug_prefix=old-1").send().await.json();
    assert_eq!(prefix["links"].as_array().unwrap().len(), 11);
    for bad in ["limit=0", "limit=x", "limit=1001", "cursor=x", "colour=red", "domain=other.example", "slug=%00"] {
        app.operator("GET", &format!("/api/v1/links?{bad}")).send().await.assert_problem(400, "bad_request");
    }
}

async fn rules_decide_and_the_preview_says_why(app: &TestApp) {
    let link = app
        .create_link(json!({"destination_url": URL, "rules": [{"id": "r1", "when": {"countries": ["DE"]},
            "to": {"url": "https://example.de"}}]}))
        .await;
    assert_eq!(link["rules"][0]["to"]["url"], "https://example.de/", "destinations are kept as they will be sent");
    let path = format!("/api/v1/links/{}/decide", link["id"].as_str().unwrap());
    let decision = app.operator("POST", &path).json(&json!({"visit": {"country": "de"}, "trace": true})).await.json();
    assert_eq!((&decision["location"], &decision["source"]), (&json!("https://example.de/"), &json!("rule")));
    assert!(decision["trace"].as_array().is_some_and(|trace| !trace.is_empty()));
    assert_eq!(app.operator("POST", &path).json(&json!({})).await.json()["location"], URL);
    let record = json!({"record": "https://example.com/x", "visit": {"now": "2026-01-01T00:00:00Z"}});
    assert_eq!(app.operator("POST", "/api/v1/decide").json(&record).await.json()["location"], "https://example.com/x");
    for bad in [
        json!({}),
        json!({"record": 7}),
        json!({"record": "x"}),
        json!({"record": URL, "visit": 7}),
        json!({"record": URL, "x": 1}),
    ] {
        assert_eq!(app.operator("POST", "/api/v1/decide").json(&bad).await.status, 422, "{bad}");
    }
}

async fn passwords_are_never_shown(app: &TestApp) {
    let link = app.create_link(json!({"destination_url": URL, "slug": "p", "password": "hunter2"})).await;
    assert_eq!(link["has_password"], true);
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let versions = app.operator("GET", &format!("{path}/versions")).send().await.text();
    for text in [link.to_string(), versions] {
        assert!(!text.contains("argon2") && !text.contains("hunter2"), "{text}");
    }
    let hash = |bytes: &[u8]| waypost_core::CompactLink::read(bytes).unwrap().password_hash().map(str::to_owned);
    let stored = app.table.get("", "p", hash).unwrap().flatten();
    assert!(stored.is_some_and(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")));
    let kept = app.operator("PATCH", &path).json(&json!({"forward_query": true})).await.json();
    assert_eq!(kept["has_password"], true);
    let cleared = app.operator("PATCH", &path).json(&json!({"password": null})).await.json();
    assert_eq!(cleared["has_password"], false);
}

async fn a_request_that_comes_twice_is_done_once(app: &TestApp) {
    let link = json!({"destination_url": URL});
    let call = |key: &str| app.operator("POST", "/api/v1/links").header("idempotency-key", key);
    let first = call("k1").json(&link).await;
    let second = call("k1").json(&link).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!(first.header("etag"), second.header("etag"));
    call("k1")
        .json(&json!({"destination_url": "https://example.com/other"}))
        .await
        .assert_problem(409, "idempotency_mismatch");
    assert_ne!(call("k2").json(&link).await.body, first.body);
    call("").json(&link).await.assert_problem(400, "bad_request");
    let calls = (0..16).map(|_| async { call("k3").json(&link).await.json()["id"].as_str().unwrap().to_owned() });
    let ids: HashSet<String> = join_all(calls).await.into_iter().collect();
    assert_eq!(ids.len(), 1);
}

async fn bulk_says_of_each_what_became_of_it(app: &TestApp) {
    app.create_link(json!({"destination_url": URL, "slug": "taken"})).await;
    let links = json!([
        {"destination_url": URL, "slug": "one"},
        {"destination_url": URL, "slug": "taken"},
        {"destination_url": "nonsense"},
        {"destination_url": URL, "slug": "one"},
        {"destination_url": URL, "slug": "api"},
        7,
        {"destination_url": URL, "domain": "nowhere.example"},
        {"destination_url": URL, "password": "p"},
        {"destination_url": URL, "created_at": "2020-01-01T00:00:00Z", "slug": "old"},
    ]);
    let statuses = |reply: &Value| -> Vec<u64> {
        reply["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
    };
    let expect = [201, 409, 422, 409, 422, 422, 422, 201, 201];
    let dry = app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": links, "dry_run": true})).await.json();
    assert_eq!((statuses(&dry), &dry["created"], &dry["refused"]), (expect.to_vec(), &json!(3), &json!(6)));
    assert_eq!(app.destination("", "one"), None, "a dry run makes nothing");
    let reply = app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": links})).await.json();
    assert_eq!(statuses(&reply), expect);
    let codes: Vec<_> = reply["results"].as_array().unwrap().iter().map(|r| r["problem"]["code"].as_str()).collect();
    assert_eq!(
        codes[1..7],
        [
            Some("slug_taken"),
            Some("destination_invalid"),
            Some("slug_taken"),
            Some("slug_reserved"),
            Some("invalid_field"),
            Some("domain_unknown"),
        ]
    );
    assert_eq!(reply["results"][0]["short_url"], "https://go.example/one");
    assert_eq!(app.destination("", "one").as_deref(), Some(URL));
    let old = app.operator("GET", "/api/v1/links?slug=old").send().await.json();
    assert_eq!(old["links"][0]["created_at"], "2020-01-01T00:00:00Z");
    let many: Vec<_> = (0..1_001).map(|_| json!({"destination_url": URL})).collect();
    app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": many})).await.assert_problem(422, "invalid_field");
    let thousand = app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": many[..1_000]})).await.json();
    assert_eq!(thousand["created"], 1_000);
    assert_eq!(app.table.stats().unwrap().links, 1_004);
}

async fn domains_and_letter_case(app: &TestApp) {
    let reply =
        app.operator("POST", "/api/v1/domains").json(&json!({"host": "Kurz.Example", "case_insensitive": true})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let domain = reply.json();
    assert_eq!(domain["host"], "kurz.example");
    assert!(app.table.domains().by_host("kurz.example").is_some_and(|domain| domain.case_insensitive), "at the edge");
    let link = app.create_link(json!({"destination_url": URL, "domain": "KURZ.example", "slug": "MiXed"})).await;
    assert_eq!((&link["slug"], &link["short_url"]), (&json!("mixed"), &json!("https://kurz.example/mixed")));
    assert_eq!(app.destination("kurz.example", "mixed").as_deref(), Some(URL));
    let taken = json!({"destination_url": URL, "domain": "kurz.example", "slug": "MIXED"});
    app.operator("POST", "/api/v1/links").json(&taken).await.assert_problem(409, "slug_taken");
    app.create_link(json!({"destination_url": URL, "slug": "mixed"})).await;
    let found = app.operator("GET", "/api/v1/links?domain=kurz.example&slug=MIXED").send().await.json();
    assert_eq!(found["links"][0]["id"], link["id"]);
    let listed = app.operator("GET", "/api/v1/links?domain=kurz.example").send().await.json();
    assert_eq!(listed["links"].as_array().unwrap().len(), 1);
    let looped = json!({"destination_url": "http://kurz.example/x"});
    app.operator("POST", "/api/v1/links").json(&looped).await.assert_problem(422, "destination_loop");

    let path = format!("/api/v1/domains/{}", domain["id"].as_str().unwrap());
    let changed = app.operator("PATCH", &path).json(&json!({"root_url": "https://example.com/home"})).await;
    assert_eq!(changed.json()["root_url"], "https://example.com/home");
    let root = app.table.domains().by_host("kurz.example").and_then(|domain| domain.root_url.clone());
    assert_eq!(root.as_deref(), Some("https://example.com/home"));
    assert_eq!(app.operator("PATCH", &path).json(&json!({"root_url": null})).await.json()["root_url"], Value::Null);
    app.operator("PATCH", &path).json(&json!({"case_insensitive": false})).await.assert_problem(409, "domain_in_use");
    app.operator("POST", "/api/v1/domains")
        .json(&json!({"host": "kurz.example"}))
        .await
        .assert_problem(409, "domain_taken");
    let bad = [
        json!({}),
        json!({"host": "a b"}),
        json!({"host": "x.example", "root_url": "x"}),
        json!({"host": "x.example", "y": 1}),
    ];
    for bad in bad {
        assert_eq!(app.operator("POST", "/api/v1/domains").json(&bad).await.status, 422, "{bad}");
    }
    let hosts = app.operator("GET", "/api/v1/domains").send().await.json();
    let hosts: Vec<_> = hosts["domains"].as_array().unwrap().iter().map(|d| d["host"].as_str().unwrap()).collect();
    assert_eq!(hosts, ["go.example", "kurz.example"]);
}

async fn a_domain_without_links_can_be_deleted(app: &TestApp) {
    let domains = async || app.operator("GET", "/api/v1/domains").send().await.json()["domains"].clone();
    let domain = app.operator("POST", "/api/v1/domains").json(&json!({"host": "gone.example"})).await.json();
    let path = format!("/api/v1/domains/{}", domain["id"].as_str().unwrap());
    let new = json!({"destination_url": URL, "domain": "gone.example", "slug": "a"});
    let link = app.create_link(new.clone()).await;
    let refused = app.operator("DELETE", &path).send().await;
    refused.assert_problem(409, "domain_in_use");
    assert_eq!(refused.json()["detail"], "the domain gone.example has one link, and is deleted only without any");
    let link_path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    assert_eq!(app.operator("DELETE", &link_path).send().await.status, 204);
    assert_eq!(app.operator("DELETE", &path).send().await.status, 204);
    assert!(app.table.domains().by_host("gone.example").is_none(), "the edge does not know it any more");
    assert_eq!(domains().await.as_array().unwrap().len(), 1);
    app.operator("POST", "/api/v1/links").json(&new).await.assert_problem(422, "domain_unknown");
    app.operator("DELETE", &path).send().await.assert_problem(404, "not_found");
    app.operator("PATCH", &path).json(&json!({"root_url": null})).await.assert_problem(404, "not_found");

    app.operator("POST", "/api/v1/domains").json(&json!({"host": "gone.example"})).await;
    assert!(app.create_link(new).await["version"].as_u64() > link["version"].as_u64());
    assert_eq!(app.destination("gone.example", "a").as_deref(), Some(URL), "newer than what the table had of it");
    let default = format!("/api/v1/domains/{}", domains().await[0]["id"].as_str().unwrap());
    app.operator("DELETE", &default).send().await.assert_problem(409, "domain_is_default");
    app.operator("DELETE", "/api/v1/domains/x").send().await.assert_problem(404, "not_found");
}
