//! Answers that go on end with the key that opened them.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use waypost_core::Timestamp;

use crate::harness::TestApp;

/// What is promised: five seconds.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

async fn new_key(app: &TestApp, body: Value) -> (String, String) {
    let made = app.operator("POST", "/api/v1/keys").json(&body).await.json();
    (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

async fn feed(app: &TestApp, key: &str) -> Body {
    let mut body = app.with_key(key, "GET", "/api/v1/clicks/live").body_of(Body::empty()).await;
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, ": waiting for clicks\n\n");
    body
}

async fn ends(mut body: Body) -> bool {
    let end = async { while body.frame().await.is_some() {} };
    tokio::time::timeout(ENDS_WITHIN, end).await.is_ok()
}

#[tokio::test]
async fn a_feed_ends_with_its_key_and_others_go_on() {
    let app = TestApp::new().await;
    let ((key, id), (other, _)) = (new_key(&app, json!({})).await, new_key(&app, json!({})).await);
    let (feed_of_key, mut feed_of_other) = (feed(&app, &key).await, feed(&app, &other).await);
    assert_eq!(app.operator("DELETE", &format!("/api/v1/keys/{id}")).send().await.status, 204);
    assert!(ends(feed_of_key).await);
    let goes_on = tokio::time::timeout(Duration::from_millis(300), feed_of_other.frame()).await;
    assert!(goes_on.is_err(), "{goes_on:?}");
}

#[tokio::test]
async fn a_feed_ends_with_a_key_that_another_process_revokes() {
    let app = TestApp::new().await;
    let (key, id) = new_key(&app, json!({})).await;
    let feed = feed(&app, &key).await;
    let mut tx = app.store.begin("db_revoke").await.unwrap();
    let owner =
        tx.authenticate_api_key(&key[3..11], &<sha2::Sha256 as sha2::Digest>::digest(&key).into()).await.unwrap();
    tx.revoke_api_key(&owner.unwrap().account_id, &id.parse().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(ends(feed).await);
}

#[tokio::test]
async fn a_feed_ends_when_its_key_expires() {
    let app = TestApp::new().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let expires_at = Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap() + 1_500_000);
    let (key, _) = new_key(&app, json!({"expires_at": expires_at.to_string()})).await;
    assert!(ends(feed(&app, &key).await).await);
}
