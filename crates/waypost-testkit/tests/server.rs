//! Starting and ending a server process, with a shell script in the place of `waypost`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;
use waypost_testkit::server::{Server, ServerOptions};

/// A listener that answers 503 to the first two requests, then 200, as a server does that is catching up.
fn readiness() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let status = if count < 2 { "503 Service Unavailable" } else { "200 OK" };
            let mut request = [0_u8; 1024];
            let _ = stream.read(&mut request).unwrap();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        }
    });
    address
}

/// A script that stands for the program. The folder holds it.
fn script(body: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waypost");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, path)
}

/// Prints its arguments and the address, then waits for a signal: `read` on a pipe that nobody writes to.
const SERVES: &str = r#"
trap 'echo bye; exit 7' TERM
echo "arguments: $*"
echo "note $NOTE" >&2
echo "listening on http://$ADDRESS"
mkfifo "$3/pipe" && exec 3<>"$3/pipe"
read -r line <&3
"#;

fn options(path: PathBuf) -> ServerOptions {
    let mut options = ServerOptions::new(path);
    options.environment.push(("ADDRESS".to_owned(), readiness().to_string()));
    options.environment.push(("NOTE".to_owned(), "on stderr".to_owned()));
    options.arguments.push("--public-url=http://x.test".to_owned());
    options
}

#[test]
fn a_server_is_started_and_ended() {
    let (_folder, path) = script(SERVES);
    let mut server = Server::start(&options(path)).unwrap();
    assert!(server.url("/x").starts_with("http://127.0.0.1:"));
    assert!(server.data_dir().is_dir());
    let status = server.terminate().unwrap();
    assert_eq!(status.code(), Some(7));
    let expect =
        format!("serve --data-dir {} --listen 127.0.0.1:0 --public-url=http://x.test", server.data_dir().display());
    assert!(server.output().contains(&expect), "{}", server.output());
    assert!(server.output().contains("note on stderr") && server.output().contains("bye"));
    assert!(server.signal("TERM").is_err());
    let data_dir = server.data_dir().to_owned();
    drop(server);
    assert!(!data_dir.exists());
}

#[test]
fn a_kept_data_folder_outlives_a_kill() {
    let (_folder, path) = script(SERVES);
    let data_dir = tempfile::tempdir().unwrap();
    let mut server =
        Server::start(&ServerOptions { data_dir: Some(data_dir.path().to_owned()), ..options(path) }).unwrap();
    server.kill().unwrap();
    drop(server);
    assert!(data_dir.path().join("pipe").exists());
}

#[test]
fn a_server_that_ends_at_once_shows_its_output() {
    let (_folder, path) = script("echo 'the port is in use' >&2; exit 1");
    let error = format!("{:#}", Server::start(&options(path)).unwrap_err());
    assert!(error.contains("exit status: 1") && error.contains("the port is in use"), "{error}");
}
