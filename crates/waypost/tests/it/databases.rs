//! Databases that are away or locked: redirects go on, changes are refused in time, and all comes back by itself.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
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

/// How long a stop without its database takes, how long nobody redirects meanwhile, and how soon a start without it
/// redirects; with room for a machine that is busy with other tests.
const STOP_MAX: Duration = Duration::from_secs(8);
const STOP_PAUSE_MAX: Duration = Duration::from_millis(2_500);
const START_MAX: Duration = Duration::from_millis(2_500);

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

/// Rights, a table and a password that are taken away while the server runs: refused in time, said, and over once they
/// are back.
#[test]
fn what_is_taken_away_while_the_server_runs_is_503() {
    let Some(database) = test_database() else { return };
    let user = format!("waypost_kept_{}", std::process::id());
    let execute = |sql: &str| database.execute(&sql.replace("USER", &user)).unwrap();
    execute("CREATE ROLE USER LOGIN PASSWORD 'word'; GRANT CREATE, USAGE ON SCHEMA public TO USER");
    let (_, place) = database.url().split_once('@').unwrap();
    let folder = Folder::new();
    let url = format!("postgres://{user}:word@{place}");
    let server = Server::start(&folder.options_with(&[("WAYPOST_DATABASE_URL".to_owned(), url)])).unwrap();
    let key = key_of(&folder);
    assert_eq!(create(&server, &key, "x").status, 201);
    for (number, (take, give, said)) in [
        ("REVOKE INSERT ON outbox FROM USER", "GRANT INSERT ON outbox TO USER", "permission denied for table outbox"),
        ("REVOKE ALL ON links FROM USER", "GRANT ALL ON links TO USER", "permission denied for table links"),
        ("ALTER TABLE links RENAME TO lost", "ALTER TABLE lost RENAME TO links", "\"links\" does not exist"),
    ]
    .into_iter()
    .enumerate()
    {
        execute(take);
        let refused = create(&server, &key, "y");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("30")), "{take}: {}", refused.text());
        let is_said =
            || server.output().lines().any(|line| line.contains("its administrator can") && line.contains(said));
        wait_until(DEADLINE, "the reason to be logged", is_said).unwrap();
        assert_eq!(get(&server, "/x").status, 302);
        execute(give);
        let slug = format!("after{number}");
        wait_until(DEADLINE, "a link to be made", || create(&server, &key, &slug).status == 201).unwrap();
    }
    drop(server);
    execute("DROP OWNED BY USER; DROP ROLE USER");
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

/// Asks for a link again and again until nobody listens any more; gives when it was answered last.
fn redirected_last(address: SocketAddr) -> Instant {
    let mut last = Instant::now();
    while let Ok(response) = request(address, "GET /x", &[], b"") {
        if response.status == 302 {
            last = Instant::now();
        }
    }
    last
}

/// As over a network that swallows everything: redirects pause for no longer than a restart takes.
#[test]
fn a_restart_while_postgres_hangs_goes_on_redirecting() {
    let Some(database) = test_database() else { return };
    let (proxy, url) = Proxy::start(database.url()).unwrap();
    let folder = Folder::new();
    let options = folder.options_with(&[("WAYPOST_DATABASE_URL".to_owned(), url)]);
    let mut server = Server::start(&options).unwrap();
    let key = key_of(&folder);
    assert_eq!(create(&server, &key, "x").status, 201);
    proxy.set_silent(true);
    std::thread::scope(|scope| {
        let address = server.address();
        // A request that waits for the database, and clicks to be counted.
        let authorization = format!("Bearer {key}");
        scope.spawn(move || request(address, "GET /api/v1/links", &[("authorization", &authorization)], b""));
        let redirects = scope.spawn(move || redirected_last(address));
        let told = Instant::now();
        assert!(server.terminate().unwrap().success(), "{}", server.output());
        let (ended, last) = (Instant::now(), redirects.join().unwrap());
        assert!(ended - last < STOP_PAUSE_MAX, "no redirects for {:?}", ended - last);
        assert!(ended - told < STOP_MAX, "stopped after {:?}", ended - told);
    });

    let begun = Instant::now();
    let mut server = Server::launch(&options).unwrap();
    server.wait_listening().unwrap();
    assert_eq!(get(&server, "/x").status, 302);
    assert!(begun.elapsed() < START_MAX, "no redirects for {:?}", begun.elapsed());
    wait_until(DEADLINE, "the table to be believed", || get(&server, "/nope").status == 404).unwrap();
    proxy.set_silent(false);
    wait_until(DEADLINE, "a link to be made", || create(&server, &key, "y").status == 201).unwrap();
    assert!(server.terminate().unwrap().success());
}

/// What a database says within the first seconds decides, also where links redirect by then.
#[test]
fn a_refusal_that_comes_late_ends_the_start() {
    let folder = Folder::new();
    folder.run(&["link", "create", "https://example.com/", "--slug", "x"]).text();
    let mut server = Server::start(&folder.options_with(&[])).unwrap();
    assert_eq!(get(&server, "/x").status, 302);
    assert!(server.terminate().unwrap().success());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/links?sslmode=disable", listener.local_addr().unwrap());
    let mut server = Server::launch(&folder.options_with(&[("WAYPOST_DATABASE_URL".to_owned(), url)])).unwrap();
    let (mut database, _) = listener.accept().unwrap();
    server.wait_listening().unwrap();
    assert_eq!(get(&server, "/x").status, 302);
    assert_eq!(get(&server, "/nope").status, 503, "nobody has said yet what the table lacks");
    let said = b"SFATAL\0C28P01\0Mpassword authentication failed\0\0";
    database.write_all(&[b"E\0\0\0", [said.len() as u8 + 4].as_slice(), said].concat()).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(2), "{}", server.output());
    assert!(server.output().contains("password authentication failed"), "{}", server.output());
}
