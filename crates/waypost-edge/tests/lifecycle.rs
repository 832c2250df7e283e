//! Connections from beginning to end: deadlines, limits, sharing a port, and stopping without losing an answer.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Response;
use support::{KEY, Setup, full, location, open_table};
use tokio::sync::Notify;
use waypost_edge::{ControlHandler, DrainReport, EdgeConfig, EdgeError, start};
use waypost_testkit::http::Connection;
use waypost_testkit::port::ReservedPort;
use waypost_testkit::wait_until;

const REQUEST: &[u8] = b"GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n";
const SOON: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(8);

/// A control plane that answers when told, and says how many requests it has.
fn patient() -> (ControlHandler, Arc<Notify>, Arc<AtomicUsize>) {
    let (go, asked) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (wait, count) = (go.clone(), asked.clone());
    let handler: ControlHandler = Arc::new(move |_, _| {
        let wait = wait.clone();
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            wait.notified().await;
            Response::new(full(Bytes::from_static(b"done")))
        })
    });
    (handler, go, asked)
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn a_head_that_does_not_end_is_given_up() {
    let edge = Setup::new().plain_link("abc").limits(|limits| limits.head_read_timeout = SOON).start();
    let answer = edge.raw(b"GET /abc HTTP/1.1\r\nHost: go.exa");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");

    // Byte by byte does not help, and a good request before it does not either.
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream.write_all(REQUEST).unwrap();
    let started_at = Instant::now();
    let mut stalled = stream.try_clone().unwrap();
    let trickle = std::thread::spawn(move || while stalled.write_all(b"x").is_ok() && started_at.elapsed() < LONG {});
    let mut answer = Vec::new();
    // A reset may follow the answer: the trickle goes on.
    let _ = stream.read_to_end(&mut answer);
    trickle.join().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 302 "));
    assert!(started_at.elapsed() < LONG);
}

#[test]
fn silence_is_closed_without_a_word() {
    let edge = Setup::new()
        .plain_link("abc")
        .limits(|limits| {
            limits.head_read_timeout = SOON;
            limits.idle_timeout = SOON * 3;
        })
        .start();
    assert!(edge.connect().is_closed().unwrap());
    let started_at = Instant::now();
    let mut connection = edge.connect();
    connection.send(REQUEST).unwrap();
    assert_eq!(connection.read_response().unwrap().status, 302);
    assert!(connection.is_closed().unwrap());
    assert!(started_at.elapsed() >= SOON * 3, "an idle connection has the longer deadline");
}

