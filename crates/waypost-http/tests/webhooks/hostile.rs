//! Deliveries that nobody should take: answered with what they are, nothing counted, nothing kept, nothing repeated.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use waypost_http::HttpSettings;

use crate::harness::{Call, Reply, TestApp};
use crate::sender::{
    CLICKS, OTHER, SECRET, app, click, counted, deliver, kept, keys, link, metric, now_s, send, signed,
};

const UNSIGNED: &str = "waypost_webhook_deliveries_total{endpoint=\"analytics\",outcome=\"unsigned\"}";

/// Nothing came of anything so far.
async fn assert_untouched(app: &TestApp) {
    assert_eq!((counted(app).await, kept(app).await), (0, 0));
}

#[track_caller]
fn assert_not_signed(reply: &Reply) {
    reply.assert_problem(401, "signature_invalid");
    assert_eq!(reply.header("www-authenticate"), Some("StandardWebhooks"));
    assert!(!reply.text().contains("canary"), "{}", reply.text());
}

async fn refused(call: Call<'_>, body: &[u8]) {
    assert_not_signed(&call.body(Body::from(body.to_vec())).await);
}

#[tokio::test]
async fn what_is_not_signed_now_by_us_is_401() {
    let app = app().await;
    let mut event = click(&link(&app).await, 1);
    event["referrer"] = "https://canary.example/".into();
    let body = event.to_string().into_bytes();
    let now = now_s();
    let at = |secret: &'static str, time: u64| signed(&app, &[secret], CLICKS, time, &body);
    refused(app.call("POST", CLICKS).header("content-type", "application/json"), &body).await;
    refused(at(OTHER, now), &body).await;
    refused(at(SECRET, now - 302), &body).await;
    refused(at(SECRET, now + 302), &body).await;
    refused(at(SECRET, 0), &body).await;
    refused(at(SECRET, u64::MAX), &body).await;
    for header in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        refused(at(SECRET, now).header(header, ""), &body).await;
        refused(at(SECRET, now).header(header, "canary"), &body).await;
        refused(at(SECRET, now).also(header, "canary"), &body).await;
    }
    refused(at(SECRET, now).header("webhook-id", "msg_canary"), &body).await;
    refused(at(SECRET, now).header("webhook-timestamp", &(now - 1).to_string()), &body).await;
    let mut changed = body.clone();
    changed[20] ^= 1;
    refused(at(SECRET, now), &changed).await;
    refused(at(SECRET, now), &[&body[..], b" "].concat()).await;
    refused(at(SECRET, now), b"").await;
    assert_untouched(&app).await;
    assert_eq!(metric(&app, UNSIGNED).await, 20);
    assert_eq!(deliver(&app, &event).await["counted"], 1);
}

