//! Requests that are not well formed, too large, or in more than one way to be read.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use proptest::prelude::*;
use support::{Setup, TestEdge, full};
use waypost_edge::ControlHandler;

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
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /abc HTTP/1.1\nHost: go.example\n\n",
        "GET /abc HTTP/1.1\r\nHost: go.example\n\r\n",
        "GET /abc HTTP/1.1\r\nHost: go.example\r\nX: a\x0bb\r\n\r\n",
        "GET /abc HTTP/1.1\r\n Host: go.example\r\n\r\n",
        "GET /abc HTTP/1.1\r\nHost: go.example\r\nX y: z\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
    ] {
        check_refused(&edge, request, 400);
    }
}

/// What says twice, or not at all, how long a body is.
const AMBIGUOUS: &[&str] = &[
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: ,chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 1\r\nContent-Length: 2\r\n",
    "Content-Length: 5\r\ncontent-length: 5\r\n",
    "Content-Length : 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -1\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length:\r\n",
];

#[test]
fn ambiguous_lengths_never_make_two_requests() {
    for plain in [true, false] {
        let edge = Setup::new().config(|config| config.plain_requests = plain).plain_link("abc").start();
        let smuggled = "GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n";
        for lengths in AMBIGUOUS {
            for request in ["GET /abc", "HEAD /abc", "POST /api/x", "POST /abc", "POST /"] {
                let request = format!("{request} HTTP/1.1\r\nHost: go.example\r\n{lengths}\r\n0\r\n\r\n{smuggled}");
                check_refused(&edge, &request, 400);
            }
        }
        // Behind a request that is fine, too: what the engine had once is not the engine's for ever.
        let first = "POST /api/x HTTP/1.1\r\nHost: go.example\r\nContent-Length: 2\r\n\r\nok";
        let two = "Content-Length: 5\r\nContent-Length: 5\r\n";
        let second = format!("POST /api/x HTTP/1.1\r\nHost: go.example\r\n{two}\r\nhello");
        let answers = edge.raw(format!("{first}{second}{smuggled}").as_bytes());
        let statuses: Vec<&str> = answers.matches("HTTP/1.1 ").collect();
        assert_eq!(statuses.len(), 2, "{answers}");
        assert!(answers.starts_with("HTTP/1.1 200 ") && answers.contains("okHTTP/1.1 400 "), "{answers}");
    }
}

#[test]
fn lengths_that_no_body_has_are_told_so() {
    let lengths: &[&str] = &[
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551613",
        "18446744073709551614",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999",
        &"9".repeat(400),
    ];
    let control: ControlHandler = Arc::new(|_, _| {
        let answer = Response::builder().status(413).header("content-type", "application/problem+json");
        Box::pin(async move { answer.body(full(Bytes::from_static(b"{}"))).unwrap() })
    });
    for plain in [true, false] {
        let setup = Setup::new().config(|config| config.plain_requests = plain).plain_link("abc");
        let edge = setup.control(control.clone()).start();
        for length in lengths {
            for path in ["/abc", "/", "/api/v1/links"] {
                let request =
                    format!("POST {path} HTTP/1.1\r\nHost: go.example\r\nContent-Length: {length}\r\n\r\nabc");
                let mut connection = edge.connect();
                connection.send(request.as_bytes()).unwrap();
                connection.finish_sending().unwrap();
                let answer = connection.read_response().unwrap();
                assert!(matches!(answer.status, 413 | 405), "{path} {length}: {}", answer.status);
                assert!(!answer.body.is_empty(), "{path} {length}");
                assert_eq!(answer.header("connection"), Some("close"), "{path} {length}");
                if path.starts_with("/api") {
                    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
                }
            }
        }
    }
}

#[test]
fn malformed_chunks_are_refused() {
    let edge = edge();
    let smuggled = "GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n";
    let head = "POST /api/x HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\n0\r\n\r\n",
        "0\r\n\n",
    ] {
        check_refused(&edge, &format!("{head}{chunks}{smuggled}"), 400);
        // Also where the chunks come later than the head.
        let mut connection = edge.connect();
        connection.send(format!("{head}2\r\n").as_bytes()).unwrap();
        connection.send(format!("ok\r\n{chunks}{smuggled}").as_bytes()).unwrap();
        let answer = String::from_utf8(connection.read_to_close().unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
    }
    let good = format!("{head}5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n{smuggled}{}", head.replace("chunked", "gzip"));
    let answers = edge.raw(good.as_bytes());
    let (first, rest) = answers.split_once("hello").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 ") && rest.starts_with("HTTP/1.1 302 "), "{answers:?}");
}

