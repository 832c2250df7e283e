//! Where requests end, beside what another server says: a proxy that reads a request in another way than the edge
//! behind it can be made to hand over a request that it has not seen. So the edge takes nothing that nginx refuses, and
//! sees as many requests.
//!
//! Skipped where nginx is not installed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use support::{Setup, TestEdge, full};
use waypost_edge::ControlHandler;
use waypost_testkit::wait_until;

const LONG: Duration = Duration::from_secs(20);
/// How long both wait for the rest of a request.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where a server has taken what came before as one request, it answers this, too.
const NEXT: &str = "GET /abc HTTP/1.1\r\nHost: go.example\r\nConnection: close\r\n\r\n";

/// What the edge takes although nginx refuses it, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("GET /api/x%00 HTTP/1.1\r\nHost: go.example\r\n\r\n", PATH),
    ("GET /api/%zz HTTP/1.1\r\nHost: go.example\r\n\r\n", PATH),
    ("GET /api/../../x HTTP/1.1\r\nHost: go.example\r\n\r\n", PATH),
    ("TRACE /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n", METHOD),
    ("get /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n", METHOD),
];
const PATH: &str = "both end the request at the same place; that no such path exists, the control plane answers";
const METHOD: &str = "both end the request at the same place; that no such method exists, the control plane answers";

/// Reads the whole of a request, as nginx does for the server behind it.
fn control() -> ControlHandler {
    Arc::new(|request, _| {
        Box::pin(async move {
            let status = if request.into_body().collect().await.is_ok() { 200 } else { 400 };
            Response::builder().status(status).body(full(Bytes::from_static(b"ok"))).unwrap()
        })
    })
}

/// A running nginx that reads requests whole and hands them to itself. Ends when dropped.
struct Nginx {
    process: Child,
    dir: tempfile::TempDir,
}

