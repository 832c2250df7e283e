//! The three ways to an instance: over HTTP with a key, by the local socket, and within the process. All the same API.

use serde_json::json;

use waypost_testkit::http::request;

use crate::support::{Folder, Run, command, finish, get, location_of, run, shorten};

/// One life of a link, the same by every way.
fn check_life_of_a_link(run: impl Fn(&[&str]) -> Run) {
    let created = run(&["link", "create", "https://example.com/1", "--slug", "life", "--json"]).json();
    assert_eq!((&created["version"], &created["slug"]), (&json!(1), &json!("life")));
    let id = created["id"].as_str().unwrap();
    assert_eq!(run(&["link", "show", "life", "--json"]).json(), created);
    assert_eq!(run(&["link", "show", id, "--json"]).json(), created);
    assert!(run(&["link", "show", "life"]).text().contains("https://example.com/1"));

    let update = ["link", "update", "life", "--destination", "https://example.com/2", "--status", "307"];
    let updated = run(&[&update[..], &["--if-version", "1", "--json"]].concat()).json();
    assert_eq!((&updated["version"], &updated["redirect_status"]), (&json!(2), &json!(307)));
    let stale = run(&[&update[..], &["--if-version", "1"]].concat());
    assert!(stale.fault(1).contains("changed"), "{stale:?}");

    let taken = run(&["link", "create", "https://example.com/3", "--slug", "life"]);
    assert!(taken.fault(1).contains("taken"), "{taken:?}");
    let reserved = run(&["link", "create", "https://example.com/3", "--slug", "api"]);
    assert!(reserved.fault(1).contains("reserved"), "{reserved:?}");
    let refused = run(&["link", "create", "javascript:alert(1)"]);
    assert!(refused.fault(1).contains("scheme"), "{refused:?}");

    let unasked = run(&["link", "delete", "life"]);
    assert!(unasked.fault(1).contains("--yes"), "{unasked:?}");
    assert_eq!(run(&["link", "delete", "life", "--yes", "--json"]).json(), json!({ "deleted": id }));
    assert!(run(&["link", "show", "life"]).fault(1).contains("the link life was not found"));
    assert_eq!(run(&["link", "list", "--json"]).text(), "");

    let reborn = run(&["link", "create", "https://example.com/4", "--slug", "life", "--json"]).json();
    assert_eq!(reborn["version"], 4);
    run(&["link", "delete", "life", "--yes"]).text();
}

#[test]
fn within_the_process() {
    let folder = Folder::new();
    check_life_of_a_link(|arguments| folder.run(arguments));
}

#[test]
fn by_the_local_socket() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    check_life_of_a_link(|arguments| folder.run(arguments));
    folder.run(&["link", "create", "https://example.com/seen", "--slug", "seen"]).text();
    assert_eq!(location_of(&server, "/seen").unwrap(), "https://example.com/seen");
    folder.run(&["link", "delete", "seen", "--yes"]).text();
    assert_eq!(get(&server, "/seen").status, 404);
}

#[test]
fn over_http_with_a_key() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let key = folder.run(&["key", "create", "--name", "remote"]).text().to_owned();
    let url = server.url("");
    check_life_of_a_link(|arguments| finish(command(arguments).env("WAYPOST_SERVER", &url).env("WAYPOST_KEY", &key)));
    let list = ["link", "list", "--server", &url];
    assert!(run(&list).fault(1).contains("API key"), "no key");
    let (start, end) = key.split_at(key.len() - 1);
    let wrong = format!("{start}{}", if end == "x" { "y" } else { "x" });
    assert!(run(&[&list[..], &["--key", &wrong]].concat()).fault(1).contains("API key"), "wrong key");

    let id = folder.run(&["key", "list", "--json"]).json_lines()[0]["id"].as_str().unwrap().to_owned();
    folder.run(&["key", "revoke", &id]).text();
    assert!(run(&[&list[..], &["--key", &key]].concat()).fault(1).contains("API key"), "revoked key");
    assert!(!folder.run(&["key", "list"]).text().contains(&key));
    assert!(!server.output().contains(&key), "the key is in the log");
}

