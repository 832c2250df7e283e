//! Plain requests are answered without the HTTP engine, and byte for byte as the engine answers them.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use proptest::prelude::*;
use support::{Setup, TestEdge};

/// The same links behind an edge that answers plain requests by itself, and one that leaves all to the engine.
fn pair() -> [TestEdge; 2] {
    [true, false].map(|plain| {
        Setup::new()
            .config(|config| config.plain_requests = plain)
            // Requests that wait for more are given up soon.
            .limits(|limits| limits.head_read_timeout = Duration::from_millis(200))
            .plain_link("abc")
            .link("fwd", r#"{"destination_url": "https://example.com/f?a=1#x", "forward_query": true}"#)
            .link("moved", r#"{"destination_url": "https://example.com/moved", "redirect_status": 308}"#)
            .link("see", r#"{"destination_url": "https://example.com/see", "redirect_status": 303}"#)
            .link("gone", r#"{"destination_url": "https://example.com/", "expires_at": "2001-01-01T00:00:00Z"}"#)
            .link("locked", r#"{"destination_url": "https://example.com/", "password_hash": "x"}"#)
            .link("größe", r#"{"destination_url": "https://example.com/size"}"#)
            .link(
                "ruled",
                r#"{"destination_url": "https://example.com/none", "rules": [
                    {"id": "r1", "when": {"devices": ["mobile"]}, "to": {"url": "https://example.com/mobile"}},
                    {"id": "r2", "when": {"languages": ["de"]}, "to": {"url": "https://example.com/de"}},
                    {"id": "r3", "when": {"referrers": ["t.co"]}, "to": {"url": "https://example.com/t"}}]}"#,
            )
            .bytes_on("", "broken", b"no record".to_vec())
            .start()
    })
}

/// Ends whatever was begun, and then the connection. Its sender does not say that it is done: the engine takes that for
/// leaving, when it sees it before it has answered.
const LAST: &[u8] = b"\r\n\r\nGET /abc HTTP/1.1\r\nHost: go.example\r\nConnection: close\r\n\r\n";

/// What comes back, up to the end of the connection, without dates.
fn answers(edge: &TestEdge, pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut connection = edge.connect();
    for piece in pieces.iter().map(Vec::as_slice).chain([LAST]) {
        // The edge may close before it has taken everything.
        if connection.send(piece).is_err() {
            break;
        }
    }
    let bytes = connection.read_to_close().unwrap();
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"date: "));
    lines.flatten().copied().collect()
}

#[track_caller]
fn check(edges: &[TestEdge; 2], pieces: &[Vec<u8>]) {
    let [plain, engine] = edges.each_ref().map(|edge| answers(edge, pieces));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&plain), text(&engine), "asked for {:?}", text(&pieces.concat()));
}

fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: go.example\r\n{fields}\r\n").into_bytes()
}

#[test]
fn every_kind_of_link_is_answered_alike() {
    let edges = pair();
    for target in [
        "/abc",
        "/abc/",
        "/fwd?b=2&a=3",
        "/fwd",
        "/moved",
        "/see",
        "/gone",
        "/locked",
        "/gr%C3%B6%C3%9Fe",
        "/größe",
        "/ruled",
        "/broken",
        "/none",
        "/",
        "/abc+",
        "/api/x",
        "/%61bc",
        "/a%2Fbc",
        "/%00",
        "/abc?%",
        "//abc",
        "/abc#x",
        "http://go.example/abc",
        "*",
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: go.example\r\n\r\n");
            check(&edges, &[request.into_bytes()]);
        }
        check(&edges, &[get(target, "Connection: close\r\n")]);
        check(
            &edges,
            &[get(target, "User-Agent: iPhone Mobile\r\nReferer: https://t.co/x\r\nAccept-Language: de-AT\r\n")],
        );
        check(&edges, &[get(target, "User-Agent: a\r\nuser-agent: b\r\nAccept: application/json\r\nCookie: x\r\n")]);
    }
}

#[test]
fn plain_and_other_requests_are_answered_in_their_order() {
    let edges = pair();
    let all = [
        get("/abc", ""),
        get("/none", ""),
        get("/moved", ""),
        get("/api/x", ""),
        get("/fwd?x=1", ""),
        b"POST /api/x HTTP/1.1\r\nHost: go.example\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        get("/abc", ""),
        get("/see", "Connection: close\r\n"),
        get("/abc", ""),
    ];
    check(&edges, &[all.concat()]);
    check(&edges, &all);
    // In pieces that end anywhere.
    for size in [1, 7, 50] {
        let pieces: Vec<Vec<u8>> = all.concat().chunks(size).map(<[u8]>::to_vec).collect();
        check(&edges, &pieces);
    }
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    for plain in [true, false] {
        let edge = Setup::new()
            .config(|config| config.plain_requests = plain)
            .limits(|limits| limits.requests_per_connection_max = Some(3))
            .plain_link("abc")
            .start();
        let text = edge.raw(&get("/abc", "").repeat(5));
        assert_eq!(text.matches("HTTP/1.1 302").count(), 3, "{text}");
        assert_eq!(text.matches("connection: close").count(), 1, "{text}");
    }
}

#[test]
fn many_pipelined_requests_are_all_answered() {
    let edge = Setup::new().plain_link("abc").start();
    let mut connection = edge.connect();
    // More answers than are held at once; the client reads only after it has sent them all.
    let count = 2_000;
    connection.send(&get("/abc", "").repeat(count)).unwrap();
    for _ in 0..count {
        assert_eq!(connection.read_response().unwrap().status, 302);
    }
}

/// Pieces of requests, good and bad, and bytes of any kind.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let known = prop::sample::select(vec![
        "GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET /ruled HTTP/1.1\r\nHost: go.example\r\nAccept-Language: de\r\n\r\n",
        "HEAD /fwd?q=1 HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET /none HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
        "GET ",
        "HEAD ",
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
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Expect: 100-continue\r\n",
        "X: a\tb\r\n",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "0\r\n\r\n",
        " ",
        "+",
    ]);
    let piece = prop_oneof![
        6 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 1..16)
}

#[test]
fn whatever_comes_is_answered_alike() {
    let edges = pair();
    proptest!(ProptestConfig::with_cases(1_000), |(pieces in pieces())| {
        check(&edges, &[pieces.concat()]);
    });
}
