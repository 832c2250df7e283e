//! `waypost sync`, with a stand-in for Cloudflare's interface.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use waypost_testkit::kv_api::{ACCOUNT, Fault, KvApi, NAMESPACE, TOKEN};
use waypost_testkit::server::{Server, ServerOptions};
use waypost_testkit::wait_until;

use crate::support::{Folder, Run, WAYPOST, command, finish};

const DEADLINE: Duration = Duration::from_secs(30);

/// A data folder whose links are pushed to a stand-in.
struct Pushed {
    folder: Folder,
    api: KvApi,
}

impl Pushed {
    fn new() -> Self {
        Self { folder: Folder::new(), api: KvApi::start().unwrap() }
    }

    fn environment(&self) -> Vec<(String, String)> {
        [
            ("WAYPOST_CLOUDFLARE_ACCOUNT_ID", ACCOUNT.to_owned()),
            ("WAYPOST_CLOUDFLARE_KV_NAMESPACE_ID", NAMESPACE.to_owned()),
            ("WAYPOST_CLOUDFLARE_API_TOKEN", TOKEN.to_owned()),
            ("WAYPOST_CLOUDFLARE_API_URL", self.api.url()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Runs a command, which never shows the token.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Run {
        let data_dir = self.folder.data_dir();
        let mut command: Command = command(arguments);
        command.args(["--data-dir", data_dir.to_str().unwrap()]).env("WAYPOST_LOG", "trace").envs(self.environment());
        let run = finish(&mut command);
        assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN), "{run:?}");
        run
    }

    fn serve(&self) -> Server {
        let options = ServerOptions {
            data_dir: Some(self.folder.data_dir()),
            environment: self.environment(),
            ..ServerOptions::new(WAYPOST)
        };
        Server::start(&options).unwrap()
    }

    fn wait_for(&self, what: &str, fits: impl Fn(&Value) -> bool) {
        let is_so = || fits(&self.run(&["sync", "status", "--json"]).json_of_any()["targets"][1]);
        wait_until(DEADLINE, what, is_so).unwrap();
    }
}

trait AnyStatus {
    fn json_of_any(&self) -> Value;
}

impl AnyStatus for Run {
    /// Standard output as JSON, whatever the exit status says.
    fn json_of_any(&self) -> Value {
        serde_json::from_str(self.stdout.trim_end()).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

#[test]
fn without_a_namespace_it_says_so() {
    let folder = Folder::new();
    folder.run(&["link", "create", "https://example.com/", "--slug", "a"]).text();
    let status = folder.run(&["sync", "status"]);
    assert!(
        status.text().starts_with("TARGET  PENDING  SYNCING  SYNCED  FAILED  OLDEST  STATE\ntable   0"),
        "{status:?}"
    );
    assert!(status.text().ends_with("see the section [cloudflare] of the configuration."), "{status:?}");
    let link = folder.run(&["sync", "status", "a"]);
    assert_eq!(link.text(), "TARGET  STATUS  VERSION  THERE  ATTEMPTS  NEXT  ERROR\ntable   synced  1        1      0");
    for arguments in [&["sync", "verify"][..], &["sync", "retry", "--failed"], &["sync", "retry", "--all"]] {
        let run = folder.run(arguments);
        assert!(run.fault(1).contains("Links are pushed nowhere: configure"), "{run:?}");
    }
    assert!(folder.run(&["sync", "retry"]).fault(2).contains("--failed"));
    assert!(folder.run(&["sync", "verify", "--delete-foreign"]).fault(1).contains("--yes"));
    assert!(folder.run(&["sync", "status", "nothing"]).fault(1).contains("the link nothing was not found"));
}

#[test]
fn links_are_pushed_compared_and_repaired() {
    let pushed = Pushed::new();
    let mut server = pushed.serve();
    pushed.run(&["link", "create", "https://example.com/", "--slug", "a"]).text();
    pushed.run(&["link", "create", "https://example.com/", "--slug", "b"]).text();
    let is_pushed = |target: &Value| target["counts"]["synced"] == 2 && target["behind"] == false;
    pushed.wait_for("the links to be pushed", is_pushed);
    let link = pushed.run(&["sync", "status", "a"]);
    assert!(link.text().contains("\ncloudflare_kv  synced  1        1      0"), "{link:?}");
    let status = pushed.run(&["sync", "status"]);
    assert!(status.text().contains("\ncloudflare_kv  0        0        2       0"), "{status:?}");

    // What was pushed a moment ago is left out.
    let verified = pushed.run(&["sync", "verify"]);
    assert!(verified.text().ends_with("\nWorkers KV holds every link."), "{verified:?}");
    pushed.api.db_put("stranger", "https://example.com/");
    let verified = pushed.run(&["sync", "verify", "--json"]).json_lines();
    assert_eq!(verified.last().unwrap()["summary"]["foreign"], 1);
    let text = pushed.run(&["sync", "verify"]);
    assert!(text.text().starts_with("foreign    key stranger\n"), "{text:?}");
    let deleted = pushed.run(&["sync", "verify", "--delete-foreign", "--yes"]);
    assert!(deleted.text().contains("\nDeleted 1 foreign key.\n"), "{deleted:?}");
    assert_eq!(pushed.api.count(), 2);
    pushed.api.set_fault(Some(Fault::code(403, 10_037)));
    assert!(pushed.run(&["sync", "verify"]).fault(1).contains("could not be finished"));
    pushed.api.heal();
    assert!(server.terminate().unwrap().success());
}

#[test]
fn what_failed_is_shown_and_tried_again() {
    let pushed = Pushed::new();
    let mut server = pushed.serve();
    pushed.api.poison("bad", Fault::code(400, 10_033));
    pushed.run(&["link", "create", "https://example.com/", "--slug", "bad"]).text();
    pushed.wait_for("the link to fail", |target| target["counts"]["failed"] == 1);
    let status = pushed.run(&["sync", "status"]);
    assert_eq!(status.status, 3, "{status:?}");
    assert!(status.stdout.contains("\nFAILED ") && status.stdout.contains("localhost/bad"), "{status:?}");
    let link = pushed.run(&["sync", "status", "bad"]);
    assert!(link.status == 3 && link.stdout.contains("10033"), "{link:?}");
    pushed.api.heal();
    assert_eq!(pushed.run(&["sync", "retry", "--failed"]).text(), "1 link is tried again.");
    pushed.wait_for("the link to be pushed", |target| target["counts"]["synced"] == 1);
    assert!(pushed.run(&["sync", "retry", "bad"]).text().contains("cloudflare_kv  synced"));
    pushed.api.db_delete("bad");
    assert!(pushed.run(&["sync", "retry", "--all"]).text().starts_with("All links will be pushed again"));
    wait_until(DEADLINE, "the link to be pushed anew", || pushed.api.count() == 1).unwrap();
    assert!(server.terminate().unwrap().success());
}

#[test]
fn a_target_that_refuses_the_token_is_shown() {
    let pushed = Pushed::new();
    let mut server = pushed.serve();
    pushed.api.set_fault(Some(Fault::code(403, 10_037)));
    pushed.run(&["link", "create", "https://example.com/", "--slug", "a"]).text();
    pushed.wait_for("the refusal to be known", |target| target["health"]["reason"] == "configuration");
    let status = pushed.run(&["sync", "status"]);
    assert!(status.status == 3 && status.stdout.contains("  configuration\n"), "{status:?}");
    assert!(status.stdout.contains("cloudflare_kv: ") && status.stdout.contains(", next call at "), "{status:?}");
    let config = pushed.run(&["config"]);
    assert!(config.text().contains("api_token = \"***\"  # WAYPOST_CLOUDFLARE_API_TOKEN"), "{config:?}");
    assert!(server.terminate().unwrap().success());
}

#[test]
fn commands_push_without_a_server_too() {
    let pushed = Pushed::new();
    pushed.run(&["link", "create", "https://example.com/", "--slug", "a"]).text();
    pushed.wait_for("the link to be pushed", |target| target["counts"]["synced"] == 1);
    assert!(pushed.api.get("a").is_some());
    // Nobody answers: a command does not wait for that.
    pushed.api.set_fault(Some(Fault::Hang));
    let began = std::time::Instant::now();
    pushed.run(&["link", "create", "https://example.com/", "--slug", "b"]).text();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    pushed.api.heal();
}

#[test]
fn a_part_of_the_settings_stops_the_start() {
    let folder = Folder::new();
    let mut command = command(&["serve", "--data-dir", folder.data_dir().to_str().unwrap()]);
    let run = finish(command.env("WAYPOST_CLOUDFLARE_API_TOKEN", TOKEN).env("WAYPOST_CLOUDFLARE_ACCOUNT_ID", "a1"));
    assert!(run.fault(2).contains("cloudflare.kv_namespace_id: is missing"), "{run:?}");
    assert!(!run.stderr.contains(TOKEN), "{run:?}");
}
