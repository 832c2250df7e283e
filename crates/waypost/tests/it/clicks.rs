//! Reports, exports, the live feed and the audit, of the real program with real redirects.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use waypost_testkit::http::{Connection, Response, request};
use waypost_testkit::wait_until;

use crate::support::{Folder, command, get};

const DEADLINE: Duration = Duration::from_secs(30);
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

#[test]
fn without_clicks_commands_say_so() {
    let folder = Folder::new();
    let link = folder.run(&["link", "create", "https://example.com/", "--slug", "a", "--json"]).json();
    assert!(folder.run(&["report"]).text().ends_with("see --class all."), "{:?}", folder.run(&["report"]));
    assert_eq!(folder.run(&["report", "--link", "a", "--json"]).json()["query"]["link_id"], link["id"]);
    assert_eq!(
        folder.run(&["report", "--interval", "none", "--format", "csv"]).text(),
        "clicks,visitors,visitors_estimated\r\n0,0,false"
    );
    assert_eq!(folder.run(&["clicks", "export"]).text(), "");
    let audit = folder.run(&["clicks", "audit"]);
    assert!(
        audit.text().ends_with("0 answered = 0 stored + 0 lost + 0 waiting\nEvery click is accounted for."),
        "{audit:?}"
    );
    assert_eq!(folder.run(&["clicks", "retention", "90", "--json"]).json(), json!({"days": 90}));
    assert!(folder.run(&["clicks", "retention"]).text().starts_with("Clicks are kept for 90 days."));
    assert_eq!(folder.run(&["clicks", "retention", "default", "--json"]).json(), json!({"days": null}));
    assert!(folder.run(&["clicks", "retention", "soon"]).fault(1).contains("number of days"));
    assert!(folder.run(&["clicks", "tail"]).fault(1).contains("no server runs"));
    assert!(folder.run(&["clicks", "erase", "--link", "a"]).fault(1).contains("--yes"));
    assert_eq!(folder.run(&["clicks", "erase", "--link", "a", "--yes"]).text(), "Erased 0 clicks.");
    assert!(folder.run(&["clicks", "erase", "--visitor", "x", "--yes"]).fault(1).contains("16 hexadecimal digits"));
    assert!(folder.run(&["clicks", "erase", "--yes"]).fault(2).contains("--link"));
}

#[test]
fn questions_that_have_no_answer_say_what_to_ask() {
    let folder = Folder::new();
    folder.make();
    for (arguments, part) in [
        (&["--time-zone", "Europe/Belin"][..], "did you mean Europe/Berlin?"),
        (&["--from", "2026-02-01", "--to", "2026-01-01"], "swap from and to"),
        (&["--from", "1970-01-01", "--to", "2026-01-01"], "choose a shorter one"),
        (&["--filter", "contry=DE"], "did you mean country?"),
        (&["--filter", "country=Germany"], "two letters"),
        (&["--by", "colour"], "country, device"),
        (&["--link", "nothing"], "the link nothing was not found"),
        (&["--domain", "x.example"], "no such domain"),
    ] {
        let run = folder.run(&[&["report"], arguments].concat());
        assert!(run.fault(1).contains(part), "{arguments:?}: {run:?}");
    }
    assert!(folder.run(&["report", "--filter", "country"]).fault(2).contains("DIMENSION=VALUE"));
}

/// A program that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Follows a link as a browser does.
fn follow(connection: &mut Connection, slug: &str) -> Response {
    let request =
        format!("GET /{slug} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {BROWSER}\r\nAccept-Language: de\r\n\r\n");
    connection.send(request.as_bytes()).unwrap();
    connection.read_response().unwrap()
}