#[test]
fn bodies_on_get_are_ignored() {
    let edge = edge();
    let next = "GET /abc?next HTTP/1.1\r\nHost: go.example\r\nConnection: close\r\n\r\n";
    for method in ["GET", "HEAD", "DELETE"] {
        for (target, body) in [("/abc", "abc"), ("/none", "abc"), ("/abc", &*"x".repeat(60_000)), ("/abc", "")] {
            let length = body.len();
            let head = format!("{method} {target} HTTP/1.1\r\nHost: go.example\r\nContent-Length: {length}\r\n\r\n");
            let answers = edge.raw(format!("{head}{body}{next}").as_bytes());
            let expect = match (method, target) {
                ("DELETE", _) => "405",
                (_, "/abc") => "302",
                _ => "404",
            };
            assert!(answers.starts_with(&format!("HTTP/1.1 {expect} ")), "{method} {target}: {answers:?}");
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{method} {target} {length}: {answers:?}");
        }
    }
    // More than that is not worth a connection, but the answer arrives.
    let large = "x".repeat(3_000_000);
    let answer =
        edge.raw(format!("GET /abc HTTP/1.1\r\nHost: go.example\r\nContent-Length: 3000000\r\n\r\n{large}").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 302 ") && answer.contains("connection: close\r\n"), "{answer:?}");
}

#[test]
fn http_1_0_needs_no_host() {
    let strict = |setup: Setup| setup.config(|config| config.hosts = waypost_edge::HostPolicy::Strict);
    let edge = strict(Setup::new().plain_link("abc")).start();
    let answer = edge.raw(b"GET /abc HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 302 ") || answer.starts_with("HTTP/1.1 302 "), "{answer:?}");
    let answer = edge.raw(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert!(answer.contains(" 200 OK\r\n") && answer.contains("x-asked: GET /healthz\r\n"), "{answer:?}");
    check_refused(&edge, "GET /abc HTTP/1.1\r\n\r\n", 400);
}

#[test]
fn every_form_of_a_target_is_answered() {
    let edge = Setup::new().plain_link("abc").start();
    let next = "GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n";
    let tunnel = format!("CONNECT go.example:80 HTTP/1.1\r\nHost: go.example\r\n\r\n{next}");
    check_refused(&edge, &tunnel, 405);
    let options = edge.ask("OPTIONS *", &[]);
    assert_eq!((options.status, options.header("allow").is_some()), (204, true));
    assert_eq!(
        edge.ask("OPTIONS http://go.example/api/x", &[]).header("x-asked"),
        Some("OPTIONS http://go.example/api/x")
    );
    for target in ["http://go.example/abc", "http://GO.example:80/abc?x", "HTTP://go.example/abc"] {
        assert_eq!(edge.get(target).status, 302, "{target}");
    }
    assert_eq!(edge.get("http://other.example/abc").status, 400, "Host says something else");
}

#[test]
fn what_browsers_would_escape_is_taken_raw() {
    let forwarding = r#"{"destination_url": "https://example.com/", "forward_query": true}"#;
    let edge = Setup::new().plain_link("abc").link("fwd", forwarding).start();
    let location = |target: &[u8]| {
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: go.example\r\nConnection: close\r\n\r\n"].concat();
        let answer = edge.raw(&request);
        let line = answer.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{answer}"))
    };
    assert_eq!(location(b"/abc?x=\"<>{}|\\^`"), "https://example.com/abc");
    assert_eq!(location(b"/fwd?x=\"<b>\""), "https://example.com/?x=%22%3Cb%3E%22");
    assert_eq!(location(b"/abc?x=\xe4"), "https://example.com/abc");
}

#[test]
fn errors_of_the_api_are_problem_documents() {
    let edge = Setup::new()
        .plain_link("abc")
        .limits(|limits| {
            limits.head_read_timeout = std::time::Duration::from_millis(100);
            limits.body_read_timeout = std::time::Duration::from_millis(100);
        })
        .start();
    let head = |lines: &str| format!(" HTTP/1.1\r\nHost: go.example\r\n{lines}\r\n");
    let long = "x".repeat(20_000);
    for (request, status, code) in [
        (head("Content-Length: 1\r\nContent-Length: 1\r\n"), 400, "bad_request"),
        (head("Host: go.example\r\n"), 400, "bad_request"),
        (head("Transfer-Encoding: gzip\r\n"), 400, "bad_request"),
        (" HTTP/1.1\r\nHost: go".to_owned(), 408, "request_timeout"),
        (head("Content-Length: 5\r\n"), 408, "request_timeout"),
        (head("Transfer-Encoding: chunked\r\n"), 408, "request_timeout"),
        (format!("?{long}{}", head("")), 414, "target_too_long"),
        (format!("?{}{}", &long[..9_000], head("")), 414, "target_too_long"),
        (head(&format!("X: {long}\r\n")), 431, "head_too_large"),
        (head(&"X: y\r\n".repeat(101)), 431, "head_too_large"),
    ] {
        for path in ["/api/v1/links", "/api", "/other"] {
            let answer = edge.raw(format!("POST {path}{request}").as_bytes());
            let start = &request[..request.len().min(60)];
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}{start:?}: {answer:?}");
            let is_problem = answer.contains("content-type: application/problem+json\r\n");
            assert_eq!(is_problem, path != "/other", "{path}{start:?}: {answer:?}");
            assert_eq!(answer.contains(&format!("\"code\":\"{code}\"")), path != "/other", "{answer:?}");
            assert!(answer.contains("connection: close\r\n"), "{answer:?}");
        }
    }
}

#[test]
fn a_target_of_a_megabyte_is_too_long_and_is_told_so() {
    let edge = edge();
    let request = format!("GET /{} HTTP/1.1\r\nHost: go.example\r\n\r\n", "a".repeat(1 << 20));
    check_refused(&edge, &request, 414);
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
