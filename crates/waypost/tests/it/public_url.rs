//! A public URL whose host is a domain already, as after a move by `waypost domain create` and `waypost import`.

use serde_json::Value;
use waypost_testkit::http::Connection;
use waypost_testkit::server::Server;

use crate::support::{Folder, command, finish};

/// Where this path leads under this host.
#[track_caller]
fn location(server: &Server, host: &str, path: &str) -> Option<String> {
    let mut connection = Connection::open(server.address()).unwrap();
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    connection.read_response().unwrap().header("location").map(str::to_owned)
}

fn hosts(folder: &Folder) -> Vec<(String, bool)> {
    let read = |domain: Value| (domain["host"].as_str().unwrap().to_owned(), domain["is_default"] == true);
    folder.run(&["domain", "list", "--json"]).json_lines().into_iter().map(read).collect()
}

#[test]
fn a_domain_with_links_becomes_the_default_one_where_that_one_was_never_used() {
    let folder = Folder::new();
    folder.run(&["domain", "create", "go.example"]).text();
    let made =
        folder.run(&["link", "create", "https://example.com/1", "--domain", "go.example", "--slug", "one", "--json"]);
    let server = folder.serve(&[]);
    assert_eq!(location(&server, "go.example", "/one").as_deref(), Some("https://example.com/1"));
    assert_eq!(location(&server, "localhost", "/one"), None);
    drop(server);
    let server = folder.serve(&["--public-url", "https://go.example"]);
    assert_eq!(location(&server, "go.example", "/one").as_deref(), Some("https://example.com/1"));
    folder.run(&["link", "create", "https://example.com/2", "--slug", "two"]).text();
    assert_eq!(location(&server, "go.example", "/two").as_deref(), Some("https://example.com/2"));
    assert_eq!(hosts(&folder), [("go.example".to_owned(), true)]);
    let found = folder.run(&["link", "show", "one", "--json"]).json();
    assert_eq!((&found["id"], &found["short_url"]), (&made.json()["id"], &"https://go.example/one".into()));
    folder.run(&["link", "delete", "one", "--yes"]).text();
    assert_eq!(location(&server, "go.example", "/one"), None);
    drop(server);
    let server = folder.serve(&["--public-url", "https://go.example"]);
    assert_eq!(location(&server, "go.example", "/two").as_deref(), Some("https://example.com/2"));
}

#[test]
fn a_start_that_would_mix_two_domains_names_the_way_out_and_changes_nothing() {
    let folder = Folder::new();
    let server = folder.serve(&["--public-url", "https://a.example"]);
    folder.run(&["link", "create", "https://example.com/a", "--slug", "a"]).text();
    folder.run(&["domain", "create", "b.example"]).text();
    folder.run(&["link", "create", "https://example.com/b", "--domain", "b.example", "--slug", "b"]).text();
    drop(server);
    let refused = folder.run(&["serve", "--listen", "127.0.0.1:0", "--public-url", "https://b.example"]);
    let said = refused.fault(2).lines().last().unwrap().to_owned();
    for expect in
        ["keeps the host a.example", "its one link", "export --domain b.example", "waypost domain delete b.example"]
    {
        assert!(said.contains(expect), "{said}");
    }
    assert_eq!(hosts(&folder), [("a.example".to_owned(), true), ("b.example".to_owned(), false)]);
    assert_eq!(folder.run(&["link", "show", "a", "--json"]).json()["short_url"], "https://a.example/a");

    // The commands that it names work with the setting that was refused.
    let data_dir = folder.data_dir();
    let with_setting = |arguments: &[&str]| {
        let mut command = command(arguments);
        finish(command.env("WAYPOST_PUBLIC_URL", "https://b.example").arg("--data-dir").arg(&data_dir))
    };
    let export = with_setting(&["export", "--domain", "b.example"]);
    assert!(export.text().contains("https://example.com/b"), "{export:?}");
    with_setting(&["link", "delete", "b", "--domain", "b.example", "--yes"]).text();
    with_setting(&["domain", "delete", "b.example"]).text();
    let server = folder.serve(&["--public-url", "https://b.example"]);
    assert_eq!(location(&server, "b.example", "/a").as_deref(), Some("https://example.com/a"));
    assert_eq!(location(&server, "b.example", "/b"), None);
}
