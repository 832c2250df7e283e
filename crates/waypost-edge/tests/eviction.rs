//! Who has to go when there is no room for another connection, and what those are told who cannot come in.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::pending;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{Setup, TestEdge};
use waypost_edge::ControlHandler;
use waypost_testkit::http::Connection;
use waypost_testkit::wait_until;

const LONG: Duration = Duration::from_secs(8);
const SLOW: &[u8] = b"GET /api/slow HTTP/1.1\r\nHost: go.example\r\n\r\n";
const LINK: &[u8] = b"GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n";

/// An edge with room for so many connections, whose control plane never answers, and how often that was asked.
fn silent_edge(connections_max: usize) -> (TestEdge, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let control: ControlHandler = Arc::new(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(pending())
    });
    let setup = Setup::new().plain_link("abc").control(control);
    (setup.limits(|limits| limits.connections_max = connections_max).start(), asked)
}

#[track_caller]
fn ask(connection: &mut Connection) {
    connection.send(LINK).unwrap();
    assert_eq!(connection.read_response().unwrap().status, 302);
}

#[test]
fn peers_that_pipeline_keep_nobody_out() {
    let (edge, asked) = silent_edge(4);
    let mut pipelining: Vec<_> = (0..4).map(|_| edge.connect()).collect();
    for connection in &mut pipelining {
        connection.send(&SLOW.repeat(50)).unwrap();
    }
    wait_until(LONG, "the requests", || asked.load(Ordering::SeqCst) == 4).unwrap();
    // Those who came in stay, although they are idle for a moment: the others ask without end.
    let mut honest: Vec<_> = (0..4).map(|_| edge.connect()).collect();
    for connection in &mut honest {
        ask(connection);
    }
    for connection in &mut honest {
        ask(connection);
    }
    for connection in &mut pipelining {
        assert!(connection.is_closed().unwrap());
    }
}

#[test]
fn one_whose_request_is_answered_goes_when_there_is_no_other() {
    let (edge, asked) = silent_edge(2);
    let mut busy = [edge.connect(), edge.connect()];
    for (number, connection) in busy.iter_mut().enumerate() {
        connection.send(SLOW).unwrap();
        wait_until(LONG, "the request", || asked.load(Ordering::SeqCst) == number + 1).unwrap();
    }
    let mut newcomer = edge.connect();
    ask(&mut newcomer);
    let [first, _second] = &mut busy;
    assert!(first.is_closed().unwrap(), "the oldest");
    for _ in 0..20 {
        // In place of the one before, not of the one that is answered.
        assert_eq!(edge.get("/abc").status, 302);
    }
}

/// What somebody reads who sends a request with a body, or the error in its place.
fn post(edge: &TestEdge) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(edge.address())?;
    stream.set_read_timeout(Some(LONG))?;
    let head = b"POST /api/v1/links HTTP/1.1\r\nHost: go.example\r\nContent-Length: 20000\r\n\r\n";
    stream.write_all(&[&head[..], &[b'x'; 20_000]].concat())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn whoever_is_turned_away_can_read_why() {
    let (edge, _) = silent_edge(0);
    for _ in 0..4 {
        let answer = post(&edge).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer:?}");
    }
}

#[test]
fn nobody_is_turned_away_for_long() {
    let (edge, _) = silent_edge(0);
    // More than are read from at once, and none of them leaves.
    let mut staying: Vec<_> = (0..20).map(|_| edge.connect()).collect();
    for connection in &mut staying {
        assert_eq!(connection.read_response().unwrap().status, 503);
        assert!(connection.is_closed().unwrap());
    }
    wait_until(LONG, "a place", || post(&edge).is_ok_and(|answer| answer.starts_with("HTTP/1.1 503 "))).unwrap();
}
