//! The HTTP client against a listener that answers with prepared bytes.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use waypost_testkit::http::{self, Connection, Response};

/// Answers one connection with `answer`, closes, and returns what it was sent.
fn serve(answer: &'static [u8]) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(answer).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        request
    });
    (address, server)
}

fn answer_to_get(answer: &'static [u8]) -> anyhow::Result<Response> {
    let (address, server) = serve(answer);
    let response = http::get(address, "/x?y");
    let request = server.join().unwrap();
    assert_eq!(request, format!("GET /x?y HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes());
    response
}

#[track_caller]
fn check(answer: &'static [u8], status: u16, body: &str) {
    let response = answer_to_get(answer).unwrap();
    assert_eq!((response.status, response.text().as_str()), (status, body));
}

#[track_caller]
fn check_fails(answer: &'static [u8], reason: &str) {
    let error = format!("{:#}", answer_to_get(answer).unwrap_err());
    assert!(error.contains(reason), "{error}");
}

#[test]
fn bodies_end_where_they_say() {
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi");
    check(b"HTTP/1.1 200 OK\r\n\r\nup to the close", 200, "up to the close");
    check(b"HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    check(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "");
    check(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n",
        200,
        "abc0123456789",
    );
    check(b"HTTP/1.1 404 \r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\nTrailer: 1\r\n\r\n", 404, "");
}

#[test]
fn broken_answers_are_errors() {
    check_fails(b"", "closed before the end of the head");
    check_fails(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", "closed after 2 of 3 bytes");
    check_fails(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "not a length");
    check_fails(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "unclear framing");
    check_fails(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "unclear framing",
    );
    check_fails(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "longer than its size");
    check_fails(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab", "closed inside a chunked body");
    check_fails(b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n", "not a header field");
    check_fails(b"FTP 200\r\n\r\n", "not a status line");
}

#[test]
fn a_pipeline_is_read_one_by_one() {
    let (address, server) = serve(
        b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: 1\r\nx: 2\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz",
    );
    let mut connection = Connection::open(address).unwrap();
    connection.send(b"three requests").unwrap();
    connection.finish_sending().unwrap();
    let redirect = connection.read_response().unwrap();
    assert_eq!((redirect.status, redirect.header("LOCATION")), (302, Some("/a")));
    let head = connection.read_head().unwrap();
    assert_eq!((head.header("content-length"), head.header("X")), (Some("9"), None));
    assert_eq!(head.header_values("X").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(connection.read_response().unwrap().text(), "z");
    assert!(connection.is_closed().unwrap());
    assert_eq!(server.join().unwrap(), b"three requests");
}

#[test]
fn a_body_brings_its_length() {
    let (address, server) = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    http::request(address, "POST /api/url", &[("Content-Type", "application/json")], b"{}").unwrap();
    let request = String::from_utf8(server.join().unwrap()).unwrap();
    assert!(request.ends_with("Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"), "{request}");
}