#[tokio::test]
async fn without_a_secret_nothing_is_taken() {
    let app = TestApp::new().await;
    for secrets in [&[SECRET][..], &[]] {
        let reply = signed(&app, secrets, CLICKS, now_s(), b"[]").body("[]").await;
        reply.assert_problem(503, "webhooks_off");
        assert!(reply.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn what_is_too_much_is_413() {
    let app = app().await;
    let link = link(&app).await;
    let large = vec![b' '; 10 << 20];
    send(&app, CLICKS, large.clone()).await.assert_problem(413, "body_too_large");
    app.call("POST", CLICKS).body(large.clone()).await.assert_problem(413, "body_too_large");
    let chunks: Vec<_> = large.chunks(64 << 10).map(Bytes::copy_from_slice).map(Ok::<_, Infallible>).collect();
    let stream = Body::from_stream(futures_util::stream::iter(chunks));
    signed(&app, &[SECRET], CLICKS, now_s(), &large).body(stream).await.assert_problem(413, "body_too_large");
    let mut just = click(&link, 1).to_string().into_bytes();
    just.resize(1 << 20, b' ');
    assert_eq!(send(&app, CLICKS, just.clone()).await.json()["counted"], 1);
    just.push(b' ');
    send(&app, CLICKS, just).await.assert_problem(413, "body_too_large");

    let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    send(&app, CLICKS, many(100_000)).await.assert_problem(413, "too_many_events");
    send(&app, CLICKS, many(1_001)).await.assert_problem(413, "too_many_events");
    assert_eq!((counted(&app).await, kept(&app).await), (1, 0));
}

#[tokio::test]
async fn what_cannot_be_read_is_400_or_422() {
    let app = app().await;
    for bad in ["", "{", "[}", "{\"a\":\u{0}}", "nul"] {
        send(&app, CLICKS, bad).await.assert_problem(400, "bad_json");
    }
    send(&app, CLICKS, b"{\"event_id\":\"\xff\"}".to_vec()).await.assert_problem(400, "bad_json");
    send(&app, CLICKS, "[".repeat(100_000)).await.assert_problem(400, "bad_json");
    for other in ["7", "\"\"", "{}", "[{}]", "[[{}]]", "{\"clicked_at\":{}}", "{\"clicked_at\":1e999}"] {
        send(&app, CLICKS, other).await.assert_problem(422, "not_events");
    }
    let packed = |name: &'static str, value: &str| signed(&app, &[SECRET], CLICKS, now_s(), b"[]").header(name, value);
    for encoding in ["gzip", "br", "identity, gzip", "x"] {
        packed("content-encoding", encoding).body("[]").await.assert_problem(415, "unsupported_media_type");
    }
    packed("content-type", "text/plain").body("[]").await.assert_problem(415, "unsupported_media_type");
    assert_eq!(app.call("GET", CLICKS).send().await.header("allow"), Some("POST"));
    app.call("GET", CLICKS).send().await.assert_problem(405, "method_not_allowed");
    app.call("POST", "/webhooks/nothing").send().await.assert_problem(404, "not_found");
    assert_untouched(&app).await;
}

#[tokio::test]
async fn who_is_too_slow_is_408() {
    let app = TestApp::with(|settings| settings.webhook_keys = keys(&[SECRET])).await;
    let settings = HttpSettings { signed_body_wait: Duration::from_millis(20), ..HttpSettings::default() };
    let app = app.over_http(settings);
    let never = futures_util::stream::pending::<Result<Bytes, Infallible>>();
    let call = signed(&app, &[SECRET], CLICKS, now_s(), b"[]");
    call.body(Body::from_stream(never)).await.assert_problem(408, "request_timeout");
}

#[tokio::test]
async fn bad_events_do_not_hold_up_good_ones() {
    let app = app().await;
    let link = link(&app).await;
    let change = |field: &str, value: Value| {
        let mut event = click(&link, 7);
        event[field] = value;
        event
    };
    let mut events = vec![click(&link, 1)];
    for field in
        ["event_id", "edge_id", "link_id", "account_id", "domain", "slug", "clicked_at", "user_agent", "status"]
    {
        events
            .extend([json!(null), json!({}), json!([[]]), json!(-1.5), json!(true)].map(|value| change(field, value)));
    }
    for (field, value) in [
        ("link_id", json!("link_0196f5a4c0de7c0e8c0e8c0e8c0e8c0e")),
        ("link_id", json!("x\0y")),
        ("domain", json!("other.example")),
        ("clicked_at", json!("9000-01-01T00:00:00Z")),
        ("event_id", json!("00000000-0000-4000-8000-000000000000")),
        ("slug", json!("\0".repeat(100))),
        ("sequence", json!(u64::MAX)),
        ("sequence", json!(1e300)),
    ] {
        events.push(change(field, value));
    }
    events.extend([json!(7), json!("x"), json!([]), click(&link, 2)]);
    let count = events.len();
    let answer = deliver(&app, &events.into()).await;
    // The largest sequence is one that an edge could count to.
    assert_eq!(answer["counted"], 3, "{answer}");
    assert_eq!(answer["refused"], count - 3);
    let results = answer["results"].as_array().unwrap();
    assert!(
        results.iter().all(|item| item["result"] == "counted" || item["error"].as_str().is_some_and(|e| !e.is_empty()))
    );
    assert_eq!(counted(&app).await, 3);
}

/// Signed or not, and changed on the way or not.
#[test]
fn nothing_is_counted_without_a_signature() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (app, link) = runtime.block_on(async {
        let app = app().await;
        let link = link(&app).await;
        (app, link)
    });
    let event = click(&link, 1).to_string();
    let strategy = (
        proptest::option::of("[ -~]{0,40}"),
        proptest::option::of("[ -~]{0,20}"),
        proptest::option::of("(v1,[A-Za-z0-9+/]{43}=|[ -~]{0,60})"),
        prop_oneof![Just(event.into_bytes()), proptest::collection::vec(any::<u8>(), 0..400)],
    );
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) };
    proptest!(config, |((id, timestamp, signature, body) in strategy)| {
        let status = runtime.block_on(async {
            let mut call = app.call("POST", CLICKS).header("content-type", "application/json");
            let now = now_s().to_string();
            call = call.header("webhook-id", id.as_deref().unwrap_or("msg_1"));
            call = call.header("webhook-timestamp", timestamp.as_deref().unwrap_or(&now));
            call = call.header("webhook-signature", signature.as_deref().unwrap_or("v1,"));
            call.body(Body::from(body)).await.status
        });
        prop_assert_eq!(status, StatusCode::UNAUTHORIZED);
    });
    runtime.block_on(assert_untouched(&app));
}