#[test]
fn a_slow_answer_is_not_cut_by_the_idle_deadline() {
    let (control, go, asked) = patient();
    let edge = Setup::new()
        .control(control)
        .limits(|limits| {
            limits.head_read_timeout = SOON;
            limits.idle_timeout = SOON;
        })
        .start();
    let mut slow = edge.connect();
    slow.send(b"GET /api/slow HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
    wait_until(LONG, "the request", || asked.load(Ordering::SeqCst) == 1).unwrap();
    // Two deadlines pass meanwhile, as another connection can tell.
    assert!(edge.connect().is_closed().unwrap());
    assert!(edge.connect().is_closed().unwrap());
    go.notify_one();
    assert_eq!(slow.read_response().unwrap().body, b"done");
    assert!(slow.is_closed().unwrap());
}

#[test]
fn a_peer_that_does_not_read_is_closed() {
    let edge = Setup::new().plain_link("abc").limits(|limits| limits.write_timeout = SOON).start();
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    let batch = REQUEST.repeat(1000);
    let started_at = Instant::now();
    // Never reads: the edge stops answering, then reading, then gives up.
    while stream.write_all(&batch).is_ok() {
        assert!(started_at.elapsed() < LONG, "still taken in");
    }
}

#[test]
fn connections_have_a_last_request() {
    let edge = Setup::new().plain_link("abc").limits(|limits| limits.requests_per_connection_max = Some(3)).start();
    let answers = edge.raw(&REQUEST.repeat(5));
    assert_eq!(answers.matches("HTTP/1.1 302 ").count(), 3, "{answers:?}");
    assert_eq!(answers.matches("connection: close").count(), 1);
    let asked = b"GET /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n";
    assert_eq!(edge.raw(&asked.repeat(5)).matches("HTTP/1.1 200 ").count(), 3);
}

#[test]
fn connections_have_an_age() {
    let edge = Setup::new().plain_link("abc").limits(|limits| limits.connection_age_max = SOON).start();
    let mut connection = edge.connect();
    connection.send(REQUEST).unwrap();
    assert_eq!(connection.read_response().unwrap().status, 302);
    assert!(connection.is_closed().unwrap());
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let edge = Setup::new()
        .limits(|limits| {
            limits.body_read_timeout = SOON;
            limits.connection_age_max = LONG;
        })
        .start();
    for head in [
        "POST /api/url HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n{",
        "POST / HTTP/1.0\r\nContent-Length: 50000\r\n\r\n",
        "GET /none HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n",
        "POST /api/url HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /api/url HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50000\r\n\r\n",
    ] {
        let answer = edge.raw(head.as_bytes());
        let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answer);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{head:?}: {answer:?}");
        assert!(answer.contains("connection: close\r\n"), "{answer:?}");
        // Byte by byte does not help.
        let mut stream = TcpStream::connect(edge.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let (started_at, mut sender) = (Instant::now(), stream.try_clone().unwrap());
        let piece: &[u8] = if head.contains("chunked") { b"1\r\nx\r\n" } else { b"x" };
        let trickle = std::thread::spawn(move || {
            let mut count = 0;
            // Far fewer bytes than the body has, however quickly they leave.
            while count < 1_000 && sender.write_all(piece).is_ok() && started_at.elapsed() < LONG {
                count += 1;
                std::thread::yield_now();
            }
        });
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        trickle.join().unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("HTTP/1.1 408 "), "{head:?}: {answer:?}");
        assert!(started_at.elapsed() < LONG);
    }
    // A body that comes is not late, however long it takes to answer it.
    let mut connection = edge.connect();
    connection.send(b"POST /api/url HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    assert_eq!(connection.read_response().unwrap().body, b"hello");
}

#[test]
fn the_oldest_idle_connection_makes_room() {
    let (control, go, asked) = patient();
    let edge = Setup::new().plain_link("abc").control(control).limits(|limits| limits.connections_max = 4).start();
    let mut busy = edge.connect();
    busy.send(b"GET /api/slow HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
    wait_until(LONG, "the request", || asked.load(Ordering::SeqCst) == 1).unwrap();
    let ask = |connection: &mut Connection| {
        connection.send(REQUEST).unwrap();
        assert_eq!(connection.read_response().unwrap().status, 302);
    };
    let (mut first, mut second, mut third) = (edge.connect(), edge.connect(), edge.connect());
    for connection in [&mut first, &mut second, &mut third] {
        ask(connection);
    }
    // Accepted first, and used last.
    ask(&mut first);
    let mut fourth = edge.connect();
    ask(&mut fourth);
    assert!(second.is_closed().unwrap(), "the one that was idle for longest");
    let mut fifth = edge.connect();
    ask(&mut fifth);
    assert!(third.is_closed().unwrap());
    ask(&mut first);
    for _ in 0..20 {
        assert_eq!(edge.get("/abc").status, 302);
    }
    go.notify_waiters();
    assert_eq!(busy.read_response().unwrap().body, b"done", "a request that is being answered is not cut");
}

#[test]
fn connections_that_hold_back_their_bodies_keep_nobody_out() {
    let edge = Setup::new().plain_link("abc").limits(|limits| limits.connections_max = 20).start();
    let mut held = Vec::new();
    for number in 0..200 {
        let mut connection = edge.connect();
        let request: &[u8] = match number % 3 {
            0 => b"POST /api/url HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n",
            1 => b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
            _ => b"GET /abc HTTP/1.1\r\nHost:",
        };
        // It may have been closed for the next one already.
        let _ = connection.send(request);
        held.push(connection);
        assert_eq!(edge.get("/abc").status, 302);
    }
}

#[test]
fn a_shutdown_finishes_what_was_begun() {
    let (control, go, asked) = patient();
    let port = ReservedPort::new().unwrap();
    let listen = vec![port.address()];
    let setup = Setup::new().plain_link("abc").control(control).config(|config| config.listen = listen);
    let (mut edge, address) = (setup.start(), port.address());
    let mut idle = edge.connect();
    idle.send(REQUEST).unwrap();
    assert_eq!(idle.read_response().unwrap().status, 302);
    let mut silent = edge.connect();
    let mut slow = edge.connect();
    slow.send(b"GET /api/slow HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
    wait_until(LONG, "the request", || asked.load(Ordering::SeqCst) == 1).unwrap();

    let running = edge.edge.take().unwrap();
    let shutdown = std::thread::spawn(move || running.shutdown(LONG));
    wait_until(LONG, "the listener to close", || is_refused(address)).unwrap();
    assert!(idle.is_closed().unwrap(), "idle connections are closed at once");
    assert!(silent.is_closed().unwrap());
    assert!(!shutdown.is_finished(), "the running request is waited for");
    go.notify_one();
    let reply = slow.read_response().unwrap();
    assert_eq!((reply.body.as_slice(), reply.header("connection")), (&b"done"[..], Some("close")));
    let report = shutdown.join().unwrap();
    // A look at the listener may have been a connection too.
    assert!(report.finished >= 3 && report.cut == 0, "{report:?}");
}

#[test]
fn a_shutdown_has_an_end() {
    let (control, _go, asked) = patient();
    let mut edge = Setup::new().control(control).start();
    let mut slow = edge.connect();
    slow.send(b"GET /api/slow HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
    wait_until(LONG, "the request", || asked.load(Ordering::SeqCst) == 1).unwrap();
    assert_eq!(edge.shutdown(SOON), DrainReport { finished: 0, cut: 1 });
    assert!(slow.is_closed().unwrap());
}

#[test]
fn dropping_an_edge_closes_everything() {
    let port = ReservedPort::new().unwrap();
    let listen = vec![port.address()];
    let mut edge = Setup::new().plain_link("abc").config(|config| config.listen = listen).start();
    let mut connection = edge.connect();
    connection.send(REQUEST).unwrap();
    connection.read_response().unwrap();
    edge.edge = None;
    assert!(connection.is_closed().unwrap());
    assert!(is_refused(port.address()));
}

#[test]
fn ipv6_is_served_beside_ipv4() {
    let loopback6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
    let edge = Setup::new().plain_link("abc").config(|config| config.listen.push(loopback6)).start();
    for &address in edge.edge.as_ref().unwrap().local_addrs() {
        let mut connection = Connection::open(address).unwrap();
        connection.send(format!("GET /abc HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(location(&connection.read_response().unwrap()), Some("https://example.com/abc"), "{address}");
    }
}

#[test]
fn a_taken_port_is_named() {
    let edge = Setup::new().start();
    let dir = tempfile::tempdir().unwrap();
    let config = EdgeConfig::new(vec![edge.address()], Arc::new(KEY.into()));
    let refused = start(config, open_table(dir.path()), support::echo());
    let error = refused.err().unwrap();
    assert!(matches!(error, EdgeError::AddressInUse { address } if address == edge.address()), "{error:?}");
    assert_eq!(error.to_string(), format!("{} is already in use", edge.address()));
    let none = start(
        EdgeConfig::new(Vec::new(), Arc::new(KEY.into())),
        open_table(&dir.path().join("other")),
        support::echo(),
    );
    assert!(matches!(none, Err(EdgeError::NoAddress)));
}

#[test]
fn threads_share_a_port() {
    // Whoever answers says which thread it is.
    let control: ControlHandler = Arc::new(|_, _| {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        Box::pin(async move { Response::new(full(Bytes::from(name))) })
    });
    let two = NonZeroUsize::new(2).unwrap();
    let edge = Setup::new().plain_link("abc").control(control).config(|config| config.threads = two).start();
    let mut names = std::collections::BTreeSet::new();
    wait_until(LONG, "both threads to answer", || {
        names.insert(edge.get("/api/x").text());
        assert_eq!(edge.get("/abc").status, 302);
        names.len() == 2
    })
    .unwrap();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["edge-0", "edge-1"]);
}