impl Nginx {
    fn start() -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/opt/homebrew/bin/nginx"];
        let program = program.iter().find(|path| Path::new(path).exists())?;
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let folders =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {at}/{kind};"));
        let folders = folders.concat();
        let patience = PATIENCE.as_secs();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/errors; events {{}}
            http {{ access_log off; {folders} client_header_timeout {patience}s; client_body_timeout {patience}s;
            keepalive_timeout {patience}s; lingering_close off;
            server {{ listen unix:{at}/front; location / {{ proxy_pass http://unix:{at}/back; }} }}
            server {{ listen unix:{at}/back; location / {{ return 200 \"ok\"; }} }} }}"
        );
        fs::write(dir.path().join("nginx.conf"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf"));
        command.arg("-e").arg(dir.path().join("errors")).stdout(Stdio::null()).stderr(Stdio::null());
        let nginx = Self { process: command.spawn().unwrap(), dir };
        wait_until(LONG, "nginx", || UnixStream::connect(nginx.socket()).is_ok()).unwrap_or_else(|error| {
            panic!("{error}: {}", fs::read_to_string(nginx.dir.path().join("errors")).unwrap_or_default());
        });
        Some(nginx)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("front")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The statuses of everything that a server answers until it closes.
fn statuses(mut stream: impl Read + Write, request: &[u8]) -> Vec<u16> {
    // It may refuse what it has seen before it has seen all.
    let _ = stream.write_all(request);
    let (mut answers, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        answers.extend_from_slice(&chunk[..count]);
    }
    let text = String::from_utf8_lossy(&answers).into_owned();
    let status = |at: usize| text.get(at + 9..at + 12).and_then(|status| status.parse().ok());
    text.match_indices("HTTP/1.").filter_map(|(at, _)| status(at)).collect()
}

fn ask_nginx(nginx: &Nginx, request: &[u8]) -> Vec<u16> {
    let stream = UnixStream::connect(nginx.socket()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    statuses(stream, request)
}

fn ask_edge(edge: &TestEdge, request: &[u8]) -> Vec<u16> {
    let stream = TcpStream::connect(edge.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let answered = statuses(&stream, request);
    // Whoever was refused is read from for a while, which nobody has to wait for.
    let _ = stream.shutdown(Shutdown::Both);
    answered
}

/// Whether what came first was taken as a request, so that what follows was another one.
fn is_taken(statuses: &[u16]) -> bool {
    statuses.len() > 1
}

/// Header lines that say how long a body is, or seem to, before `0\r\n\r\n`.
const LENGTHS: &[&str] = &[
    "",
    "Content-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 05\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length: 5;\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5.0\r\n",
    "Content-Length:\r\n",
    "Content-Length:\t5\t\r\n",
    "Content-Length: \x0b5\r\n",
    "Content-Length: 5\0\r\n",
    "Content-Length : 5\r\n",
    "Content-Length\t: 5\r\n",
    " Content-Length: 5\r\n",
    "X: y\r\n Content-Length: 5\r\n",
    "Content-Length: 5\n",
    "Content-Length: 5\r\r\n",
    "Content_Length: 5\r\n",
    "Content-Length\0: 5\r\n",
    "Content-Length: 9223372036854775807\r\n",
    "Content-Length: 9223372036854775808\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Content-Length: 18446744073709551621\r\n",
    "Content-Length: 4294967301\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: CHUNKED\r\n",
    "Transfer-Encoding: \tchunked \r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: ,chunked\r\n",
    "Transfer-Encoding: chunked,\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding: \x0bchunked\r\n",
    "Transfer-Encoding: chunked\0\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding\0: chunked\r\n",
    " Transfer-Encoding: chunked\r\n",
    "X: y\r\n Transfer-Encoding: chunked\r\n",
    "X: y\nTransfer-Encoding: chunked\r\n",
    "X: y\rTransfer-Encoding: chunked\r\n",
    "Transfer_Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\n",
    "Transfer-Encoding:\r\n",
];

/// Bodies behind `Transfer-Encoding: chunked`.
const CHUNKS: &[&str] = &[
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0;a\r\nT: v\r\n\r\n",
    "005\r\nhello\r\n00\r\n\r\n",
    "5\nhello\n0\n\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5\r\nhello\r\n\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "\t5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5\0\r\nhello\r\n0\r\n\r\n",
    "5;\0\r\nhello\r\n0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    ";a\r\n0\r\n\r\n",
    "7fffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "8000000000000000\r\nhello\r\n0\r\n\r\n",
    "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "100000005\r\nhello\r\n0\r\n\r\n",
    "0\r\nT: v\r\n folded\r\n\r\n",
    "0\r\nT : v\r\n\r\n",
    "0\r\nT\0: v\r\n\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    "0\r\n\n",
    "0\n\r\n",
    "0\r\n\rX",
    "0",
];

/// Whole heads whose fault is elsewhere.
const HEADS: &[&str] = &[
    "GET /api/x HTTP/1.1\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\nHost: go.example\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\nHost: a.example\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\0\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go/example\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost:\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost : go.example\r\n\r\n",
    "GET /api/x HTTP/1.1\nHost: go.example\n\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\nX\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\nX: a\0b\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\nX: a\rb\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\n: y\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\nX Y: z\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\nX(: z\r\n\r\n",
    "GET /api/x HTTP/1.1\r\nHost: go.example\r\n\tX: y\r\n\r\n",
    "\r\nGET /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "\r\n\r\nGET /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    " GET /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET  /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET\t/api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET /api/x  HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET /api/x HTTP/1.1 \r\nHost: go.example\r\n\r\n",
    "GET /api/ x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET /api/x\0 HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET /api/x%00 HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET /api/%zz HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET /api/../../x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET * HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET http://go.example/api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET http://a.example/api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET http:///api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "CONNECT go.example:80 HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "TRACE /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "get /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "G@T /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "G\0T /api/x HTTP/1.1\r\nHost: go.example\r\n\r\n",
    "GET /api/x HTTP/1.2\r\nHost: go.example\r\n\r\n",
    "GET /api/x HTTP/2.0\r\nHost: go.example\r\n\r\n",
    "GET /api/x HTTP/01.1\r\nHost: go.example\r\n\r\n",
    "GET /api/x HTTP/1.10\r\nHost: go.example\r\n\r\n",
    "GET /api/x http/1.1\r\nHost: go.example\r\n\r\n",
    "GET /api/x HTTP/1\r\nHost: go.example\r\n\r\n",
    "GET /api/x\r\n",
    "GET /api/x HTTP/0.9\r\n\r\n",
    "POST /api/x HTTP/1.0\r\nHost: go.example\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /api/x HTTP/1.0\r\nHost: go.example\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
];

fn corpus() -> Vec<String> {
    let mut requests: Vec<String> = HEADS.iter().map(|head| (*head).to_owned()).collect();
    for lengths in LENGTHS {
        for method in ["POST", "GET"] {
            requests.push(format!("{method} /api/x HTTP/1.1\r\nHost: go.example\r\n{lengths}\r\n0\r\n\r\n"));
        }
    }
    for chunks in CHUNKS {
        requests
            .push(format!("POST /api/x HTTP/1.1\r\nHost: go.example\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    }
    requests
}

#[test]
fn nothing_is_taken_that_nginx_refuses() {
    let Some(nginx) = Nginx::start() else {
        eprintln!("skipped: nginx is not installed");
        return;
    };
    let edge = Setup::new()
        .plain_link("abc")
        .control(control())
        .limits(|limits| {
            limits.head_read_timeout = PATIENCE;
            limits.body_read_timeout = PATIENCE;
        })
        .start();
    let good = format!("POST /api/x HTTP/1.1\r\nHost: go.example\r\nContent-Length: 5\r\n\r\nhello{NEXT}");
    assert_eq!(ask_nginx(&nginx, good.as_bytes()), [200, 200]);
    assert_eq!(ask_edge(&edge, good.as_bytes()), [200, 302]);
    let (mut faults, mut unused) = (Vec::new(), EXCEPTIONS.to_vec());
    std::thread::scope(|scope| {
        let compare = |request: String| {
            let bytes = format!("{request}{NEXT}").into_bytes();
            let (theirs, ours) = (ask_nginx(&nginx, &bytes), ask_edge(&edge, &bytes));
            let is_fine = !is_taken(&ours) && ours.iter().all(|status| *status >= 400)
                || is_taken(&theirs) && theirs.len() == ours.len();
            (request, theirs, ours, is_fine)
        };
        let threads: Vec<_> = corpus().into_iter().map(|request| scope.spawn(move || compare(request))).collect();
        for thread in threads {
            let (request, theirs, ours, is_fine) = thread.join().unwrap();
            let is_known = EXCEPTIONS.iter().any(|(known, _)| *known == request);
            unused.retain(|(known, _)| *known != request || is_fine);
            if !is_fine && !is_known {
                faults.push(format!("{request:?}: nginx {theirs:?}, here {ours:?}"));
            }
        }
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(unused.is_empty(), "these are no exceptions: {unused:?}");
}
