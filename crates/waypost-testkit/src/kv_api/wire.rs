//! The stand-in's connections: reads HTTP/1.1 requests, and writes answers or the faults that were set instead.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::answers::{Answer, Reaction, answer};
use super::{Fault, Hold, Shared};

/// How often a waiting thread looks whether the stand-in is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The time between two bytes of an answer that drips.
const DRIP_EVERY: Duration = Duration::from_millis(20);
/// How often a held call looks whether it is released.
const HELD_LOOK_EVERY: Duration = Duration::from_millis(1);
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A request, read to its end.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1.as_str())
    }
}

/// Answers the requests of one connection until it, or the stand-in, ends.
pub(super) fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    if stream.set_read_timeout(Some(LOOK_EVERY)).is_err() {
        return;
    }
    let mut received = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut received, shared) {
        wait_where_held(shared);
        let latency = shared.state().latency;
        let began = Instant::now();
        let reaction = answer(&request, &mut shared.state());
        wait(latency.saturating_sub(began.elapsed()), shared);
        if !react(&mut stream, &reaction, shared) {
            return;
        }
    }
}

/// Waits if this is the call that is to be held, until it is released or the stand-in ends.
fn wait_where_held(shared: &Shared) {
    {
        let mut state = shared.state();
        if state.hold != Hold::Next {
            return;
        }
        state.hold = Hold::Held;
    }
    while shared.state().hold == Hold::Held && !shared.is_stopped() {
        std::thread::sleep(HELD_LOOK_EVERY);
    }
}

/// Whether the connection goes on.
fn react(stream: &mut TcpStream, reaction: &Reaction, shared: &Shared) -> bool {
    match reaction {
        Reaction::Answer(answer) => stream.write_all(&bytes_of(answer)).is_ok(),
        Reaction::Fault(Fault::Hang) => {
            while !is_closed(stream) && !shared.is_stopped() {}
            false
        }
        Reaction::Fault(Fault::Drip) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
            let mut goes_on = stream.write_all(head.as_bytes()).is_ok();
            while goes_on && !shared.is_stopped() {
                std::thread::sleep(DRIP_EVERY);
                goes_on = stream.write_all(b" ").is_ok();
            }
            false
        }
        Reaction::Fault(Fault::Truncated) => {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"success\":true,";
            let _ = stream.write_all(head.as_bytes());
            false
        }
        Reaction::Fault(Fault::Reset | Fault::LostAnswer | Fault::Refuse { .. } | Fault::Page(_)) => false,
    }
}

fn bytes_of(answer: &Answer) -> Vec<u8> {
    let retry_after = answer.retry_after.as_ref().map(|value| format!("Retry-After: {value}\r\n")).unwrap_or_default();
    let (status, content_type, length) = (answer.status, answer.content_type, answer.body.len());
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: {content_type}\r\n{retry_after}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &answer.body].concat()
}

/// `None` if the connection or the stand-in ends, or what comes is no request.
fn read_request(stream: &mut TcpStream, received: &mut Vec<u8>, shared: &Shared) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if received.len() > HEAD_BYTES_MAX || !receive(stream, received, shared) {
            return None;
        }
    };
    let head = String::from_utf8(received.drain(..head_end).collect()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let headers = lines.filter_map(field).collect();
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(Some(0), |value| value.parse().ok())?;
    while received.len() < length {
        if !receive(stream, received, shared) {
            return None;
        }
    }
    request.body = received.drain(..length).collect();
    Some(request)
}

/// Reads the bytes that have arrived; false if the connection or the stand-in ends.
fn receive(stream: &mut TcpStream, received: &mut Vec<u8>, shared: &Shared) -> bool {
    let mut chunk = [0_u8; 64 << 10];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return false,
            Ok(count) => {
                received.extend_from_slice(&chunk[..count]);
                return true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shared.is_stopped() {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
}

/// Waits a moment for the caller to close.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0_u8; 1]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

fn wait(time: Duration, shared: &Shared) {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || shared.is_stopped() {
            return;
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}
