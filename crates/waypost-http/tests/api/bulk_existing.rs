//! A bulk request that meets links that are there: the same twice makes nothing twice.

use serde_json::{Value, json};

use crate::harness::{TestApp, on_both_databases};

async fn bulk(app: &TestApp, links: &Value, if_exists: &str, dry_run: bool) -> Value {
    let body = json!({"links": links, "if_exists": if_exists, "dry_run": dry_run});
    let reply = app.operator("POST", "/api/v1/links/bulk").json(&body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn counts(answer: &Value) -> [u64; 3] {
    ["created", "existing", "refused"].map(|name| answer[name].as_u64().unwrap())
}

fn outcomes(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|result| result["outcome"].as_str().unwrap_or("-")).collect()
}

async fn links_there(app: &TestApp) -> usize {
    let list = app.operator("GET", "/api/v1/links?limit=1000").send().await.json();
    list["links"].as_array().unwrap().len()
}

on_both_databases!(the_same_twice_makes_nothing_twice, a_changed_item_is_kept_or_updated, what_is_of_others_is_taken);

async fn the_same_twice_makes_nothing_twice(app: &TestApp) {
    let links = json!([
        {"destination_url": "https://example.com/", "slug": "named", "redirect_status": 301, "created_at": "2020-01-01"},
        {"destination_url": "https://example.com/"},
        {"destination_url": "https://example.com/", "expires_at": "2020-01-01"},
        {"destination_url": "https://example.com/", "enabled": false},
        {"destination_url": "https://example.com/", "rules": [{"when": {"countries": ["DE"]}, "to": {"url": "https://example.de/"}}]},
        {"destination_url": "https://example.com/secret", "password": "open sesame"},
        {"destination_url": "https://example.com/"},
    ]);
    assert_eq!(counts(&bulk(app, &links, "skip", false).await), [6, 1, 0], "the last is the second once more");
    for (if_exists, dry_run) in [("skip", true), ("skip", false), ("skip", false)] {
        let again = bulk(app, &links, if_exists, dry_run).await;
        assert_eq!((counts(&again), outcomes(&again)), ([0, 7, 0], vec!["unchanged"; 7]), "{again}");
        assert!(again["results"][1]["short_url"].as_str().unwrap().starts_with("https://go.example/"), "{again}");
    }
    assert_eq!(links_there(app).await, 6);
    let updated = bulk(app, &links, "update", false).await;
    assert_eq!(outcomes(&updated)[..5], ["unchanged"; 5], "{updated}");
    assert_eq!((counts(&updated), links_there(app).await), ([0, 7, 0], 6));
    let refused = bulk(app, &json!([links[0]]), "error", false).await;
    assert_eq!(refused["results"][0]["problem"]["code"], "slug_taken", "{refused}");
    let unknown = app.operator("POST", "/api/v1/links/bulk").json(&json!({"links": [], "if_exists": "maybe"})).await;
    unknown.assert_problem(422, "invalid_field");
}

async fn a_changed_item_is_kept_or_updated(app: &TestApp) {
    let first = json!([{"destination_url": "https://example.com/1", "slug": "a", "forward_query": true}]);
    assert_eq!(counts(&bulk(app, &first, "skip", false).await), [1, 0, 0]);
    let second = json!([{"destination_url": "https://example.com/2", "slug": "a"}]);
    assert_eq!(outcomes(&bulk(app, &second, "skip", false).await), ["kept"]);
    assert_eq!(app.destination("", "a").unwrap(), "https://example.com/1");
    assert_eq!(outcomes(&bulk(app, &second, "update", true).await), ["updated"]);
    assert_eq!(app.destination("", "a").unwrap(), "https://example.com/1", "a dry run changes nothing");
    let updated = bulk(app, &second, "update", false).await;
    assert_eq!((outcomes(&updated), &updated["results"][0]["version"]), (vec!["updated"], &json!(2)));
    assert_eq!(app.destination("", "a").unwrap(), "https://example.com/2");
    let shown = app.operator("GET", "/api/v1/links?slug=a").send().await.json()["links"][0].clone();
    assert_eq!(shown["forward_query"], true, "what the item does not name stays");
    assert_eq!(outcomes(&bulk(app, &second, "update", false).await), ["unchanged"]);
    let bad = json!([{"destination_url": "javascript:1", "slug": "a"}]);
    assert_eq!(counts(&bulk(app, &bad, "update", false).await), [0, 0, 1]);
}

async fn what_is_of_others_is_taken(app: &TestApp) {
    let made =
        app.call("POST", "/api/url").address("192.0.2.1").json(&json!({"originalUrl": "https://example.com/"})).await;
    let slug = made.json()["urlKey"].as_str().unwrap().to_owned();
    for if_exists in ["skip", "update"] {
        let answer =
            bulk(app, &json!([{"destination_url": "https://example.com/mine", "slug": slug}]), if_exists, false).await;
        assert_eq!(answer["results"][0]["problem"]["code"], "slug_taken", "{answer}");
    }
    assert_eq!(app.destination("", &slug).unwrap(), "https://example.com/");
    // Without a slug it is the caller's own link, whoever else has one to the same place.
    assert_eq!(
        counts(&bulk(app, &json!([{"destination_url": "https://example.com/"}]), "skip", false).await),
        [1, 0, 0]
    );
}
