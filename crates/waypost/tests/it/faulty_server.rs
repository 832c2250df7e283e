//! Servers that misbehave: an import must say how far it came, and wait where it is asked to.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::support::{Folder, run};

/// What to answer to the body of a bulk call; `None` closes the connection.
type Answer = dyn Fn(&str) -> Option<(u16, Value)> + Send + Sync;

/// A server that answers each request with what `answer` makes of its body. Its thread ends with the test's process.
fn start(answer: Arc<Answer>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || while serve_one(&stream, answer.as_ref()).is_some() {});
        }
    });
    url
}

/// Answers one request; `None` where the connection is to be closed.
fn serve_one(mut stream: &TcpStream, answer: &Answer) -> Option<()> {
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    let (head, length) = loop {
        if let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            break (head + 4, length.unwrap_or(0));
        }
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        received.extend_from_slice(&chunk[..count]);
    };
    while received.len() < head + length {
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        received.extend_from_slice(&chunk[..count]);
    }
    let (status, body) = answer(str::from_utf8(&received[head..]).unwrap())?;
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} x\r\nRetry-After: 0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).ok()
}

fn all_made(body: &str) -> (u16, Value) {
    let body: Value = serde_json::from_str(body).unwrap();
    let link = |number| json!({ "id": format!("link_{number}"), "short_url": "https://go.example/a", "slug": "a", "status": 201, "version": 1 });
    let results: Vec<Value> = (0..body["links"].as_array().unwrap().len()).map(link).collect();
    (200, json!({ "created": results.len(), "dry_run": false, "existing": 0, "refused": 0, "results": results }))
}

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("\"https://example.com/n{number}x\"\n")).collect()
}

#[test]
fn an_import_that_stops_says_where_to_go_on() {
    let folder = Folder::new();
    let file = folder.write("links.ndjson", lines(3_500));
    // The first two batches of 1,000 are answered, those after them are cut off.
    let url = start(Arc::new(|body: &str| {
        let is_early = body.contains("/n0x") || body.contains("/n1000x");
        is_early.then(|| all_made(body))
    }));
    let import = run(&["import", &file, "--server", &url, "--key", "k"]);
    let fault = import.fault(1);
    assert!(fault.contains("everything up to line 2000 was answered; continue with --from-line 2001"), "{fault}");
}

#[test]
fn an_import_waits_when_it_is_asked_to() {
    let folder = Folder::new();
    let file = folder.write("links.ndjson", lines(10));
    let calls = Arc::new(AtomicUsize::new(0));
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let url = start(Arc::new({
        let (calls, bodies) = (Arc::clone(&calls), Arc::clone(&bodies));
        move |body: &str| {
            bodies.lock().unwrap().push(body.to_owned());
            let is_refused = calls.fetch_add(1, Ordering::SeqCst) < 3;
            Some(if is_refused { (429, json!({ "title": "Too many requests" })) } else { all_made(body) })
        }
    }));
    let import = run(&["import", &file, "--server", &url, "--key", "k", "--json"]).json();
    assert_eq!(import["taken"], 10);
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[test]
fn an_answer_that_is_none_of_ours_is_named() {
    let url = start(Arc::new(|_: &str| Some((200, json!("hello")))));
    let folder = Folder::new();
    let file = folder.write("links.ndjson", lines(1));
    let import = run(&["import", &file, "--server", &url]);
    assert!(import.fault(1).contains("perhaps because the server has another version: invalid type"), "{import:?}");
    let url = start(Arc::new(|_: &str| Some((200, json!({ "keys": [{ "id": "key_1", "name": 7, "hint": 1 }] })))));
    let list = run(&["key", "list", "--server", &url]);
    assert!(list.fault(1).contains("keys[0].name: invalid type"), "{list:?}");
    let url = start(Arc::new(|_: &str| Some((502, json!("bad gateway")))));
    let list = run(&["link", "list", "--server", &url]);
    assert!(list.fault(1).contains("The server answered 502"), "{list:?}");
}
