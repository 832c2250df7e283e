//! Databases that are away or locked: redirects go on, changes are refused in time, and all comes back by itself.

use std::time::{Duration, Instant};

use serde_json::json;
use waypost_testkit::faults::{Calls, Failure, Fault, Faults};
use waypost_testkit::http::{Response, request};
use waypost_testkit::postgres::{Proxy, test_database};
use waypost_testkit::server::{Server, ServerOptions};
use waypost_testkit::wait_until;

use crate::support::{Folder, WAYPOST, command, finish, get, location_of, repository_file};

/// More than anything here takes on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);

fn create(server: &Server, key: &str, slug: &str) -> Response {
    let body = json!({ "destination_url": "https://example.com/", "slug": slug }).to_string();
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    request(server.address(), "POST /api/v1/links", &headers, body.as_bytes()).unwrap()
}

fn key_of(folder: &Folder) -> String {
    folder.run(&["key", "create", "--name", "t", "--json"]).json()["key"].as_str().unwrap().to_owned()
}

#[test]
fn a_start_waits_for_postgres_and_redirects_meanwhile() {
    let Some(database) = test_database() else { return };
    let (proxy, url) = Proxy::start(database.url()).unwrap();
    let folder = Folder::new();
    let options = folder.options_with(&[("WAYPOST_DATABASE_URL".to_owned(), url)]);
    let mut server = Server::start(&options).unwrap();
    let key = key_of(&folder);
    assert_eq!(create(&server, &key, "x").status, 201);
    assert!(server.terminate().unwrap().success());

    proxy.set_down(true);
    let mut server = Server::launch(&options).unwrap();
    server.wait_ready().unwrap();
    assert_eq!(get(&server, "/x").status, 302);
    assert_eq!(get(&server, "/nope").status, 404, "the table was complete");
    assert_eq!(get(&server, "/healthz").status, 200);
    assert_eq!(get(&server, "/readyz").text(), r#"{"ready":true}"#);
    let refused = create(&server, &key, "y");
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{}", refused.text());
    assert_eq!(server.output().matches("waiting for the database").count(), 1, "{}", server.output());

    proxy.set_down(false);
    wait_until(DEADLINE, "a link to be made", || create(&server, &key, "y").status == 201).unwrap();
    assert_eq!(get(&server, "/y").status, 302);
    let clicks = || folder.run(&["report", "--json", "--from", "1d", "--class", "all"]).json()["clicks"].as_u64();
    wait_until(DEADLINE, "the clicks to be counted", || clicks() == Some(2)).unwrap();
    assert!(server.terminate().unwrap().success());
}

#[test]
fn a_first_start_waits_for_postgres_and_stops_when_told() {
    let Some(database) = test_database() else { return };
    let (proxy, url) = Proxy::start(database.url()).unwrap();
    proxy.set_down(true);
    let folder = Folder::new();
    let options = folder.options_with(&[("WAYPOST_DATABASE_URL".to_owned(), url)]);
    let mut server = Server::launch(&options).unwrap();
    server.wait_listening().unwrap();
    assert_eq!(get(&server, "/healthz").status, 200);
    for path in ["/readyz", "/x", "/api/v1/links"] {
        assert_eq!(get(&server, path).status, 503, "{path}: nothing is known yet");
    }
    let list = folder.run(&["link", "list"]);
    assert!(list.fault(1).contains("waiting for its database"), "{list:?}");
    assert!(server.terminate().unwrap().success(), "{}", server.output());
}

/// As if another process held the lock of writers. Also the first use of a key, which is noted, waits only once.
#[test]
fn a_locked_database_is_503_within_five_seconds() {
    let (folder, faults) = (Folder::new(), Faults::new().unwrap());
    let options = folder.options_with(&faults.environment());
    let server = Server::start(&options).unwrap();
    let key = key_of(&folder);
    let (calls, failure) = (Calls::ExclusiveLock, Failure::Again);
    faults.arm(Fault { calls, failure, path: "waypost.db", first: 1, count: u64::MAX }).unwrap();
    // Two at once: one of them waits for the other first.
    std::thread::scope(|scope| {
        for slug in ["a", "b"] {
            let (server, key) = (&server, &key);
            scope.spawn(move || {
                let begun = Instant::now();
                let refused = create(server, key, slug);
                let took = begun.elapsed();
                assert_eq!(
                    (refused.status, refused.header("retry-after").is_some()),
                    (503, true),
                    "{}",
                    refused.text()
                );
                assert!(took < Duration::from_millis(7_500), "{took:?}: twice the wait is nine seconds");
            });
        }
    });
    faults.disarm().unwrap();
    assert_eq!(create(&server, &key, "c").status, 201);
}

#[test]
fn a_folder_whose_links_are_elsewhere_gets_no_new_database() {
    let Some(database) = test_database() else { return };
    let folder = Folder::new();
    folder.run(&["link", "create", "https://example.com/", "--slug", "kept", "--database-url", database.url()]).text();
    for arguments in
        [&["link", "list"][..], &["link", "create", "https://example.com/lost"], &["serve", "--listen", "127.0.0.1:0"]]
    {
        let refused = folder.run(arguments);
        assert!(refused.fault(2).contains("in another database"), "{refused:?}");
    }
    assert!(!folder.data_dir().join("waypost.db").exists());
    let list = folder.run(&["link", "list", "--database-url", database.url()]);
    assert!(list.text().contains("kept"), "{list:?}");
}

/// The commands of the message are what moves the links.
#[test]
fn links_of_the_folder_are_not_left_behind_for_a_new_database() {
    let Some(database) = test_database() else { return };
    let folder = Folder::new();
    let data_dir = folder.data_dir();
    for slug in ["a", "b"] {
        folder.run(&["link", "create", "https://example.com/", "--slug", slug]).text();
    }
    let elsewhere = format!("sqlite://{}", folder.file("elsewhere.db").display());
    for url in [database.url(), &elsewhere] {
        for arguments in [&["link", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let refused = folder.run(&[arguments, &["--database-url", url]].concat());
            let said = refused.fault(2);
            assert!(said.contains("waypost.db has 2 links") && said.contains("waypost import links.ndjson"), "{said}");
        }
    }
    let server = folder.serve(&[]);
    assert_eq!(get(&server, "/a").status, 302, "the links are there as before");
    drop(server);

    let file = folder.file("links.ndjson");
    folder.run(&["export", "-o", file.to_str().unwrap()]).text();
    std::fs::rename(data_dir.join("waypost.db"), data_dir.join("waypost.db.old")).unwrap();
    folder.run(&["import", file.to_str().unwrap(), "--database-url", database.url()]).text();
    let server = folder.serve(&["--database-url", database.url()]);
    assert_eq!((get(&server, "/a").status, get(&server, "/b").status), (302, 302));
    drop(server);
    std::fs::rename(data_dir.join("waypost.db.old"), data_dir.join("waypost.db")).unwrap();
    let refused = folder.run(&["link", "list"]);
    assert!(refused.fault(2).contains("use those of its waypost.db"), "{refused:?}");
}

#[test]
fn a_folder_without_links_may_go_to_a_new_database() {
    let Some(database) = test_database() else { return };
    let folder = Folder::new();
    folder.make();
    folder.run(&["link", "create", "https://example.com/", "--slug", "a", "--database-url", database.url()]).text();
    // The folder's own address is no other database.
    let folder = Folder::new();
    let own = format!("sqlite://{}", folder.data_dir().join("waypost.db").display());
    folder.run(&["link", "create", "https://example.com/", "--slug", "a", "--database-url", &own]).text();
    folder.run(&["link", "show", "a", "--database-url", &own]).text();
    folder.run(&["link", "show", "a"]).text();
}

/// Each command of docs/backup.md in its order, in one shell.
#[test]
fn the_move_to_postgres_goes_as_its_page_has_it() {
    let Some(database) = test_database() else { return };
    let folder = Folder::new();
    let data_dir = folder.file("home/.local/share/waypost");
    std::fs::create_dir_all(folder.file("home")).unwrap();
    let old = |arguments: &[&str]| {
        let mut command = command(arguments);
        finish(command.arg("--data-dir").arg(&data_dir).env("WAYPOST_PUBLIC_URL", "https://go.example"))
            .text()
            .to_owned()
    };
    old(&["domain", "create", "shop.example"]);
    old(&["link", "create", "https://example.com/1", "--slug", "one"]);
    old(&["link", "create", "https://example.com/2", "--slug", "two", "--domain", "shop.example"]);

    let page = std::fs::read_to_string(repository_file("docs/backup.md")).unwrap();
    let (_, page) = page.split_once("## Moving to PostgreSQL").unwrap();
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let script: String = blocks.collect();
    assert!(script.contains("waypost import") && script.trim_end().ends_with("waypost serve"), "{script}");
    // The start itself is the test's.
    let script = script.replace("waypost serve", "").replace("postgres://user@host/waypost", database.url());
    std::os::unix::fs::symlink(WAYPOST, folder.file("waypost")).unwrap();
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-e", "-c", &script]).current_dir(folder.file("home")).env_clear();
    let path = format!("{}:/usr/bin:/bin", folder.file("").display());
    let run = finish(shell.env("HOME", folder.file("home")).env("PATH", path));
    assert!(
        run.text().contains("https://shop.example/two") && run.stdout.contains("https://go.example/one"),
        "{run:?}"
    );
    let settings = [("WAYPOST_DATABASE_URL", database.url()), ("WAYPOST_PUBLIC_URL", "https://go.example")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = ServerOptions { data_dir: Some(folder.file("home/waypost-new")), ..folder.options_with(&settings) };
    let server = Server::start(&options).unwrap();
    assert_eq!(location_of(&server, "/one").as_deref(), Some("https://example.com/1"));
}

/// What the message says is what helps.
#[test]
fn a_user_without_rights_is_told_what_to_run() {
    let Some(database) = test_database() else { return };
    let user = format!("waypost_{}", std::process::id());
    database
        .execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'word'; REVOKE ALL ON SCHEMA public FROM PUBLIC"))
        .unwrap();
    let (_, server) = database.url().split_once('@').unwrap();
    let url = format!("postgres://{user}:word@{server}");
    let folder = Folder::new();
    let refused = folder.run(&["link", "create", "https://example.com/", "--database-url", &url]);
    let grant = format!("GRANT CREATE, USAGE ON SCHEMA public TO {user};");
    assert!(refused.fault(2).contains(&grant), "{refused:?}");
    // The other way only where the name is free.
    let is_there = database.execute("SELECT 1 FROM pg_database WHERE datname = 'waypost'").unwrap().contains('1');
    assert_eq!(refused.stderr.contains("CREATE DATABASE"), !is_there, "{refused:?}");
    database.execute(&grant).unwrap();
    folder.run(&["link", "create", "https://example.com/", "--database-url", &url]).text();
    database.execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).unwrap();
}

/// As where a first start died between the two, for want of room.
#[test]
fn a_table_without_a_database_is_no_reason_to_refuse() {
    let folder = Folder::new();
    folder.run(&["link", "create", "https://example.com/", "--slug", "gone"]).text();
    for name in ["waypost.db", "waypost.db-wal", "waypost.db-shm"] {
        let _ = std::fs::remove_file(folder.data_dir().join(name));
    }
    folder.run(&["link", "create", "https://example.com/", "--slug", "new"]).text();
    let server = folder.serve(&[]);
    assert_eq!((get(&server, "/new").status, get(&server, "/gone").status), (302, 404));
}
