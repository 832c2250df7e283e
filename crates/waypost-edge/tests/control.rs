//! What passes between a client and the control plane: bodies both ways, piece by piece.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Channel};
use hyper::Response;
use hyper::body::{Body, Frame};
use support::{Setup, full};
use tokio::sync::Notify;
use waypost_edge::{BoxError, ControlHandler};
use waypost_testkit::wait_until;

const LONG: Duration = Duration::from_secs(8);

#[test]
fn bodies_arrive_whole() {
    let edge = Setup::new().start();
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut connection = edge.connect();
    for _ in 0..2 {
        let head = format!("POST /api/x HTTP/1.1\r\nHost: go.example\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.send(head.as_bytes()).unwrap();
        connection.send(&body).unwrap();
        assert!(connection.read_response().unwrap().body == body);
    }
    let mut chunked = b"POST /api/x HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    chunked.extend_from_slice(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    connection.send(&chunked).unwrap();
    assert_eq!(connection.read_response().unwrap().body, b"hello world");
}

#[test]
fn answers_stream() {
    let next = Arc::new(Notify::new());
    let go = next.clone();
    let control: ControlHandler = Arc::new(move |_, _| {
        let go = go.clone();
        Box::pin(async move {
            let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
            tokio::spawn(async move {
                for piece in ["one", "two", "three"] {
                    sender.send_data(Bytes::from_static(piece.as_bytes())).await.unwrap();
                    go.notified().await;
                }
            });
            Response::new(body.boxed_unsync())
        })
    });
    let edge = Setup::new().plain_link("abc").control(control).start();
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // Another request waits behind the answer, which must not hold any of it back.
    stream.write_all(b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\nGET /abc HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut received = Vec::new();
    for piece in ["3\r\none\r\n", "3\r\ntwo\r\n", "5\r\nthree\r\n", "0\r\n\r\nHTTP/1.1 302 Found"] {
        while !String::from_utf8_lossy(&received).contains(piece) {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).unwrap();
            assert!(count > 0, "closed before {piece:?}");
            received.extend_from_slice(&chunk[..count]);
        }
        next.notify_one();
    }
}

/// A body without end that counts what is taken of it.
struct Endless(Arc<AtomicU64>);

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.fetch_add(8192, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 8192])))))
    }
}

#[test]
fn a_slow_reader_slows_the_answer_down() {
    let taken = Arc::new(AtomicU64::new(0));
    let count = taken.clone();
    let control: ControlHandler = Arc::new(move |_, _| {
        let body = Endless(count.clone()).boxed_unsync();
        Box::pin(async move { Response::new(body) })
    });
    let edge = Setup::new().plain_link("abc").control(control).start();
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream.write_all(b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\nGET /abc HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // Nothing is read: what the kernel's buffers hold is taken, and then no more, while others are served.
    let mut before = u64::MAX;
    wait_until(LONG, "the answer to pause", || {
        for _ in 0..20 {
            assert_eq!(edge.get("/abc").status, 302);
        }
        std::mem::replace(&mut before, taken.load(Ordering::SeqCst)) == taken.load(Ordering::SeqCst) && before > 0
    })
    .unwrap();
    assert!(before < 64 << 20, "{before} bytes were taken for a reader that reads nothing");
}

#[test]
fn a_body_that_fails_cuts_the_answer() {
    let control: ControlHandler = Arc::new(|_, _| {
        Box::pin(async {
            let (mut sender, body) = Channel::<Bytes, BoxError>::new(2);
            sender.send_data(Bytes::from_static(b"begun")).await.unwrap();
            sender.abort("broken".into());
            Response::new(body.boxed_unsync())
        })
    });
    let edge = Setup::new().plain_link("abc").control(control).start();
    let answer = edge.raw(b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!answer.ends_with("0\r\n\r\n"), "a broken answer must not look whole: {answer:?}");
    assert_eq!(edge.get("/abc").status, 302);
}

#[test]
fn a_panic_in_a_handler_costs_one_connection() {
    let control: ControlHandler = Arc::new(|request, _| {
        assert!(!request.uri().path().ends_with("/panic"), "a handler breaks down");
        Box::pin(async { Response::new(full(Bytes::from_static(b"fine"))) })
    });
    let edge = Setup::new().plain_link("abc").control(control).start();
    let mut bystander = edge.connect();
    bystander.send(b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(bystander.read_response().unwrap().body, b"fine");
    assert_eq!(edge.raw(b"GET /api/panic HTTP/1.1\r\nHost: a\r\n\r\n"), "");
    bystander.send(b"GET /abc HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(bystander.read_response().unwrap().status, 302);
}

#[test]
fn expectations_are_met() {
    let edge = Setup::new().start();
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
        .write_all(b"POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok"), "{answer:?}");
}

#[test]
fn an_early_answer_arrives_whatever_is_still_sent() {
    let control: ControlHandler = Arc::new(|_, _| {
        Box::pin(async { Response::builder().status(413).body(full(Bytes::from_static(b"too large"))).unwrap() })
    });
    let edge = Setup::new().control(control).start();
    let body = vec![b'x'; 20 << 20];
    for _ in 0..5 {
        let mut connection = edge.connect();
        let head = format!("POST /api/x HTTP/1.1\r\nHost: go.example\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.send(head.as_bytes()).unwrap();
        // Reads nothing before all is sent.
        connection.send(&body).unwrap();
        let answer = connection.read_response().unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (413, &b"too large"[..]));
    }
}
