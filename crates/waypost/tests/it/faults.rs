//! One failed write, to any file, ends nothing: the running server is as before once the disk is well, without a
//! restart.

use std::time::Duration;

use serde_json::{Value, json};
use waypost_testkit::faults::{Calls, Failure, Fault, Faults};
use waypost_testkit::http::{Response, request};
use waypost_testkit::server::Server;
use waypost_testkit::wait_until;

use crate::support::{Folder, get};

/// What "within seconds" means on a machine that is busy with other tests.
const SECONDS: Duration = Duration::from_secs(20);
/// More calls than one request makes.
const CALLS_MAX: u64 = 300;

/// A server whose calls can be made to fail.
struct World {
    folder: Folder,
    faults: Faults,
    server: Server,
    key: String,
}

impl World {
    fn new() -> Self {
        let (folder, faults) = (Folder::new(), Faults::new().unwrap());
        let server = Server::start(&folder.options_with(&faults.environment())).unwrap();
        let key = folder.run(&["key", "create", "--name", "t", "--json"]).json()["key"].as_str().unwrap().to_owned();
        Self { folder, faults, server, key }
    }

    fn arm(&self, calls: Calls, failure: Failure, path: &str, (first, count): (u64, u64)) {
        self.faults.arm(Fault { calls, failure, path, first, count }).unwrap();
    }

    fn call(&self, request_line: &str, body: &str) -> Response {
        let authorization = format!("Bearer {}", self.key);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        request(self.server.address(), request_line, &headers, body.as_bytes()).unwrap()
    }

    fn create(&self, slug: &str) -> Response {
        let body = json!({ "destination_url": "https://example.com/", "slug": slug }).to_string();
        self.call("POST /api/v1/links", &body)
    }

    fn readiness(&self) -> Value {
        serde_json::from_slice(&self.call("GET /readyz", "").body).unwrap()
    }

    fn follow(&self, slug: &str) -> u16 {
        get(&self.server, &format!("/{slug}")).status
    }

    fn clicks(&self) -> u64 {
        let report = self.folder.run(&["report", "--json", "--from", "1d", "--class", "all"]);
        report.json()["clicks"].as_u64().unwrap()
    }

    fn has_metric(&self, line: &str) -> bool {
        self.call("GET /metrics", "").text().lines().any(|metric| metric == line)
    }
}

#[track_caller]
fn assert_try_again(response: &Response) {
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(response.header("retry-after").is_some(), "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
}

#[test]
fn one_failed_write_is_one_503() {
    let world = World::new();
    // The first use of a key is noted, which is a write of its own.
    assert_eq!(world.create("zeroth").status, 201);
    for (number, failure) in [Failure::Io, Failure::NoSpace].into_iter().enumerate() {
        world.arm(Calls::Write, failure, "waypost.db", (1, 1));
        assert_try_again(&world.create(&format!("first{number}")));
        assert_eq!(world.create(&format!("second{number}")).status, 201, "{failure:?}");
        assert_eq!(world.follow(&format!("second{number}")), 302);
        assert_eq!(get(&world.server, "/readyz").status, 200);
    }
}

#[test]
fn a_full_disk_that_gets_room_again() {
    let world = World::new();
    assert_eq!(world.create("before").status, 201);
    let data_dir = world.folder.data_dir().canonicalize().unwrap();
    world.arm(Calls::AnyWrite, Failure::NoSpace, data_dir.to_str().unwrap(), (1, u64::MAX));
    for _ in 0..3 {
        assert_try_again(&world.create("during"));
    }
    for _ in 0..7 {
        assert_eq!(world.follow("before"), 302);
    }
    wait_until(SECONDS, "the database to be called down", || world.has_metric("waypost_store_up 0")).unwrap();
    let is_seen = || world.server.output().contains("clicks cannot be counted");
    wait_until(SECONDS, "counting to fail", is_seen).unwrap();
    world.faults.disarm().unwrap();
    assert_eq!(world.create("after").status, 201);
    assert_eq!(world.follow("after"), 302);
    wait_until(SECONDS, "the clicks to be counted", || world.clicks() == 8).unwrap();
    wait_until(SECONDS, "the server to be ready", || get(&world.server, "/readyz").status == 200).unwrap();
}

/// The database has room, the table's file has none: what was saved is not known to redirects, and they say so.
#[test]
fn a_link_that_the_table_cannot_take_is_not_said_to_be_missing() {
    let world = World::new();
    assert_eq!(world.create("before").status, 201);
    assert_eq!(world.follow("none"), 404);
    world.arm(Calls::AnyWrite, Failure::NoSpace, "data.mdb", (1, u64::MAX));
    let saved = world.create("during");
    assert!(saved.status == 201 || saved.status == 503, "{}", saved.text());
    for slug in ["during", "none"] {
        let answer = get(&world.server, &format!("/{slug}"));
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{slug}");
    }
    assert_eq!(world.follow("before"), 302);
    let ready = world.readiness();
    let table = &ready["checks"]["table"];
    assert_eq!((&ready["ready"], &ready["degraded"]), (&json!(true), &json!(true)), "{ready}");
    assert_eq!((&table["ok"], &table["complete"]), (&json!(false), &json!(false)), "{ready}");
    assert!(table["behind"].as_u64() >= Some(1), "{ready}");
    world.faults.disarm().unwrap();
    wait_until(SECONDS, "the link to be followed", || world.follow("during") == 302).unwrap();
    wait_until(SECONDS, "the table to know all", || world.follow("none") == 404).unwrap();
    let ready = world.readiness();
    assert_eq!((&ready["degraded"], &ready["checks"]["table"]["behind"]), (&json!(false), &json!(0)), "{ready}");
}

#[test]
fn clicks_are_counted_after_a_failed_write() {
    let world = World::new();
    assert_eq!(world.create("x").status, 201);
    for first in 1..=12 {
        world.arm(Calls::AnyWrite, Failure::Io, "clicks.db", (first, 1));
        assert_eq!(world.follow("x"), 302);
        wait_until(SECONDS, "the click to be counted", || world.clicks() == first).unwrap();
    }
    assert!(world.faults.failed().is_ok());
}

/// The table's file, the database, its log, the spool: whichever write it is that fails.
#[test]
fn every_write_of_the_server_fails_once() {
    let world = World::new();
    assert_eq!(world.create("old").status, 201);
    let data_dir = world.folder.data_dir().canonicalize().unwrap();
    for first in 1..CALLS_MAX {
        world.arm(Calls::AnyWrite, Failure::Io, data_dir.to_str().unwrap(), (first, 1));
        let made = world.create(&format!("n{first}"));
        let failed = world.faults.failed().unwrap();
        world.faults.disarm().unwrap();
        if made.status != 201 {
            assert!(failed > 0, "{}", made.text());
            assert_try_again(&made);
        }
        let after = world.create(&format!("n{first}after"));
        assert_eq!(after.status, 201, "after call {first}: {}", after.text());
        assert_eq!((world.follow(&format!("n{first}after")), world.follow("old")), (302, 302), "after call {first}");
        if failed == 0 {
            assert!(first > 5, "only {first} calls were seen");
            return;
        }
    }
    panic!("no end");
}
