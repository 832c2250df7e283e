//! `POST /api/url`.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::TestApp;

#[tokio::test]
async fn three_fields_and_the_link_is_at_the_edge() {
    let app = TestApp::new().await;
    // As `curl -d` sends it, with a field that means nothing here.
    let body = r#"{"originalUrl": "https://Example.com/a?b=ä#c", "turnstileToken": "x"}"#;
    let reply =
        app.call("POST", "/api/url").header("content-type", "application/x-www-form-urlencoded").body(body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let answer = reply.json();
    let key = answer["urlKey"].as_str().unwrap();
    assert!(key.len() == 8 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
    assert_eq!(
        answer,
        json!({"urlKey": key, "shortUrl": format!("https://go.example/{key}"), "originalUrl": "https://Example.com/a?b=ä#c"})
    );
    assert_eq!(app.destination("", key).as_deref(), Some("https://example.com/a?b=%C3%A4#c"));
}

#[tokio::test]
async fn short_urls_never_come_from_the_host_header() {
    let app = TestApp::new().await;
    let call = app.call("POST", "/api/url").header("host", "evil.example").header("x-forwarded-host", "evil.example");
    let reply = call.body(r#"{"originalUrl": "https://example.com/"}"#).await;
    assert!(reply.json()["shortUrl"].as_str().unwrap().starts_with("https://go.example/"));
}

#[tokio::test]
async fn one_url_gives_one_link_however_it_is_written_and_however_many_ask() {
    check_one_link(&TestApp::new().await).await;
}

#[tokio::test]
async fn one_url_gives_one_link_on_postgres() {
    if let Some(app) = TestApp::on_postgres().await {
        check_one_link(&app).await;
        app.stop().await;
    }
}

async fn check_one_link(app: &TestApp) {
    let urls =
        ["https://example.com", "HTTPS://EXAMPLE.COM:443/", " https://example.com/ ", "https://example.com/x/.."];
    let calls = (0..64).map(|index| {
        let body = json!({"originalUrl": urls[index % urls.len()]});
        app.call("POST", "/api/url").address(&format!("192.0.2.{index}")).json(&body)
    });
    let replies = join_all(calls.map(|call| async { call.await.json()["urlKey"].as_str().unwrap().to_owned() }));
    let keys: HashSet<String> = replies.await.into_iter().collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let other = app.call("POST", "/api/url").json(&json!({"originalUrl": "https://example.com/other"})).await;
    assert!(!keys.contains(other.json()["urlKey"].as_str().unwrap()));
}

#[tokio::test]
async fn bad_bodies_are_refused_with_the_reason() {
    let app = TestApp::with(|settings| settings.anonymous_rate = None).await;
    for bad in [
        "",
        " ",
        "{",
        "{}}",
        "null",
        "7",
        "[]",
        "\"x\"",
        "originalUrl=https://example.com",
        "{\"originalUrl\": \"\u{0}\"}",
    ] {
        app.call("POST", "/api/url").body(bad.to_owned()).await.assert_problem(400, "bad_json");
    }
    app.call("POST", "/api/url").body(&b"{\"originalUrl\":\"\xff\"}"[..]).await.assert_problem(400, "bad_json");
    app.call("POST", "/api/url").body("[".repeat(60_000)).await.assert_problem(400, "bad_json");
    app.call("POST", "/api/url").body(r#"{"a":"#.repeat(10_000)).await.assert_problem(400, "bad_json");
    app.call("POST", "/api/url").body("x".repeat(10 << 20)).await.assert_problem(413, "body_too_large");
    for (value, code) in [
        (json!({}), "invalid_field"),
        (json!({"originalurl": "https://example.com"}), "invalid_field"),
        (json!({"originalUrl": null}), "invalid_field"),
        (json!({"originalUrl": 7}), "invalid_field"),
        (json!({"originalUrl": ["https://example.com"]}), "invalid_field"),
        (json!({"originalUrl": ""}), "destination_invalid"),
        (json!({"originalUrl": "example.com/page"}), "destination_invalid"),
        (json!({"originalUrl": "https://"}), "destination_invalid"),
        (json!({"originalUrl": "https://a b/"}), "destination_invalid"),
        (json!({"originalUrl": "https://example.com/\0"}), "destination_invalid"),
        (json!({"originalUrl": "https://example.com/\r\nSet-Cookie: x"}), "destination_invalid"),
        (json!({"originalUrl": "javascript:alert(1)"}), "destination_scheme"),
        (json!({"originalUrl": "ftp://example.com/"}), "destination_scheme"),
        (json!({"originalUrl": "https://user:pw@example.com/"}), "destination_userinfo"),
        (json!({"originalUrl": format!("https://example.com/{}", "x".repeat(8_192))}), "destination_length"),
        (json!({"originalUrl": "https://go.example/abc"}), "destination_loop"),
        (json!({"originalUrl": "https://go.example:8443/abc"}), "destination_loop"),
        (json!({"originalUrl": "https://https://example.com/"}), "destination_invalid"),
    ] {
        let reply = app.call("POST", "/api/url").json(&value).await;
        reply.assert_problem(400, "url_invalid");
        assert_eq!(reply.errors(), [("originalUrl".to_owned(), code.to_owned())], "{value}");
    }
    assert_eq!(app.table.stats().unwrap().links, 0, "nothing was made");
}

#[tokio::test]
async fn addresses_have_an_allowance_each() {
    let app = TestApp::with(|settings| settings.anonymous_rate.as_mut().unwrap().burst = 2).await;
    let body = json!({"originalUrl": "https://example.com/"});
    for _ in 0..2 {
        assert_eq!(app.call("POST", "/api/url").address("192.0.2.1").json(&body).await.status, 200);
    }
    let refused = app.call("POST", "/api/url").address("192.0.2.1").json(&body).await;
    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(app.call("POST", "/api/url").address("192.0.2.2").json(&body).await.status, 200);
    assert_eq!(app.call("POST", "/api/url").address("2001:db8::1").json(&body).await.status, 200);
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let app = TestApp::with(|settings| settings.anonymous_links = false).await;
    let body = json!({"originalUrl": "https://example.com/"});
    app.call("POST", "/api/url").json(&body).await.assert_problem(403, "anonymous_links_off");
    let page = app.call("GET", "/").send().await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("<form"), "{}", page.text());
    assert_eq!(app.call("POST", "/").body("originalUrl=https%3A%2F%2Fexample.com").await.status, 403);
}

#[tokio::test]
async fn what_was_meant_is_offered_and_what_came_along_is_dropped() {
    let app = TestApp::new().await;
    let reply = app.call("POST", "/api/url").json(&json!({"originalUrl": "example.com/page"})).await;
    reply.assert_problem(400, "url_invalid");
    assert!(reply.text().contains("did you mean https://example.com/page?"), "{}", reply.text());
    let reply = app.call("POST", "/").body("originalUrl=example.com%2Fpage").await;
    assert!(reply.text().contains("did you mean https://example.com/page?"), "{}", reply.text());
    let reply = app.call("POST", "/api/url").json(&json!({"originalUrl": "https://example.com/page\n"})).await;
    let slug = reply.json()["urlKey"].as_str().unwrap().to_owned();
    assert_eq!(app.destination("", &slug).as_deref(), Some("https://example.com/page"));
}

#[tokio::test]
async fn bare_addresses_can_be_refused() {
    let app = TestApp::with(|settings| settings.anonymous_address_hosts = false).await;
    for url in [
        "http://127.0.0.1/",
        "http://10.0.0.7/",
        "http://169.254.169.254/",
        "http://[2001:db8::1]/",
        "http://localhost:9000/",
        "http://router/",
    ] {
        let reply = app.call("POST", "/api/url").json(&json!({"originalUrl": url})).await;
        reply.assert_problem(400, "url_invalid");
        assert_eq!(reply.errors()[0].1, "destination_host");
    }
}

#[tokio::test]
async fn an_edited_link_is_not_handed_out_again() {
    let app = TestApp::new().await;
    let body = json!({"originalUrl": "https://example.com/"});
    let first = app.call("POST", "/api/url").json(&body).await.json()["urlKey"].as_str().unwrap().to_owned();
    // Anonymous links belong to an account that no key opens; the store stands in for its moderation.
    let mut tx = app.store.begin("db_delete").await.unwrap();
    let domain = tx.get_default_domain().await.unwrap().unwrap();
    let link = tx.get_link_by_slug(&domain.domain_id, &first).await.unwrap().unwrap();
    tx.delete_link(&link.account_id, &link.link_id, None, None).await.unwrap();
    tx.commit().await.unwrap();
    let second = app.call("POST", "/api/url").json(&body).await.json()["urlKey"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(app.destination("", &first), None, "the deletion is at the edge as well");
}