#[test]
fn links_made_without_an_account_are_the_operators_to_see_and_delete() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    let slug = shorten(&server, "https://example.com/nobodys")["urlKey"].as_str().unwrap().to_owned();
    folder.run(&["link", "create", "https://example.com/own", "--slug", "own"]).text();
    let listed = folder.run(&["link", "list", "--json"]).json_lines();
    let of_list = |link: &serde_json::Value| (link["slug"].as_str().unwrap().to_owned(), link["anonymous"].clone());
    let expect = [("own".to_owned(), json!(null)), (slug.clone(), json!(true))];
    assert_eq!(listed.iter().map(of_list).collect::<Vec<_>>(), expect);
    let table = folder.run(&["link", "list"]);
    let line_of = |slug: &str| table.text().lines().find(|line| line.contains(slug)).unwrap().to_owned();
    assert!(line_of(&slug).ends_with("\tanonymous") && !line_of("/own").contains("anonymous"), "{table:?}");
    assert_eq!(folder.run(&["link", "list", "--json", "--limit", "1"]).json()["slug"], "own");
    assert_eq!(folder.run(&["link", "list", "--json", "--anonymous"]).json()["slug"], slug);
    assert!(folder.run(&["link", "show", &slug]).fault(1).contains("give --anonymous"));
    assert_eq!(folder.run(&["link", "show", &slug, "--anonymous", "--json"]).json()["slug"], slug);
    assert!(folder.run(&["export", "--anonymous"]).text().contains("https://example.com/nobodys"));
    folder.run(&["link", "delete", &slug, "--anonymous", "--yes"]).text();
    assert_eq!(get(&server, &format!("/{slug}")).status, 404);
    let remote = run(&["link", "list", "--anonymous", "--server", &server.url("")]);
    assert!(remote.fault(2).contains("--anonymous"), "{remote:?}");
    assert_ne!(shorten(&server, "https://example.com/nobodys")["urlKey"], slug, "a deleted link came back");
}

#[test]
fn an_api_key_means_its_own_account_whatever_it_says() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    shorten(&server, "https://example.com/nobodys");
    let authorization = format!("Bearer {}", folder.run(&["key", "create"]).text());
    let headers = [("Authorization", authorization.as_str()), ("Waypost-Account", "anonymous")];
    let answer = request(server.address(), "GET /api/v1/links", &headers, b"").unwrap();
    assert_eq!(answer.text(), r#"{"links":[],"next_cursor":null}"#);
}

