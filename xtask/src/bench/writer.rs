//! Links that are written while something is measured: through the product's API, at a fixed rate, a few in each call.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};
use waypost_testkit::http::Connection;

use super::peers::Peer;
use super::stage::Stage;
use crate::run::program;

/// Links written in a second.
pub(crate) const LINKS_PER_S: u32 = 1_000;
/// Links of one call: as editors and importers at work, not as one large import.
const LINKS_PER_CALL: u32 = 10;
/// Between the beginnings of two calls.
const INTERVAL: Duration = Duration::from_millis(1_000 * LINKS_PER_CALL as u64 / LINKS_PER_S as u64);

/// Makes an API key on the data folder of a running product.
pub(crate) fn create_key(stage: &Stage, folder: &Path) -> anyhow::Result<String> {
    let binary = stage.programs.join("waypost");
    let mut command = program(binary.to_str().context("the program's path")?, ["key", "create", "--name", "bench"]);
    // Read and not shown: what it says to a person is of no use here.
    let output = command.arg("--data-dir").arg(folder).stdin(Stdio::null()).output().context("make an API key")?;
    ensure!(output.status.success(), "no API key: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A thread that writes until it is ordered to end.
#[derive(Debug)]
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<u64>>,
    began: Instant,
}

impl Writer {
    /// Begins to write to the product, on the core of everything that does not redirect.
    pub(crate) fn start(stage: &Stage, product: &Peer, key: &str) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let links =
            vec![json!({ "destination_url": "https://www.example.com/spring?section=maps" }); LINKS_PER_CALL as usize];
        let body = json!({ "links": links }).to_string();
        let request = format!(
            "POST /api/v1/links/bulk HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            product.address,
            body.len()
        );
        let connection = Connection::open(product.address)?;
        let (core, told) = (stage.cores.other, Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut cores = CpuSet::new();
            cores.set(core);
            sched_setaffinity(None, &cores).context("choose the core of the writer")?;
            write(connection, request.as_bytes(), &told)
        });
        Ok(Self { stop, thread, began: Instant::now() })
    }

    /// Ends it and returns how many links a second were written.
    pub(crate) fn finish(self) -> anyhow::Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let took_s = self.began.elapsed().as_secs_f64();
        let links = self.thread.join().ok().context("the writer panicked")??;
        Ok(links as f64 / took_s)
    }
}

/// Calls at the times that are due; where one takes longer than the interval, the next follow at once.
fn write(mut connection: Connection, request: &[u8], stop: &AtomicBool) -> anyhow::Result<u64> {
    let began = Instant::now();
    let mut calls = 0;
    while !stop.load(Ordering::Relaxed) {
        connection.send(request)?;
        let answer = connection.read_response()?;
        ensure!(answer.status < 300, "links were answered {}: {}", answer.status, answer.text());
        calls += 1;
        if calls == 1 {
            let answer: Value = serde_json::from_slice(&answer.body)?;
            let results = answer["results"].as_array().context("results")?;
            ensure!(results.iter().all(|result| result["id"].is_string()), "links were refused: {answer}");
        }
        thread::sleep((INTERVAL * calls).saturating_sub(began.elapsed()));
    }
    Ok(u64::from(calls) * u64::from(LINKS_PER_CALL))
}