#[test]
fn a_scan_is_reported_as_one() {
    let folder = Folder::new();
    let server = folder.serve(&[]);
    folder.run(&["link", "create", "https://example.com/", "--slug", "a", "--forward-query"]).text();
    let code = folder.run(&["link", "qr", "a"]);
    assert!(code.text().lines().count() > 15 && code.text().contains('█'), "{code:?}");
    assert!(code.text().lines().all(|line| !line.contains('\u{1b}')), "no colors but on a terminal");
    let file = folder.file("a.png");
    let path = file.to_str().unwrap();
    assert!(folder.run(&["link", "qr", "a", "--output", path, "--color", "999"]).fault(1).contains("darker color"));
    folder.run(&["link", "qr", "a", "--output", path, "--size", "300"]).text();
    assert!(std::fs::read(&file).unwrap().starts_with(b"\x89PNG"));
    assert!(folder.run(&["link", "qr", "a", "--output", path]).fault(1).contains("cannot be written"));
    let public = get(&server, "/a.qr.png?size=300");
    assert_eq!((public.status, &public.body), (200, &std::fs::read(&file).unwrap()), "the same code");
    assert_eq!(get(&server, "/none.qr").status, 404);
    assert!(folder.run(&["link", "qr-logo", path]).text().contains("300 x 300 pixels"), "any PNG is a logo");
    assert_ne!(get(&server, "/a.qr.png?size=300").body, public.body);
    folder.run(&["link", "qr-logo", "--delete"]).text();
    assert_eq!(get(&server, "/a.qr.png?size=300").body, public.body);
    assert!(folder.run(&["link", "qr-logo", "--delete"]).fault(1).contains("no such logo"));

    let mut connection = Connection::open(server.address()).unwrap();
    for (target, location) in
        [("a", "https://example.com/"), ("a?qr=1", "https://example.com/"), ("a?x=1&qr=1", "https://example.com/?x=1")]
    {
        assert_eq!(follow(&mut connection, target).header("location"), Some(location), "{target}");
    }
    let report = |arguments: &[&str]| folder.run(&[&["report", "--json", "--from", "1d"], arguments].concat()).json();
    wait_until(DEADLINE, "the clicks to be counted", || report(&["--class", "all"])["clicks"] == 3).unwrap();
    assert_eq!(report(&["--filter", "channel=qr"])["clicks"], 2);
    assert_eq!(report(&["--by", "channel"])["rows"][0]["group"], "qr");
    let exported = folder.run(&["clicks", "export"]).json_lines();
    assert_eq!(exported.iter().filter(|click| click["channel"] == "qr").count(), 2);
}

#[test]
fn every_redirect_is_reported() {
    let folder = Folder::new();
    let mut server = folder.serve(&[]);
    folder.run(&["link", "create", "https://example.com/?utm_source==1", "--slug", "a"]).text();
    folder.run(&["link", "create", "https://example.com/", "--slug", "b"]).text();
    let mut connection = Connection::open(server.address()).unwrap();
    for _ in 0..7 {
        assert_eq!(follow(&mut connection, "a").status, 302);
    }
    assert_eq!(follow(&mut connection, "b").status, 302);
    get(&server, "/b");
    let report = |arguments: &[&str]| folder.run(&[&["report", "--json", "--from", "1d"], arguments].concat()).json();
    let counted = || report(&["--class", "all"])["clicks"] == 9;
    wait_until(DEADLINE, "the clicks to be counted", counted).unwrap();
    assert_eq!(report(&[])["clicks"], 8, "the client without a User-Agent is a bot");
    assert_eq!(
        report(&["--link", "a", "--by", "browser"])["rows"],
        json!([{"group": "Firefox", "clicks": 7, "visitors": 1, "visitors_estimated": false}])
    );
    assert_eq!(report(&["--by", "link"])["rows"][0]["slug"], "a");
    let table = folder.run(&["report", "--from", "1d", "--by", "language"]);
    assert!(table.text().contains("\nLANGUAGE  CLICKS  VISITORS\nde             8         1\n"), "{table:?}");

    let file = folder.file("clicks.csv");
    let path = file.to_str().unwrap();
    folder.run(&["clicks", "export", "--link", "a", "-o", path]).text();
    let csv = std::fs::read_to_string(&file).unwrap();
    assert_eq!((csv.matches("\r\n").count(), csv.matches(",'=1,").count()), (8, 7), "{csv}");
    assert!(folder.run(&["clicks", "export", "-o", path]).fault(1).contains("already exists"));
    let visitors: Vec<Value> = folder.run(&["clicks", "export"]).json_lines();
    assert_eq!(visitors.len(), 9);

    let audit = folder.run(&["clicks", "audit", "--json"]).json();
    assert_eq!((&audit["ok"], &audit["totals"]["answered"]), (&json!(true), &json!(9)), "{audit}");
    assert!(folder.run(&["clicks", "audit"]).text().contains("9 answered = 9 stored + 0 lost + 0 waiting"));
    let key = visitors.iter().find(|click| click["slug"] == "a").unwrap()["visitor"].as_str().unwrap();
    assert_eq!(folder.run(&["clicks", "erase", "--visitor", key, "--yes"]).text(), "Erased 8 clicks.");
    assert_eq!(report(&[])["clicks"], 0);
    assert_eq!(folder.run(&["clicks", "audit", "--json"]).json()["ok"], true, "erased is not lost");
    assert!(server.terminate().unwrap().success());
}

