//! How long after its answer a click is in a report, from outside: the real program under light load, over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use waypost_testkit::clicks::{ClickWorld, ClickWorldOptions};
use waypost_testkit::random::Random;
use waypost_testkit::server::ServerOptions;
use waypost_testkit::{http, wait_until};

use crate::chaos::instance::Instance;
use crate::chaos::ledger::Ledger;
use crate::chaos::traffic::{Route, Traffic};

/// Links that the load follows.
const LINKS: usize = 100;
/// How long a click may take before the measurement is given up.
const DEADLINE: Duration = Duration::from_secs(20);
/// Between a probe and the next, so that probes do not fall in step with what counts them.
const PAUSE_MS_MAX: u64 = 400;

/// The times of so many probes, shortest first, and how many requests a second the load was.
pub(crate) fn probe(binary: &Path, probes: usize) -> anyhow::Result<(Vec<Duration>, f64)> {
    let mut options = ServerOptions::new(binary);
    options.arguments = ["--log", "warn"].map(str::to_owned).to_vec();
    let mut instance = Instance::start(options, Arc::default())?;
    let world = |seed, links| ClickWorld::new(ClickWorldOptions { seed, links, ..ClickWorldOptions::default() });
    let (load, probed) = (world(1, LINKS), world(2, 1));
    let load_ids = instance.create_links(load.links())?;
    let probed_ids = instance.create_links(probed.links())?;
    let (probed_id, slug) = (&probed_ids[0], probed.links()[0].slug.clone());
    let route = Route {
        address: instance.address(),
        world: Arc::new(load),
        ledger: Arc::new(Ledger::new(LINKS)),
        phase: Arc::default(),
        may_be_unavailable: false,
    };
    let mut random = Random::new(1);
    let (traffic, began) = (Traffic::start(&route, &random), Instant::now());
    let mut times = Vec::with_capacity(probes);
    for number in 0..probes as u64 {
        thread::sleep(Duration::from_millis(random.below(PAUSE_MS_MAX)));
        let status = http::get(instance.address(), &format!("/{slug}"))?.status;
        ensure!(status == 302 || status == 301, "a probe was answered {status}");
        let answered_at = Instant::now();
        wait_until(DEADLINE, "a click in a report", || {
            reported(&instance, probed_id).is_ok_and(|clicks| clicks == number + 1)
        })?;
        times.push(answered_at.elapsed());
    }
    let seconds = began.elapsed().as_secs_f64();
    traffic.finish()?;
    let tally = route.ledger.tally(&load_ids);
    ensure!(tally.faults == 0, "redirects failed: {:?}", tally.fault_texts);
    instance.terminate()?;
    times.sort_unstable();
    Ok((times, tally.answered() as f64 / seconds))
}

fn reported(instance: &Instance, link_id: &str) -> anyhow::Result<u64> {
    let answer = instance.api(&format!("GET /api/v1/reports?class=all&link_id={link_id}"), b"")?;
    serde_json::from_slice::<Value>(&answer.body)?["clicks"].as_u64().context("clicks in a report")
}
