//! What a server says, at its start and in its log, where it is not set up as its users come to it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use waypost_testkit::http::{self, Connection, Response, request};
use waypost_testkit::server::Server;
use waypost_testkit::wait_until;

use crate::support::{Folder, WAYPOST};

const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_start_without_a_public_url_says_what_links_will_look_like() {
    let folder = Folder::new();
    let server = folder.serve(&["--listen", "0.0.0.0:0"]);
    wait_until(DEADLINE, "the last line", || server.output().contains("New API key")).unwrap();
    let output = server.output();
    let expect = format!("No public URL is set: short URLs begin with http://localhost:{}", server.address().port());
    assert!(output.contains(&expect) && output.contains("--public-url https://go.example"), "{output}");
    for arguments in [&[][..], &["--listen", "0.0.0.0:0", "--public-url", "https://go.example"]] {
        let folder = Folder::new();
        let server = folder.serve(arguments);
        assert!(!server.output().contains("No public URL"), "{}", server.output());
    }
}

/// Asks for a path with these headers.
fn ask(server: &Server, path: &str, headers: &str) -> Response {
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(format!("GET {path} HTTP/1.1\r\n{headers}Accept: text/html\r\n\r\n").as_bytes()).unwrap();
    connection.read_response().unwrap()
}

#[test]
fn a_host_that_is_not_known_gets_a_page_and_one_line_of_the_log() {
    let folder = Folder::new();
    let server = folder.serve(&["--public-url", "https://go.example"]);
    for path in ["/", "/abc", "/abc+", "/api/v1/links"] {
        let answer = ask(&server, path, "Host: typo.example\r\n");
        assert_eq!((answer.status, answer.text().contains("has no links on this host")), (404, true), "{path}");
    }
    assert_eq!(ask(&server, "/abc", "Host: go.example\r\n").status, 404);
    wait_until(DEADLINE, "the line", || server.output().contains("typo.example")).unwrap();
    // Two where the minute ended in between.
    let lines = server.output().lines().filter(|line| line.contains("typo.example")).count();
    assert!((1..=2).contains(&lines), "{}", server.output());
    assert!(server.output().contains("waypost domain create typo.example"), "{}", server.output());
}

#[test]
fn an_ignored_x_forwarded_for_is_one_line_of_the_log() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    for (path, headers) in [("/abc", "Host: localhost\r\n"), ("/", "Host: localhost\r\n")] {
        ask(&server, path, headers);
    }
    assert!(!server.output().contains("X-Forwarded-For"), "{}", server.output());
    for path in ["/abc", "/", "/abc"] {
        ask(&server, path, "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n");
    }
    wait_until(DEADLINE, "the line", || server.output().contains("X-Forwarded-For of 127.0.0.1 is ignored")).unwrap();
    let lines = server.output().lines().filter(|line| line.contains("X-Forwarded-For")).count();
    assert!((1..=2).contains(&lines), "{}", server.output());
    let trusting = Folder::new();
    let trusting = trusting.serve(&["--trusted-proxies", "127.0.0.0/8"]);
    ask(&trusting, "/abc", "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n");
    ask(&trusting, "/", "Host: localhost\r\n");
    assert!(!trusting.output().contains("X-Forwarded-For"), "{}", trusting.output());
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let folder = Folder::new();
    let data_dir = folder.data_dir();
    let mut command = Command::new(WAYPOST);
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "debug", "--data-dir"]).arg(&data_dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut printed = BufReader::new(process.stdout.take().unwrap());
    // Nobody reads what it logs any more.
    drop(process.stderr.take());
    let mut line = String::new();
    while !line.contains("http://127.0.0.1:") {
        line.clear();
        assert!(printed.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let address = line.trim().rsplit("http://").next().unwrap().parse().unwrap();
    wait_until(DEADLINE, "the server", || http::get(address, "/readyz").is_ok_and(|answer| answer.status == 200))
        .unwrap();
    // Each of these is a line.
    for _ in 0..20 {
        let ignored = [("X-Forwarded-For", "192.0.2.1")];
        assert_eq!(request(address, "GET /abc", &ignored, b"").unwrap().status, 404);
        let body = br#"{"originalUrl": "https://example.com/"}"#;
        assert_eq!(request(address, "POST /api/url", &[], body).unwrap().status, 200);
    }
    process.kill().unwrap();
    process.wait().unwrap();
}
