//! A sender of webhooks, and the events it sends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use serde_json::{Value, json};
use waypost_control::ControlSettings;
use waypost_core::Timestamp;
use waypost_core::click::event_id_text;
use waypost_core::webhook::{SignedMessage, WebhookKeys};

use crate::harness::{Call, Data, Reply, TestApp};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
pub(crate) const CLICKS: &str = "/webhooks/analytics";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

pub(crate) fn keys(secrets: &[&str]) -> WebhookKeys {
    WebhookKeys::parse(secrets.iter().copied()).unwrap()
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An app that takes what [`SECRET`] has signed.
pub(crate) async fn app() -> TestApp {
    TestApp::with(|settings| settings.webhook_keys = keys(&[SECRET])).await
}

/// The same over these data.
pub(crate) async fn app_over(data: Data, secrets: &[&str]) -> TestApp {
    TestApp::over(data, |settings: &mut ControlSettings| settings.webhook_keys = keys(secrets)).await
}

/// A signed request, body and all; ids differ from message to message.
pub(crate) fn signed<'a>(app: &'a TestApp, secrets: &[&str], path: &str, timestamp: u64, body: &[u8]) -> Call<'a> {
    static MESSAGES: AtomicU64 = AtomicU64::new(0);
    let (id, timestamp) = (format!("msg_{}", MESSAGES.fetch_add(1, Ordering::Relaxed)), timestamp.to_string());
    let mut signatures = Vec::new();
    keys(secrets).sign(SignedMessage { id: &id, timestamp: &timestamp, body }, &mut signatures);
    app.call("POST", path)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", &timestamp)
        .header("webhook-signature", &String::from_utf8(signatures).unwrap())
}

/// Sends a body, signed now with [`SECRET`].
pub(crate) async fn send(app: &TestApp, path: &str, body: impl Into<Vec<u8>>) -> Reply {
    let body = body.into();
    signed(app, &[SECRET], path, now_s(), &body).body(Body::from(body)).await
}

/// Sends clicks, and asserts that the delivery was taken.
#[track_caller]
pub(crate) fn deliver<'a>(app: &'a TestApp, events: &Value) -> impl Future<Output = Value> + use<'a> {
    let body = events.to_string();
    async move {
        let reply = send(app, CLICKS, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

pub(crate) fn event_id(number: u64) -> String {
    let at = Timestamp::from_micros(1_768_473_000_000_000);
    event_id_text(waypost_core::click::event_id("cf-VIE", 1, number, at))
}

/// A click on this link, as the Worker reports it.
pub(crate) fn click(link: &Value, number: u64) -> Value {
    json!({
        "event_id": event_id(number), "edge_id": "cf-VIE", "link_id": link["id"], "account_id": link["account_id"],
        "domain": "", "slug": link["slug"], "clicked_at": "2026-01-15T10:30:00Z", "ip_address": "192.0.2.0",
        "visitor": "0123456789abcdef", "user_agent": FIREFOX, "device_type": "desktop", "os": "linux", "class": "human",
        "class_reason": "none", "source": "default", "status": 302, "from_a_newer_worker": { "x": [1] },
    })
}

pub(crate) async fn link(app: &TestApp) -> Value {
    app.create_link(json!({ "slug": "a", "destination_url": "https://example.com/" })).await
}

/// All clicks that are counted, as reports say, of all accounts' links that the operator sees.
pub(crate) async fn counted(app: &TestApp) -> u64 {
    let report = app.operator("GET", "/api/v1/reports?from=2020-01-01&interval=none&class=all").send().await;
    assert_eq!(report.status, 200, "{}", report.text());
    report.json()["clicks"].as_u64().unwrap_or_else(|| panic!("{}", report.text()))
}

/// What the metrics say of `name`.
pub(crate) async fn metric(app: &TestApp, name: &str) -> u64 {
    let page = app.operator("GET", "/metrics").send().await.text();
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {page}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// How many refused events are kept.
pub(crate) async fn kept(app: &TestApp) -> usize {
    let page = app.operator("GET", "/api/v1/clicks/refused?limit=1000").send().await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.json()["events"].as_array().unwrap().len()
}
