//! The memory that requests take of the real program.

use serde_json::Value;
use waypost_testkit::http::request;
use waypost_testkit::server::Server;

use crate::support::Folder;

const BULK: &str = "POST /api/v1/links/bulk";
/// A body of a bulk request. A quarter of the largest, for the sake of programs that are built without optimisation.
const BULK_BYTES: usize = 4 << 20;
/// How much more than before a hostile request may take at its peak, in kilobytes: its body and room to read it.
const HOSTILE_KB_MAX: u64 = 32 << 10;

/// A line of the process's status, in kilobytes.
fn status_kb(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().unwrap()
}

fn serve(folder: &Folder) -> (Server, String) {
    let server = folder.serve(&["--api-rate", "off"]);
    let key = folder.run(&["key", "create", "--name", "memory", "--json"]).json();
    (server, key["key"].as_str().unwrap().to_owned())
}

fn post(server: &Server, key: &str, target: &str, body: &[u8]) -> (u16, Value) {
    let authorization = format!("Bearer {key}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let answer = request(server.address(), target, &headers, body).unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// As many of these as fit into a body of this size.
fn filled(head: &str, item: &str, tail: &str, bytes: usize) -> String {
    let count = (bytes - head.len() - tail.len()) / (item.len() + 1);
    format!("{head}{}{item}{tail}", format!("{item},").repeat(count - 1))
}

#[test]
fn a_small_text_is_no_large_tree() {
    let folder = Folder::new();
    let (server, key) = serve(&folder);
    let before = status_kb(&server, "VmHWM");
    let bulk = |head: &str, item: &str, tail: &str| filled(head, item, tail, BULK_BYTES);
    let one = |head: &str, item: &str, tail: &str| filled(head, item, tail, 1_000_000);
    for (target, body, expect) in [
        (BULK, bulk("{\"links\":[", "{\"a\":0}", "]}"), 422),
        (BULK, bulk("{\"links\":[", "0", "]}"), 422),
        (BULK, bulk("{\"links\":[{\"rules\":[", "{\"a\":0}", "]}]}"), 200),
        (BULK, bulk("{\"links\":[", "{\"a\":[[],[],[],{}]}", "]}"), 422),
        (BULK, bulk("{\"links\":[],\"dry_run\":[", "{\"a\":0}", "]}"), 422),
        (BULK, bulk("{\"links\":[],\"more\":[", "{\"a\":0}", "]}"), 422),
        ("POST /api/v1/links", one("{\"rules\":[", "{\"a\":0}", "]}"), 413),
        ("POST /api/v1/decide", one("{\"record\":[", "{\"a\":0}", "]}"), 413),
        ("POST /api/v1/keys", one("{\"name\":[", "{\"a\":0}", "]}"), 413),
        ("POST /api/v1/sync", one("{\"status\":[", "{\"a\":0}", "]}"), 413),
        ("POST /api/v1/domains", one("{\"host\":[", "{\"a\":0}", "]}"), 403),
    ] {
        let (status, answer) = post(&server, &key, target, body.as_bytes());
        assert_eq!(status, expect, "{target} {}: {answer}", &body[..40]);
    }
    let names: Vec<_> = (0..20_000).map(|number| format!("\"f{number}\":0")).collect();
    let strangers = format!("{{\"links\":[{{{}}}]}}", names.join(","));
    let (_, answer) = post(&server, &key, BULK, strangers.as_bytes());
    assert!(answer.to_string().len() < 10_000, "a few of many unknown fields are named");
    let grown = status_kb(&server, "VmHWM") - before;
    assert!(grown < HOSTILE_KB_MAX, "{grown} kB more than before");
}