#[test]
fn a_key_can_end() {
    let folder = Folder::new();
    let run = folder.run(&["key", "create", "--expires", "90d", "--json"]);
    assert!(run.json()["expires_at"].is_string(), "{run:?}");
    let run = folder.run(&["key", "create", "--expires", "someday"]);
    assert!(run.fault(1).contains("someday"), "{run:?}");
    let run = folder.run(&["key", "create", "--expires", "2020-01-01"]);
    assert!(run.fault(1).contains("in the future"), "{run:?}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let run = run(&["link", "list", "--server", "http://127.0.0.1:9"]);
    assert!(run.fault(1).contains("cannot reach http://127.0.0.1:9"), "{run:?}");
}

#[test]
fn commands_within_the_process_take_turns() {
    let folder = Folder::new();
    folder.make();
    let commands = (0..4).map(|number| {
        let data_dir = folder.data_dir();
        std::thread::spawn(move || {
            let url = format!("https://example.com/{number}");
            run(&["link", "create", &url, "--data-dir", data_dir.to_str().unwrap()]).text().to_owned()
        })
    });
    let commands: Vec<_> = commands.collect();
    for command in commands {
        command.join().unwrap();
    }
    assert_eq!(folder.run(&["link", "list", "--json"]).json_lines().len(), 4);
}

#[test]
fn a_command_keeps_the_public_url_of_the_server() {
    let folder = Folder::new();
    let mut server = folder.serve(&["--public-url", "https://go.example"]);
    let online = folder.run(&["link", "create", "https://example.com/", "--slug", "a"]);
    assert_eq!(online.text(), "https://go.example/a");
    assert!(server.terminate().unwrap().success());
    let offline = folder.run(&["link", "create", "https://example.com/", "--slug", "b"]);
    assert_eq!(offline.text(), "https://go.example/b");
    let hosts: Vec<_> = folder.run(&["domain", "list", "--json"]).json_lines();
    assert_eq!(hosts.iter().map(|domain| domain["host"].as_str().unwrap()).collect::<Vec<_>>(), ["go.example"]);
}

#[test]
fn domains_and_rules_from_the_command_line() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    folder.run(&["domain", "create", "other.example", "--case-insensitive"]).text();
    let record = folder.write(
        "rules.json",
        r#"{"destination_url":"https://example.com/","rules":[{"id":"r1","when":{"query":{"ref":"mail"}},"to":{"url":"https://example.com/mail"}}]}"#,
    );
    let made = folder.run(&["link", "create", "--record", &record, "--slug", "Ruled", "--domain", "other.example"]);
    assert!(made.text().ends_with("other.example/ruled") || made.text().contains("other.example:"), "{made:?}");
    let shown = folder.run(&["link", "show", "ruled", "--domain", "other.example", "--json"]).json();
    assert_eq!(shown["rules"][0]["id"], "r1");
    let cleared =
        folder.run(&["link", "update", "ruled", "--domain", "other.example", "--clear", "rules", "--json"]).json();
    assert_eq!(cleared["rules"], json!([]));
    folder.run(&["domain", "update", "other.example", "--root-url", "https://example.com/root"]).text();
    let mut connection = waypost_testkit::http::Connection::open(server.address()).unwrap();
    connection.send(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n").unwrap();
    assert_eq!(connection.read_response().unwrap().header("location"), Some("https://example.com/root"));
}

#[test]
fn a_key_that_is_named_is_found_but_not_revoked() {
    let folder = Folder::new();
    let made = |name: &str| folder.run(&["key", "create", "--name", name, "--json"]).json();
    let (first, second, other) = (made("ci"), made("ci"), made("other"));
    let refused = folder.run(&["key", "revoke", "ci"]);
    let said = refused.fault(1);
    assert!(said.contains("no API key has the id \"ci\""), "{said}");
    for (key, is_named) in [(&first, true), (&second, true), (&other, false)] {
        assert_eq!(said.contains(key["id"].as_str().unwrap()), is_named, "{said}");
    }
    // As `key list` shows it.
    let short = format!("wp_{}_…", other["key_id"].as_str().unwrap());
    let refused = folder.run(&["key", "revoke", &short]);
    assert!(refused.fault(1).contains(other["id"].as_str().unwrap()), "{refused:?}");
    assert!(folder.run(&["key", "revoke", "nobody"]).fault(1).contains("no such api key"));
    folder.run(&["key", "revoke", first["id"].as_str().unwrap()]).text();
    assert!(
        !folder
            .run(&["key", "list", "--json"])
            .json_lines()
            .iter()
            .any(|key| { key["id"] != first["id"] && !key["revoked_at"].is_null() })
    );
}

#[test]
fn a_domain_is_deleted_by_its_host() {
    let folder = Folder::new();
    folder.run(&["domain", "create", "kürz.example"]).text();
    folder.run(&["link", "create", "https://example.com/", "--slug", "a", "--domain", "kürz.example"]).text();
    let refused = folder.run(&["domain", "delete", "KÜRZ.example"]);
    assert!(refused.fault(1).contains("the domain xn--krz-hoa.example has one link"), "{refused:?}");
    folder.run(&["link", "delete", "a", "--domain", "kürz.example", "--yes"]).text();
    let deleted = folder.run(&["domain", "delete", "KÜRZ.example"]);
    assert_eq!(deleted.text(), "Deleted the domain xn--krz-hoa.example (kürz.example).");
    let left = folder.run(&["domain", "list", "--json"]).json_lines();
    assert_eq!(left.len(), 1);
    let refused = folder.run(&["domain", "delete", left[0]["host"].as_str().unwrap()]);
    assert!(refused.fault(1).contains("default domain"), "{refused:?}");
    assert!(folder.run(&["domain", "delete", "kürz.example"]).fault(1).contains("was not found"));
}

/// Keys, passwords, grants, destinations, queries and bodies are planted, used rightly and wrongly, and looked for in
/// all that the server logs at its most talkative.
#[test]
fn no_secret_is_logged_at_any_level() {
    let folder = Folder::new();
    let mut server = folder.serve(&["--log", "trace"]);
    let key = folder.run(&["key", "create", "--name", "remote"]).text().trim().to_owned();
    let ask = |line: &str, headers: &[(&str, &str)], body: &str| {
        request(server.address(), line, headers, body.as_bytes()).unwrap()
    };
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let link = r#"{"destination_url":"https://example.com/?q=PLANTED1","slug":"locked","password":"PLANTED2"}"#;
    assert_eq!(ask("POST /api/v1/links", &headers, link).status, 201);
    assert_eq!(ask("POST /locked", &[], "password=PLANTED3").status, 401);
    let right = ask("POST /locked?secret=PLANTED4", &[], "password=PLANTED2");
    assert_eq!(right.status, 303);
    let cookie = right.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let referrer = "https://example.com/?session=PLANTED5";
    let visit = [("Cookie", cookie.as_str()), ("Referer", referrer), ("User-Agent", "PLANTED6")];
    assert_eq!(ask("GET /locked?token=PLANTED7", &visit, "").status, 302);
    let wrong = [("Authorization", "Bearer wp_PLANTED8")];
    assert_eq!(ask("GET /api/v1/links", &wrong, "").status, 401);
    for broken in [r#"{"password":"PLANTED9","#, r#"{"password":"PLANTED9","password":7}"#] {
        assert_eq!(ask("POST /api/v1/links", &headers, broken).status, 400);
    }
    assert!(server.terminate().unwrap().success());
    let log = server.output();
    assert!(log.contains("ready"), "{log}");
    let grant = cookie.split_once('=').unwrap().1;
    for secret in ["PLANTED", key.as_str(), grant, "$argon2id$"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
