//! What a server says, at its start and in its log, where it is not set up as its users come to it.

use std::time::Duration;

use waypost_testkit::http::{Connection, Response};
use waypost_testkit::server::Server;
use waypost_testkit::wait_until;

use crate::support::Folder;

const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_start_without_a_public_url_says_what_links_will_look_like() {
    let folder = Folder::new();
    let server = folder.serve(&["--listen", "0.0.0.0:0"]);
    let output = server.output();
    let expect = format!("No public URL is set: links are made with http://localhost:{}", server.address().port());
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
        assert_eq!((answer.status, answer.text().contains("under this host name")), (404, true), "{path}");
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
