//! A server that others try to keep everybody else out of, by connections that they open and do not use.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use waypost_testkit::http::{get, request};
use waypost_testkit::server::{Server, ServerOptions};
use waypost_testkit::wait_until;

use crate::support::{Folder, WAYPOST, path_of, shorten};

const LONG: Duration = Duration::from_secs(20);

/// A server that may have so many open files, after the shell's `ulimit`.
fn serve_with(folder: &Folder, limits: &str) -> Server {
    let script = folder.write("limited", format!("#!/bin/sh\nulimit {limits}\nexec '{WAYPOST}' \"$@\"\n"));
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = ServerOptions { data_dir: Some(folder.data_dir()), ..ServerOptions::new(script) };
    Server::start(&options).unwrap()
}

fn connect_from(source: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect_timeout(&to.into(), LONG).ok()?;
    Some(socket.into())
}

/// What the operating system says of a limit of the server: the soft one, then the hard one.
fn open_files_of(server: &Server) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", server.process_id())).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().skip(3).take(2).map(str::to_owned).collect()
}

#[test]
fn held_connections_stop_nothing() {
    let folder = Folder::new();
    let server = serve_with(&folder, "-n 320");
    let link = shorten(&server, "https://example.com/a");
    let path = path_of(link["shortUrl"].as_str().unwrap()).to_owned();
    let bearer = format!("Bearer {}", folder.run(&["key", "create"]).text());
    let mut held = Vec::new();
    for number in 0..1_100_u32 {
        let source = Ipv4Addr::new(127, 0, 0, 2 + (number % 20) as u8);
        let Some(mut stream) = connect_from(source, server.address()) else { continue };
        let head = match number % 4 {
            0 => "POST /api/url HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n",
            1 => "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n{",
            2 => "GET /healthz HTTP/1.1\r\nHost: loc",
            _ => "",
        };
        // One that had to make room is gone already.
        let _ = stream.write_all(head.as_bytes());
        held.push(stream);
        if number % 100 == 99 {
            assert_eq!(get(server.address(), &path).unwrap().status, 302, "after {number}");
            assert_eq!(get(server.address(), "/healthz").unwrap().status, 200, "after {number}");
        }
    }
    assert_eq!(get(server.address(), "/readyz").unwrap().status, 200);
    let created = request(
        server.address(),
        "POST /api/v1/links",
        &[("Authorization", &bearer), ("Content-Type", "application/json")],
        br#"{"destination_url": "https://example.com/b"}"#,
    )
    .unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
    // Every click is counted: the click log got its files, and the database is reached.
    let audit = || folder.run(&["clicks", "audit", "--json"]).json();
    wait_until(LONG, "the clicks to be counted", || audit()["totals"]["stored"] == 11).unwrap_or_else(|error| {
        panic!("{error}: {}", audit());
    });
    assert_eq!(audit()["ok"], true, "{}", audit());
    let output = server.output();
    let lines = output.lines().filter(|line| line.contains("no room for more connections")).count();
    assert!((1..=2).contains(&lines), "one line a minute, not {lines}:\n{output}");
    assert!(!output.contains("Too many open files"), "{output}");
    drop(held);
}

/// Sends as many requests as are taken, and reads no answer.
fn pipeline(stream: &mut TcpStream, target: &str) {
    stream.set_nonblocking(true).unwrap();
    let requests = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(200);
    while stream.write(requests.as_bytes()).is_ok_and(|count| count > 0) {}
}

#[test]
fn peers_that_take_no_answers_stop_no_redirect() {
    let folder = Folder::new();
    let server = serve_with(&folder, "-n 256");
    let link = shorten(&server, "https://example.com/a");
    let path = path_of(link["shortUrl"].as_str().unwrap()).to_owned();
    let mut held = Vec::new();
    for number in 0..120_u8 {
        let target = if number % 2 == 0 { "/docs/problems".to_owned() } else { format!("{path}+") };
        let mut stream = connect_from(Ipv4Addr::new(127, 0, 0, 2 + number % 20), server.address()).unwrap();
        pipeline(&mut stream, &target);
        held.push((stream, target));
    }
    for (number, (stream, target)) in held.iter_mut().enumerate().take(100) {
        pipeline(stream, target);
        assert_eq!(get(server.address(), &path).unwrap().status, 302, "after {number}");
    }
}

#[test]
fn the_limit_on_open_files_is_raised() {
    let folder = Folder::new();
    let server = serve_with(&folder, "-S -n 200");
    let limits = open_files_of(&server);
    assert_eq!(limits[0], limits[1]);
    assert_ne!(limits[0], "200");
}

#[test]
fn the_local_socket_reads_as_strictly() {
    let folder = Folder::new();
    let _server = folder.serve(&[]);
    let socket = folder.data_dir().join("control.sock");
    let ask = |request: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let next = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for lines in [
        "Content-Length: 2\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "X : y\r\n",
        "X: y\n",
        "X: y\r\n folded\r\n",
    ] {
        let answer = ask(&format!("POST /api/v1/links HTTP/1.1\r\nHost: a\r\n{lines}\r\n0\r\n\r\n{next}"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
    }
    let answers = ask(&format!("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n{next}"));
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2, "{answers:?}");
}
