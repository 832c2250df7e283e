//! Whoever tries wrong passwords holds up neither owners nor those who know the right one.

use futures_util::future::{join, join_all};
use serde_json::json;

use crate::harness::{Reply, TestApp};

const URL: &str = "https://example.com/";

fn post<'a>(app: &'a TestApp, address: &str, body: &'static str) -> impl Future<Output = Reply> + use<'a> {
    app.call("POST", "/geheim").address(address).body(body)
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_keeps_no_owner_from_setting_one() {
    let app = TestApp::new().await;
    app.create_link(json!({"slug": "geheim", "destination_url": URL, "password": "right"})).await;
    let addresses: Vec<_> = (0..80).map(|number| format!("198.51.{number}.1")).collect();
    let flood = join_all(addresses.iter().map(|address| post(&app, address, "password=wrong")));
    let own = async {
        let made = json!({"destination_url": URL, "password": "own"});
        app.operator("POST", "/api/v1/links").json(&made).await
    };
    let (flood, own) = join(flood, own).await;
    assert!(flood.iter().any(|reply| reply.status == 429), "it was a flood");
    assert_eq!(own.status, 201, "{}", own.text());
}

#[tokio::test]
async fn a_hundred_wrong_tries_lock_out_nobody_who_knows() {
    let app = TestApp::new().await;
    app.create_link(json!({"slug": "geheim", "destination_url": URL, "password": "right"})).await;
    for network in 0..20 {
        for _ in 0..5 {
            assert_eq!(post(&app, &format!("198.51.{network}.1"), "password=wrong").await.status, 401, "{network}");
        }
    }
    assert_eq!(post(&app, "203.0.113.1", "password=right").await.status, 303);
    let office = "203.0.113.9";
    // Many people behind one address, who all know it: only wrong tries count against it.
    let open =
        app.operator("POST", "/api/v1/links").json(&json!({"slug": "buero", "destination_url": URL, "password": "p"}));
    assert_eq!(open.await.status, 201);
    for _ in 0..30 {
        assert_eq!(app.call("POST", "/buero").address(office).body("password=p").await.status, 303);
    }
}
