//! Addresses that ask for many links that do not exist.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use support::{Setup, TestEdge};
use waypost_edge::MissRate;

fn edge(plain: bool) -> TestEdge {
    Setup::new()
        .config(|config| {
            config.plain_requests = plain;
            config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        })
        .limits(|limits| limits.miss_rate = Some(MissRate { count: 1, per_s: 3600, burst: 10 }))
        .plain_link("abc")
        .start()
}

fn ask(edge: &TestEdge, target: &str, from: &str) -> u16 {
    edge.ask(&format!("GET {target}"), &[("X-Forwarded-For", from)]).status
}

#[test]
fn a_scanner_is_told_to_wait_and_nobody_else() {
    for plain in [true, false] {
        let edge = edge(plain);
        for number in 0..10 {
            assert_eq!(ask(&edge, &format!("/none{number}"), "192.0.2.1"), 404);
            assert_eq!(ask(&edge, "/abc", "192.0.2.1"), 302, "links that exist cost nothing");
        }
        let reply = edge.ask("GET /none", &[("X-Forwarded-For", "192.0.2.1")]);
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("10")));
        assert_eq!(reply.header("cache-control"), Some("private, no-store"));
        let json = edge.ask("GET /none", &[("X-Forwarded-For", "192.0.2.1"), ("Accept", "application/json")]);
        assert!(json.text().contains(r#""code":"rate_limited""#), "{}", json.text());
        for _ in 0..100 {
            assert_eq!(ask(&edge, "/abc", "192.0.2.1"), 302, "somebody else behind that address");
        }
        assert_eq!(ask(&edge, "/none", "192.0.2.2"), 404, "another address");
    }
}

#[test]
fn a_miss_counts_whatever_its_method() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let edge = edge(true);
        let ask = |path: &str| edge.ask(&format!("{method} {path}"), &[("X-Forwarded-For", "192.0.2.1")]).status;
        for number in 0..10 {
            assert_eq!(ask(&format!("/none{number}")), 405, "{method}");
            assert_eq!(ask("/abc"), 405, "{method}: links that exist cost nothing");
        }
        assert_eq!(ask("/none"), 429, "{method}");
        assert_eq!(ask("/abc"), 405, "{method}");
        assert_eq!(edge.ask("GET /none", &[("X-Forwarded-For", "192.0.2.1")]).status, 429, "{method}: one limit");
    }
}

#[test]
fn posting_tells_no_more_than_asking() {
    let hidden =
        r#""destination_url": "https://example.com/", "password_hash": "$argon2id$v=19$m=8,t=1,p=1$YWJj$YWJj""#;
    let edge = Setup::new()
        .plain_link("open")
        .link("off", &format!("{{{hidden}, \"enabled\": false}}"))
        .link("early", &format!("{{{hidden}, \"starts_at\": \"2999-01-01T00:00:00Z\"}}"))
        .link("ended", &format!("{{{hidden}, \"expires_at\": \"2020-01-01T00:00:00Z\"}}"))
        .start();
    let answer = |path: &str| {
        let reply = edge.ask(&format!("POST {path}"), &[]);
        (reply.status, reply.text())
    };
    let missing = answer("/missing");
    assert_eq!(missing.0, 405);
    for path in ["/open", "/off", "/early", "/ended"] {
        assert_eq!(answer(path), missing, "{path}");
    }
}

#[test]
fn a_preview_or_code_of_no_link_is_a_miss() {
    let control: waypost_edge::ControlHandler = std::sync::Arc::new(|_, _| {
        Box::pin(async {
            hyper::Response::builder().status(404).body(support::full(bytes::Bytes::from_static(b"none"))).unwrap()
        })
    });
    let edge = Setup::new()
        .control(control)
        .limits(|limits| limits.miss_rate = Some(MissRate { count: 1, per_s: 3600, burst: 2 }))
        .start();
    let statuses = ["/a+", "/b.qr", "/c.qr.png", "/c", "/api/x"].map(|target| edge.get(target).status);
    assert_eq!(statuses, [404, 404, 429, 429, 404]);
}

#[test]
fn a_scan_ends_early_by_default() {
    let edge = Setup::new().plain_link("abc").limits(|limits| limits.miss_rate = Some(MissRate::USUAL)).start();
    let requests: String =
        (0..5_001).map(|number| format!("GET /s{number} HTTP/1.1\r\nHost: go.example\r\n\r\n")).collect();
    let last = "GET /abc HTTP/1.1\r\nHost: go.example\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all((requests + last).as_bytes()).unwrap());
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    sending.join().unwrap();
    let misses = answers.matches("HTTP/1.1 404 ").count();
    // The burst, and what is earned while they are answered.
    assert!((600..1_000).contains(&misses), "{misses}");
    assert_eq!(answers.matches("HTTP/1.1 429 ").count(), 5_001 - misses);
    assert!(answers.split_off(answers.rfind("HTTP/1.1 ").unwrap()).starts_with("HTTP/1.1 302 "));
}
