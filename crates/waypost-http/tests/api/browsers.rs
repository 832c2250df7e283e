//! What browsers ask and are told: forms and scripts of other sites, and compressed answers.

use std::io::Read as _;

use serde_json::json;
use waypost_http::HttpSettings;

use crate::harness::{Reply, TestApp};

const URL: &str = "https://example.com/";

fn posts<'a>(app: &'a TestApp, path: &str, headers: &[(&'static str, &str)]) -> impl Future<Output = Reply> + use<'a> {
    let body = match path {
        "/api/url" => json!({"originalUrl": URL}).to_string(),
        "/" => format!("originalUrl={URL}"),
        _ => "password=right".to_owned(),
    };
    let call = app.call("POST", path).address("192.0.2.1");
    headers.iter().fold(call, |call, (name, value)| call.header(name, value)).body(body)
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let app = TestApp::new().await;
    app.create_link(json!({"slug": "geheim", "destination_url": URL, "password": "right"})).await;
    let cross = ("sec-fetch-site", "cross-site");
    for path in ["/", "/geheim"] {
        let done = if path == "/" { 200 } else { 303 };
        for (headers, status) in [
            (&[][..], done),
            (&[cross], 403),
            (&[("sec-fetch-site", "same-site")], 403),
            (&[("origin", "https://evil.example")], 403),
            (&[("origin", "null")], 403),
            (&[("origin", "https://evil.example"), cross], 403),
            (&[("sec-fetch-site", "same-origin"), ("origin", "null")], done),
            (&[("sec-fetch-site", "none")], done),
            (&[("origin", "https://go.example")], done),
            (&[("origin", "http://go.example")], done),
        ] {
            let reply = posts(&app, path, headers).await;
            assert_eq!(reply.status, status, "{path} {headers:?}");
            assert!(status != 403 || reply.header("set-cookie").is_none());
        }
    }
    assert_eq!(app.table.stats().unwrap().links, 2, "the form's own link and the locked one");
    assert_eq!(posts(&app, "/api/url", &[cross, ("origin", "https://evil.example")]).await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_may_shorten_and_read_the_answer() {
    let app = TestApp::new().await;
    let preflight = app
        .call("OPTIONS", "/api/url")
        .header("origin", "https://any.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .send()
        .await;
    assert_eq!((preflight.status.as_u16(), preflight.body.len()), (204, 0));
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("content-type"));
    let done = posts(&app, "/api/url", &[("origin", "https://any.example")]).await;
    assert_eq!((done.status.as_u16(), done.header("access-control-allow-origin")), (200, Some("*")));
    let refused = app.call("POST", "/api/url").header("origin", "https://any.example").body("{").await;
    assert_eq!((refused.status.as_u16(), refused.header("access-control-allow-origin")), (400, Some("*")));
    // Without a method it is no preflight.
    let plain = app.call("OPTIONS", "/api/url").header("origin", "https://any.example").send().await;
    assert_eq!(plain.status, 405);
}

#[tokio::test]
async fn pages_of_named_origins_may_call_the_api() {
    let settings = HttpSettings { cors_origins: vec!["https://app.example".to_owned()], ..HttpSettings::default() };
    let app = TestApp::new().await.over_http(settings);
    let preflight = |origin: &str, path: &str, method: &str| {
        let call = app.call("OPTIONS", path).header("origin", origin);
        call.header("access-control-request-method", method).send()
    };
    for (path, method) in
        [("/api/v1/links", "POST"), ("/api/v1/links/link_1", "PATCH"), ("/api/v1/keys/key_1", "DELETE")]
    {
        let named = preflight("https://app.example", path, method).await;
        assert_eq!(named.status, 204, "{path}");
        assert_eq!(named.header("access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(named.header("vary"), Some("origin"));
        assert!(named.header("access-control-allow-methods").unwrap().contains(method));
        let headers = named.header("access-control-allow-headers").unwrap();
        assert!(
            ["authorization", "idempotency-key", "if-match"].iter().all(|name| headers.contains(name)),
            "{headers}"
        );
        for other in ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null"] {
            let refused = preflight(other, path, method).await;
            assert_eq!(
                (refused.status.as_u16(), refused.header("access-control-allow-origin")),
                (405, None),
                "{other}"
            );
        }
    }
    let unknown = app.call("GET", "/api/v1/links").header("origin", "https://app.example").send().await;
    unknown.assert_problem(401, "unauthorized");
    assert_eq!(unknown.header("access-control-allow-origin"), Some("https://app.example"), "errors can be read, too");
    assert!(unknown.header("access-control-expose-headers").unwrap().contains("retry-after"));
    assert_eq!(unknown.header("access-control-allow-credentials"), None);
    let page = app.call("GET", "/").header("origin", "https://app.example").send().await;
    assert_eq!(page.header("access-control-allow-origin"), None);
}

fn unpacked(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(reply.body.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn pages_and_files_are_compressed_for_those_who_take_it() {
    let app = TestApp::new().await;
    let page = app.call("GET", "/").send().await;
    let text = page.text();
    let files = ["href=\"/assets/site.", "src=\"/assets/landing."].map(|tag| {
        let rest = text.split(tag).nth(1).unwrap();
        format!("{}{}", tag.split('"').nth(1).unwrap(), rest.split('"').next().unwrap())
    });
    for path in ["/", "/docs/problems"].into_iter().chain(files.iter().map(String::as_str)) {
        let plain = app.call("GET", path).send().await;
        let small = app.call("GET", path).header("accept-encoding", "br, gzip").send().await;
        let refused = app.call("GET", path).header("accept-encoding", "gzip;q=0").send().await;
        assert_eq!(small.header("content-encoding"), Some("gzip"), "{path}");
        assert!(small.body.len() * 10 < plain.body.len() * 7, "{path}: {} of {}", small.body.len(), plain.body.len());
        assert_eq!(unpacked(&small), plain.body, "{path}");
        for reply in [&plain, &refused] {
            assert_eq!((reply.header("content-encoding"), reply.body.len()), (None, plain.body.len()), "{path}");
        }
        for reply in [&plain, &small] {
            assert_eq!((reply.header("vary"), reply.header("etag")), (Some("accept-encoding"), None), "{path}");
        }
        assert_eq!(plain.header("content-type"), small.header("content-type"));
        let head = app.call("HEAD", path).header("accept-encoding", "gzip").send().await;
        let length = small.body.len().to_string();
        assert_eq!((head.header("content-length"), head.body.len()), (Some(length.as_str()), 0), "{path}");
    }
    let link = app.create_link(json!({"destination_url": format!("{URL}{}", "x".repeat(3_000))})).await;
    let path = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
    let answer = app.operator("GET", &path).header("accept-encoding", "gzip").send().await;
    assert_eq!((answer.header("content-encoding"), answer.header("etag")), (None, Some("\"1\"")), "secrets stay apart");
}
