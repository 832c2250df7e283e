//! Requests that are not well formed, too large, or in more than one way to be read.
//!
//! What hyper decides here, and we keep: a bare LF ends a line as CRLF does; a Content-Length beside a Transfer-Encoding
//! is ignored and the connection closed after the answer; equal Content-Lengths count as one.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use support::{Setup, TestEdge};

fn edge() -> TestEdge {
    Setup::new().plain_link("abc").start()
}

/// Sends one request as these bytes, and expects this status and then the end of the connection.
#[track_caller]
fn check_refused(edge: &TestEdge, request: &str, status: u16) {
    let answer = edge.raw(request.as_bytes());
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} was answered {answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?} was answered more than once");
    assert!(!answer.contains("location:"), "{answer:?}");
}

#[test]
fn exactly_one_good_host() {
    let edge = edge();
    for hosts in
        ["", "Host:\r\n", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: u@a\r\n", "Host: a:b\r\n"]
    {
        check_refused(&edge, &format!("GET /abc HTTP/1.1\r\n{hosts}\r\n"), 400);
    }
    check_refused(&edge, "GET /abc HTTP/1.0\r\n\r\n".replace("1.0", "1.1").as_str(), 400);
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let answer = edge().raw(b"GET /abc HTTP/1.0\r\nHost: go.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 302 "), "{answer:?}");
    assert!(answer.contains("location: https://example.com/abc\r\n"), "{answer:?}");
}

#[test]
fn malformed_heads_are_refused() {
    let edge = edge();
    for request in [
        "GET /abc HTTP/1.1\r\nHost : go.example\r\n\r\n",
        "GET /abc HTTP/1.1\r\nHost: go.example\r\n folded: x\r\n\r\n",
        "GET /abc HTTP/1.1\r\nHost: go.example\r\nX: a\0b\r\n\r\n",
        "GET /abc HTTP/1.1\r\nHost: go.example\r\nX: a\rb\r\n\r\n",
        "GET /a\0bc HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET  /abc HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET /abc HTTP/3.7\r\nHost: go.example\r\n\r\n",
        "GET /a bc HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "G(T /abc HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET abc HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
    ] {
        check_refused(&edge, request, 400);
    }
    assert_eq!(edge.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "", "HTTP/2 is not spoken here");
}

#[test]
fn ambiguous_lengths_never_make_two_requests() {
    let edge = edge();
    let smuggled = "GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n";
    for lengths in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 99999999999999999999\r\n",
    ] {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} /abc HTTP/1.1\r\nHost: go.example\r\n{lengths}\r\n0\r\n\r\n{smuggled}");
            check_refused(&edge, &request, 400);
        }
    }
    // Control is the one that takes bodies: the request is read by its chunks, and nothing after it is.
    let both = format!(
        "POST /api/x HTTP/1.1\r\nHost: go.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let answer = edge.raw(both.as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
    assert!(answer.contains("connection: close\r\n"), "{answer:?}");
}

#[test]
fn a_bare_line_feed_ends_a_line() {
    let answer = edge().raw(b"GET /abc HTTP/1.1\nHost: go.example\nConnection: close\n\n");
    assert!(answer.starts_with("HTTP/1.1 302 "), "{answer:?}");
}

#[test]
fn bodies_on_get_are_refused() {
    let edge = edge();
    check_refused(&edge, "GET /abc HTTP/1.1\r\nHost: go.example\r\nContent-Length: 3\r\n\r\nabc", 400);
    check_refused(&edge, "GET / HTTP/1.1\r\nHost: go.example\r\nContent-Length: 3\r\n\r\n", 400);
    let large = "x".repeat(300_000);
    check_refused(
        &edge,
        &format!("GET /abc HTTP/1.1\r\nHost: go.example\r\nContent-Length: 300000\r\n\r\n{large}"),
        400,
    );
    let answer = edge.raw(b"GET /abc HTTP/1.1\r\nHost: go.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 302 "), "{answer:?}");
}

#[test]
fn large_heads_and_targets_are_refused() {
    let edge = edge();
    let head = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: go.example\r\n{headers}\r\n");
    check_refused(&edge, &head("/abc", &format!("X: {}\r\n", "x".repeat(16 * 1024))), 431);
    check_refused(&edge, &head("/abc", &"X: y\r\n".repeat(100)), 431);
    check_refused(&edge, &head(&format!("/{}", "a".repeat(8 * 1024)), ""), 414);
    check_refused(&edge, &head(&format!("/abc?{}", "a".repeat(8 * 1024)), ""), 414);

    let fits = format!("X: {}\r\nConnection: close\r\n", "x".repeat(15 * 1024));
    assert!(edge.raw(head("/abc", &fits).as_bytes()).starts_with("HTTP/1.1 302 "));
    let many = format!("{}Connection: close\r\n", "X: y\r\n".repeat(98));
    assert!(edge.raw(head("/abc", &many).as_bytes()).starts_with("HTTP/1.1 302 "));
    let long = head(&format!("/abc?{}", "a".repeat(8 * 1024 - 5)), "Connection: close\r\n");
    assert!(edge.raw(long.as_bytes()).starts_with("HTTP/1.1 302 "));
}

#[test]
fn raw_utf8_in_a_path_is_read_as_what_it_means() {
    let edge = Setup::new().link("größe", r#"{"destination_url": "https://example.com/size"}"#).start();
    for path in ["/größe", "/gr%C3%B6%C3%9Fe", "/gro\u{308}ße"] {
        let answer =
            edge.raw(format!("GET {path} HTTP/1.1\r\nHost: go.example\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(answer.contains("location: https://example.com/size\r\n"), "{path}: {answer:?}");
    }
    let answer = edge.raw(b"GET /\xff\xfe HTTP/1.1\r\nHost: go.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
}

/// Pieces of requests, good and bad, and bytes of any kind.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let known = prop::sample::select(vec![
        "GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET ",
        "POST ",
        "/abc",
        "/fwd?x=",
        "http://go.example/abc",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "Host: go.example\r\n",
        "Host: other.example\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Location: https://evil.example/\r\n",
        "%0d%0aLocation:%20https://evil.example/",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "0\r\n\r\n",
        " ",
        "+",
    ]);
    let piece = prop_oneof![
        4 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 1..24)
}

#[test]
fn whatever_comes_is_answered_or_closed_and_leads_nowhere_else() {
    let forwarding = r#"{"destination_url": "https://example.com/fwd", "forward_query": true}"#;
    let edge = Setup::new().plain_link("abc").link("fwd", forwarding).start();
    proptest!(ProptestConfig::with_cases(300), |(pieces in pieces())| {
        let mut connection = edge.connect();
        // The edge may close before it has taken everything.
        if connection.send(&pieces.concat()).is_ok() {
            let _ = connection.finish_sending();
        }
        let answers = connection.read_to_close().unwrap();
        // Control's answers are the test double's own; its headers begin with `x-`.
        for line in answers.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"location:")) {
            let line = str::from_utf8(line).unwrap();
            prop_assert!(line.starts_with("location: https://example.com/"), "{line:?}");
        }
        prop_assert_eq!(edge.get("/abc").status, 302);
    });
}
