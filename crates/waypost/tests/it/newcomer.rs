//! What a newcomer does first, and what must survive a crash.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use waypost_testkit::http::request;

use crate::support::{Folder, get, location_of, path_of, shorten};

#[test]
fn a_newcomer_starts_shortens_and_follows() {
    let folder = Folder::new();
    let mut server = folder.serve(&[]);
    let output = server.output();
    assert!(output.contains(&format!("Listening on      http://{}", server.address())), "{output}");
    assert!(
        output.contains(&format!("Data              {}", folder.data_dir().canonicalize().unwrap().display())),
        "{output}"
    );
    assert!(output.contains("waypost key create --name me --data-dir "), "{output}");
    assert_eq!(get(&server, "/").status, 200);

    let made = shorten(&server, "https://example.com/a?b=c#d");
    assert_eq!(made["originalUrl"], "https://example.com/a?b=c#d");
    assert_eq!(made.as_object().unwrap().len(), 3);
    let key = made["urlKey"].as_str().unwrap();
    assert!(key.len() == 8 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
    let short_url = made["shortUrl"].as_str().unwrap();
    assert_eq!(short_url, format!("http://localhost:{}/{key}", server.address().port()));
    assert_eq!(location_of(&server, path_of(short_url)).unwrap(), "https://example.com/a?b=c#d");
    assert_eq!(shorten(&server, "https://example.com/a?b=c#d")["urlKey"], key);

    let listed = folder.run(&["link", "create", "https://example.com/by-command"]);
    assert_eq!(location_of(&server, path_of(listed.text())).unwrap(), "https://example.com/by-command");
    assert!(server.terminate().unwrap().success(), "{}", server.output());
}

#[test]
fn the_data_folder_is_the_owners_alone() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let mode = |name: &str| fs::metadata(server.data_dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for file in ["waypost.db", "lock", "control.sock"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = Folder::new();
    let mut server = folder.serve(&[]);
    let slugs: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    let key = folder.run(&["key", "create"]);
    let authorization = format!("Bearer {}", key.text());
    let headers = [("Content-Type", "application/json"), ("Authorization", authorization.as_str())];
    for slug in &slugs {
        let body = json!({ "slug": slug, "destination_url": format!("https://example.com/{slug}") }).to_string();
        let response = request(server.address(), "POST /api/v1/links", &headers, body.as_bytes()).unwrap();
        assert_eq!(response.status, 201, "{}", response.text());
    }
    server.kill().unwrap();

    let mut server = folder.serve(&[]);
    for slug in &slugs {
        let expect = format!("https://example.com/{slug}");
        assert_eq!(location_of(&server, &format!("/{slug}")).as_deref(), Some(expect.as_str()));
    }
    // The lock and socket of the killed server stand in nobody's way.
    assert_eq!(folder.run(&["link", "list", "--json"]).json_lines().len(), slugs.len());
    assert!(server.terminate().unwrap().success());
    assert!(!folder.data_dir().join("control.sock").exists());
}

#[test]
fn a_table_that_was_lost_is_filled_again() {
    let folder = Folder::new();
    let slug = folder.run(&["link", "create", "https://example.com/", "--slug", "kept"]);
    assert!(slug.text().ends_with("/kept"));
    fs::remove_dir_all(folder.data_dir().join("table")).unwrap();
    let server = folder.serve(&[]);
    assert_eq!(location_of(&server, "/kept").unwrap(), "https://example.com/");
}
