//! What a redirect pays for its click: writing it down in compact form, and the append.

use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use waypost_spool::{Appended, Spool, SpoolOptions};

use crate::{Outcome, world};

/// Clicks appended again and again.
const CLICKS: usize = 20_000;
/// Appends between two pauses: more than an edge thread answers in that time, and still no more than files are made
/// for.
const BURST: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) fn measure(folder: &Path, appends: usize) -> Outcome<Value> {
    let world = world::world(100_000, 1);
    let mut payload = Vec::new();
    let payloads: Vec<Vec<u8>> = world
        .clicks(CLICKS as u64)
        .map(|click| {
            click.write(&mut payload);
            payload.clone()
        })
        .collect();
    let spool = Spool::open(&folder.join("spool"), SpoolOptions::default())?;
    let mut writer = spool.writer()?;
    let clock_nanos = clock_cost();
    let (mut nanos, mut lost) = (Vec::with_capacity(appends), 0_u64);
    for number in 0..appends {
        let payload = &payloads[number % CLICKS];
        let began = Instant::now();
        let appended = black_box(writer.append(black_box(payload)));
        nanos.push((began.elapsed().as_nanos() as u64).saturating_sub(clock_nanos));
        lost += u64::from(matches!(appended, Appended::Lost { .. }));
        if number % BURST == BURST - 1 {
            thread::sleep(PAUSE);
        }
    }
    nanos.sort_unstable();
    let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share) as usize];
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    Ok(json!({
        "appends": appends, "median_ns": at(0.5), "p99_ns": at(0.99), "p999_ns": at(0.999), "worst_ns": at(1.0),
        "clock_ns": clock_nanos, "payload_bytes": bytes / CLICKS, "lost": lost,
    }))
}

/// What looking at the clock twice costs, which is no part of an append.
fn clock_cost() -> u64 {
    let mut costs: Vec<u64> = (0..10_000)
        .map(|_| {
            let began = Instant::now();
            began.elapsed().as_nanos() as u64
        })
        .collect();
    costs.sort_unstable();
    costs[costs.len() / 2]
}
