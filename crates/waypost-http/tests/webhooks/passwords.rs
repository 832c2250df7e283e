//! Passwords that edges elsewhere ask about.

use axum::body::Body;
use serde_json::{Value, json};

use crate::harness::TestApp;
use crate::sender::{OTHER, app, metric, now_s, send, signed};

const PATH: &str = "/webhooks/unlock";

async fn ask(app: &TestApp, domain: &str, path: &str, password: &str, address: Option<&str>) -> Value {
    let attempt = json!({ "domain": domain, "path": path, "password": password, "address": address, "newer": 1 });
    let reply = send(app, PATH, attempt.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("set-cookie"), None);
    reply.json()
}

async fn locked(app: &TestApp) {
    app.operator("POST", "/api/v1/domains").json(&json!({ "host": "b.example" })).await;
    for (domain, slug, password) in
        [("go.example", "geheim", "pass wört&"), ("b.example", "geheim", "another"), ("go.example", "late", "x")]
    {
        let mut link =
            json!({ "slug": slug, "domain": domain, "destination_url": "https://example.com/", "password": password });
        if slug == "late" {
            link["expires_at"] = "2020-01-01T00:00:00Z".into();
        }
        app.create_link(link).await;
    }
    app.create_link(json!({ "slug": "open", "destination_url": "https://example.com/" })).await;
}

#[tokio::test]
async fn right_and_wrong_on_every_domain() {
    let app = app().await;
    locked(&app).await;
    for (domain, path, password, outcome) in [
        ("", "/geheim", "pass wört&", "granted"),
        ("", "/geheim", "another", "refused"),
        ("", "/geheim", "", "refused"),
        ("go.example", "/geheim", "pass wört&", "granted"),
        ("b.example", "/geheim", "another", "granted"),
        ("B.example", "/geheim", "another", "granted"),
        ("b.example", "/geheim", "pass wört&", "refused"),
        ("c.example", "/geheim", "pass wört&", "not_found"),
        ("b.example", "/open", "x", "not_found"),
        ("", "/nothing", "x", "not_found"),
        ("", "geheim", "pass wört&", "not_found"),
        ("", "", "x", "not_found"),
        ("", "/late", "x", "gone"),
        ("", "/open", "x", "not_locked"),
    ] {
        let answer = ask(&app, domain, path, password, None).await;
        assert_eq!(answer, json!({ "outcome": outcome }), "{domain} {path} {password}");
    }
}

#[tokio::test]
async fn guessing_is_slowed_by_visitor() {
    let app = app().await;
    locked(&app).await;
    for _ in 0..5 {
        assert_eq!(ask(&app, "", "/geheim", "wrong", Some("192.0.2.1")).await["outcome"], "refused");
    }
    let throttled = ask(&app, "", "/geheim", "pass wört&", Some("192.0.2.1")).await;
    assert_eq!(throttled["outcome"], "throttled");
    assert!(throttled["retry_after_s"].as_u64().is_some_and(|seconds| seconds >= 1), "{throttled}");
    assert_eq!(ask(&app, "", "/geheim", "pass wört&", Some("192.0.2.2")).await["outcome"], "granted");
    assert_eq!(ask(&app, "b.example", "/geheim", "another", Some("192.0.2.1")).await["outcome"], "granted");
}

#[tokio::test]
async fn only_who_signs_is_told_anything() {
    let app = app().await;
    locked(&app).await;
    let attempt = json!({ "domain": "", "path": "/geheim", "password": "pass wört&" }).to_string();
    let unsigned = app.call("POST", PATH).header("content-type", "application/json").body(attempt.clone()).await;
    unsigned.assert_problem(401, "signature_invalid");
    let foreign = signed(&app, &[OTHER], PATH, now_s(), attempt.as_bytes()).body(Body::from(attempt.clone())).await;
    foreign.assert_problem(401, "signature_invalid");
    send(&app, PATH, "x").await.assert_problem(400, "bad_json");
    for bad in [
        json!({}),
        json!({ "path": "/geheim", "password": 90_210 }),
        json!({ "path": "/geheim", "password": ["90210"] }),
        json!({ "path": 7, "password": "90210" }),
        json!({ "path": "/geheim", "password": "90210", "address": "here" }),
    ] {
        let reply = send(&app, PATH, bad.to_string()).await;
        reply.assert_problem(422, "invalid_field");
        assert!(!reply.text().contains("90"), "{}", reply.text());
    }
    let long = json!({ "path": "/geheim", "password": "x".repeat(20_000) });
    send(&app, PATH, long.to_string()).await.assert_problem(413, "body_too_large");
    let unsigned = "waypost_webhook_deliveries_total{endpoint=\"unlock\",outcome=\"unsigned\"}";
    assert_eq!(metric(&app, unsigned).await, 2);
}

/// A Worker waits five seconds for an answer, and then has nothing to show but that nothing works. Twelve who know a
/// password on which too many tried others have their turns a second apart.
#[tokio::test]
async fn who_would_wait_longer_than_a_worker_does_is_told_to_try_again() {
    let app = app().await;
    locked(&app).await;
    for network in 0..20 {
        let address = format!("198.51.{network}.1");
        for _ in 0..5 {
            ask(&app, "", "/geheim", "wrong", Some(&address)).await;
        }
    }
    let addresses: Vec<String> = (0..12).map(|network| format!("203.0.{network}.1")).collect();
    let asked = addresses.iter().map(|address| ask(&app, "", "/geheim", "pass wört&", Some(address)));
    let answers = futures_util::future::join_all(asked).await;
    let count = |outcome: &str| answers.iter().filter(|answer| answer["outcome"] == outcome).count();
    assert!(count("granted") > 0 && count("granted") + count("throttled") == 12, "{answers:?}");
    assert!(count("throttled") >= 6, "three seconds are four turns: {answers:?}");
    assert!(
        answers.iter().all(|answer| answer["outcome"] == "granted" || answer["retry_after_s"].is_u64()),
        "{answers:?}"
    );
}
