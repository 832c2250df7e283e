//! The instance under test: the real program on one data folder and one port, killed and started again.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use waypost_testkit::clicks::MadeLink;
use waypost_testkit::http::{self, Response};
use waypost_testkit::port::ReservedPort;
use waypost_testkit::server::{Server, ServerOptions};
use waypost_testkit::wait_until;

use super::traffic::Phase;
use crate::run::program;

/// Limit on waiting until changes are taken again.
const CHANGE_PATIENCE: Duration = Duration::from_secs(20);

/// The instance. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Instance {
    options: ServerOptions,
    server: Server,
    /// Held for its drop: keeps the port while the server is down.
    _port: ReservedPort,
    phase: Arc<Phase>,
    key: String,
    pub(crate) kills: u32,
    pub(crate) starts: u32,
    /// The longest start up to readiness.
    pub(crate) slowest_start: Duration,
}

impl Instance {
    /// Starts it for the first time and creates an API key.
    pub(crate) fn start(mut options: ServerOptions, phase: Arc<Phase>) -> anyhow::Result<Self> {
        // Every start has the same folder and port.
        let port = ReservedPort::new()?;
        options.listen = port.address().to_string();
        let server = Server::start(&options)?;
        let key = create_key(&options, server.data_dir())?;
        Ok(Self { options, server, _port: port, phase, key, kills: 0, starts: 1, slowest_start: Duration::ZERO })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.server.data_dir()
    }

    /// What the running process has printed.
    pub(crate) fn output(&self) -> String {
        self.server.output()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.phase.begin_trouble();
        self.kills += 1;
        self.server.kill()
    }

    /// Asks it to end, which it must do well.
    pub(crate) fn terminate(&mut self) -> anyhow::Result<()> {
        self.phase.begin_trouble();
        let status = self.server.terminate()?;
        ensure!(status.success(), "SIGTERM ended it with {status}:\n{}", self.server.output());
        Ok(())
    }

    /// Starts it and kills it this soon after.
    pub(crate) fn start_and_kill(&mut self, after: Duration) -> anyhow::Result<()> {
        self.server = Server::launch(&self.options)?;
        self.starts += 1;
        thread::sleep(after);
        self.kill()
    }

    /// Starts it again and waits until it is ready.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        let started_at = std::time::Instant::now();
        self.server = Server::start(&self.options)?;
        self.starts += 1;
        self.slowest_start = self.slowest_start.max(started_at.elapsed());
        self.phase.end_trouble();
        Ok(())
    }

    /// Makes these links, each with two rules, and gives their ids.
    pub(crate) fn create_links(&self, links: &[MadeLink]) -> anyhow::Result<Vec<String>> {
        let links: Vec<Value> = links.iter().enumerate().map(|(place, link)| link_json(place, &link.slug)).collect();
        let body = serde_json::to_vec(&json!({ "links": links }))?;
        let answer = self.api("POST /api/v1/links/bulk", &body)?;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        let ids = answer["results"].as_array().context("results")?.iter().map(|result| result["id"].as_str());
        let ids: Option<Vec<String>> = ids.map(|id| id.map(str::to_owned)).collect();
        ids.with_context(|| format!("links were refused: {answer}"))
    }

    /// Makes a link, changes it and follows it, which must be possible within seconds after any fault.
    pub(crate) fn take_changes(&self) -> anyhow::Result<()> {
        let (mut attempts, mut last) = (0, String::new());
        let done = wait_until(CHANGE_PATIENCE, "changes to be taken", || {
            attempts += 1;
            match self.change_once(&format!("after-{attempts}")) {
                Ok(()) => true,
                Err(error) => {
                    last = format!("{error:#}");
                    false
                }
            }
        });
        done.with_context(|| last)
    }

    fn change_once(&self, slug: &str) -> anyhow::Result<()> {
        let link = json!({ "slug": slug, "destination_url": "https://made.example/" });
        let made = self.api("POST /api/v1/links", &serde_json::to_vec(&link)?)?;
        let made: Value = serde_json::from_slice(&made.body)?;
        let id = made["id"].as_str().with_context(|| format!("an id in {made}"))?;
        let change = json!({ "destination_url": "https://changed.example/" });
        self.api(&format!("PATCH /api/v1/links/{id}"), &serde_json::to_vec(&change)?)?;
        let followed = http::request(self.address(), &format!("GET /{slug}"), &[], b"")?;
        let location = followed.header("location").unwrap_or_default();
        ensure!(location == "https://changed.example/", "/{slug} led to {location:?}, with {}", followed.status);
        Ok(())
    }

    /// Calls the API and expects success.
    pub(crate) fn api(&self, method_and_target: &str, body: &[u8]) -> anyhow::Result<Response> {
        let authorization = format!("Bearer {}", self.key);
        let mut headers = vec![("Authorization", authorization.as_str())];
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        let response = http::request(self.address(), method_and_target, &headers, body)?;
        ensure!(
            (200..300).contains(&response.status),
            "{method_and_target} answered {}: {}",
            response.status,
            response.text()
        );
        Ok(response)
    }

    /// Runs a command on the data folder and returns its standard output.
    pub(crate) fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run_command(&self.options, self.data_dir(), arguments)
    }
}

fn create_key(options: &ServerOptions, data_dir: &Path) -> anyhow::Result<String> {
    Ok(run_command(options, data_dir, &["key", "create", "--name", "chaos"])?.trim().to_owned())
}

fn run_command(options: &ServerOptions, data_dir: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command: Command = program(options.binary.to_str().context("the program's path")?, arguments);
    command.arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    let output = command.output().context("run the program")?;
    ensure!(output.status.success(), "{arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A link of one of three kinds: plain, with rules, with a split.
fn link_json(place: usize, slug: &str) -> Value {
    let mut link =
        json!({ "slug": slug, "destination_url": format!("https://example.com/{place}?utm_campaign=chaos") });
    match place % 3 {
        0 => {}
        1 => {
            link["rules"] = json!([
                { "id": "r1", "when": { "countries": ["DE", "FR"] }, "to": { "url": "https://example.com/eu" } },
                { "id": "r2", "when": { "os": ["ios"] }, "to": { "url": "https://example.com/app" } },
            ]);
        }
        _ => {
            link["ab_test"] = json!({ "id": 7, "status": "active", "variants": [
                { "id": "a", "name": "A", "destination_url": "https://example.com/a", "weight": 60 },
                { "id": "b", "name": "B", "destination_url": "https://example.com/b", "weight": 40 },
            ] });
        }
    }
    link
}
