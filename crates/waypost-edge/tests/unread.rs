//! Answers that are there before their request's body has been read: whether the connection goes on is said in each.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use support::{Setup, TestEdge, full};
use waypost_edge::ControlHandler;

/// A control plane that reads so many pieces of each body, drops the rest, and answers 401 after so many turns.
fn edge(pieces: usize, turns: usize) -> TestEdge {
    let control: ControlHandler = Arc::new(move |request, _| {
        Box::pin(async move {
            let mut body = request.into_body();
            for _ in 0..pieces {
                body.frame().await;
            }
            drop(body);
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            Response::builder().status(401).body(full(Bytes::from_static(b"no"))).unwrap()
        })
    });
    Setup::new().control(control).start()
}

#[test]
fn an_answer_says_whether_it_is_the_last() {
    let large = "x".repeat(40_000);
    let bodies = [
        "Content-Length: 5\r\n\r\nhello".to_owned(),
        "Content-Length: 50\r\n\r\nhello".to_owned(),
        "Content-Length: 50\r\nExpect: 100-continue\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned(),
        format!("Content-Length: 40000\r\n\r\n{large}"),
        format!("Content-Length: 50000\r\n\r\n{large}"),
        format!("Transfer-Encoding: chunked\r\n\r\n9C40\r\n{large}\r\n0\r\n\r\n"),
    ];
    for (pieces, turns) in [(0, 0), (0, 1), (0, 5), (1, 0), (1, 5)] {
        let edge = edge(pieces, turns);
        for body in &bodies {
            // Of one that expects to be asked for its body, none would come.
            if pieces > 0 && body.contains("Expect") {
                continue;
            }
            let what = format!("{pieces} {turns} {body:.60?}");
            let mut connection = edge.connect();
            let head = "POST /api/v1/links HTTP/1.1\r\nHost: go.example\r\n";
            connection.send(format!("{head}{body}").as_bytes()).unwrap();
            let answer = connection.read_response().unwrap();
            assert_eq!(answer.status, 401, "{what}");
            if answer.header("connection") == Some("close") {
                // It stays open for a while, so that the answer arrives.
                connection.finish_sending().unwrap();
                assert!(connection.is_closed().unwrap(), "{what}");
            } else {
                connection.send(b"GET /api/v1/links HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
                assert_eq!(connection.read_response().map(|next| next.status).unwrap_or_default(), 401, "{what}");
            }
        }
    }
}

#[test]
fn what_was_read_or_has_come_ends_no_connection() {
    for (pieces, body) in [
        (0, "Content-Length: 5\r\n\r\nhello"),
        (1, "Content-Length: 5\r\n\r\nhello"),
        (2, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let edge = edge(pieces, 0);
        let mut connection = edge.connect();
        for _ in 0..3 {
            let request = format!("POST /api/v1/links HTTP/1.1\r\nHost: go.example\r\n{body}");
            connection.send(request.as_bytes()).unwrap();
            let answer = connection.read_response().unwrap();
            assert_eq!((answer.status, answer.header("connection")), (401, None), "{body:?}");
        }
    }
}