#[test]
fn rules_without_ids_are_reported_by_their_place() {
    let folder = Folder::new();
    let server = folder.serve(&["--trusted-proxies", "127.0.0.0/8", "--country-header", "cf-ipcountry"]);
    let rules = json!({ "rules": [
        { "id": "named", "when": { "query": { "a": "1" } }, "to": { "url": "https://example.com/" } },
        { "when": { "query": { "a": "2" } }, "to": { "url": "https://example.com/" } }],
        "geo_rules": [{ "country_code": "DE", "destination_url": "https://example.com/" }] });
    let file = folder.write("rules.json", rules.to_string());
    folder.run(&["link", "create", "https://example.com/", "--slug", "a", "--record", &file]).text();
    for (target, country) in [("/a?a=1", "FR"), ("/a?a=2", "FR"), ("/a?a=2", "DE"), ("/a", "DE"), ("/a", "FR")] {
        let headers = [("user-agent", BROWSER), ("cf-ipcountry", country)];
        assert_eq!(request(server.address(), &format!("GET {target}"), &headers, b"").unwrap().status, 302);
    }
    let report = |arguments: &[&str]| folder.run(&[&["report", "--from", "1d", "--by", "rule"], arguments].concat());
    wait_until(DEADLINE, "the clicks to be counted", || report(&["--json"]).json()["clicks"] == 5).unwrap();
    let rows = report(&["--json"]).json()["rows"].clone();
    let mut groups: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["group"].as_str().unwrap(), row["clicks"].as_u64().unwrap()))
        .collect();
    groups.sort_unstable();
    assert_eq!(groups, [("", 1), ("#2", 2), ("#3", 1), ("named", 1)]);
    let table = report(&[]);
    assert!(table.text().contains("\n(no rule)       1") && !table.text().contains("unknown"), "{table:?}");
}

#[test]
fn clicks_are_seen_as_they_come() {
    let folder = Folder::new();
    let mut server = folder.serve(&[]);
    let key = folder.run(&["key", "create"]).text().to_owned();
    folder.run(&["link", "create", "https://example.com/", "--slug", "a"]).text();
    // Over HTTP: through the edge and its bridge to the control plane.
    let url = server.url("");
    let arguments = ["clicks", "tail", "--link", "a", "--json", "--server", url.as_str(), "--key", key.as_str()];
    let mut tail = Ended(command(&arguments).stderr(Stdio::null()).spawn().unwrap());
    let output = tail.0.stdout.take().unwrap();
    let (sender, lines) = mpsc::channel();
    // Ends with the program.
    thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let authorization = format!("Bearer {key}");
    let listening = || {
        let headers = [("Authorization", authorization.as_str())];
        let metrics = waypost_testkit::http::request(server.address(), "GET /metrics", &headers, b"").unwrap();
        metrics.text().contains("\nwaypost_live_listeners 1\n")
    };
    wait_until(DEADLINE, "the feed to be open", listening).unwrap();
    let mut connection = Connection::open(server.address()).unwrap();
    assert_eq!(follow(&mut connection, "a").status, 302);
    let click: Value = serde_json::from_str(&lines.recv_timeout(DEADLINE).unwrap()).unwrap();
    assert_eq!((&click["slug"], &click["class"], &click["browser"]), (&json!("a"), &json!("human"), &json!("Firefox")));
    // A stop does not wait for those who listen, and they are told by the end of the feed.
    drop(connection);
    let stopping = std::time::Instant::now();
    assert!(server.terminate().unwrap().success());
    assert!(stopping.elapsed() < Duration::from_secs(8), "{:?}", stopping.elapsed());
    assert_eq!(tail.0.wait().unwrap().code(), Some(1));
}
