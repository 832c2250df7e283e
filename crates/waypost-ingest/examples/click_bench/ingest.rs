//! A backlog, and how fast it is counted: the whole way from the spool's bytes to the commit, as the server goes it.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use waypost_clicks::{ClickStore, StoreOptions};
use waypost_ingest::{ClickSettings, Clicks};
use waypost_spool::{Appended, Spool, SpoolOptions};
use waypost_testkit::clicks::ClickWorld;

use crate::Outcome;

/// The backlog may be larger than what a server would keep.
const SPOOL_BYTES_MAX: u64 = 32 << 30;
/// How long the count may take.
const DRAIN_DEADLINE: Duration = Duration::from_secs(3_600);
/// How long the next segment is waited for at a time.
const SEGMENT_WAIT: Duration = Duration::from_millis(5);

fn open_spool(folder: &Path) -> Outcome<Spool> {
    let options = SpoolOptions { bytes_max: SPOOL_BYTES_MAX, ..SpoolOptions::default() };
    Ok(Spool::open(&folder.join("spool"), options)?)
}

pub(crate) fn fill(folder: &Path, clicks: u64, world: &ClickWorld) -> Outcome<Value> {
    let spool = open_spool(folder)?;
    let mut writer = spool.writer()?;
    let (mut payload, mut lost, mut bytes) = (Vec::new(), 0_u64, 0);
    for click in world.clicks(clicks) {
        click.write(&mut payload);
        bytes += payload.len() as u64;
        // Far faster than any edge: the next segment may not be ready yet, and is waited for.
        while let Appended::Lost { .. } = writer.append(&payload) {
            lost += 1;
            thread::sleep(SEGMENT_WAIT);
        }
    }
    drop(writer);
    spool.close();
    Ok(json!({ "clicks": clicks, "lost": lost, "payload_bytes": bytes / clicks }))
}

pub(crate) fn measure(folder: &Path) -> Outcome<Value> {
    // One thread, on the core that the caller has pinned; what SQLite does in a thread of its own shares it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let file = folder.join("clicks.db");
        let store = ClickStore::open(&file.display().to_string(), StoreOptions::default()).await?;
        let spool = open_spool(folder)?;
        let (began, cpu_began) = (Instant::now(), cpu_seconds()?);
        let clicks = Clicks::start(store.clone(), Some(spool.clone()), ClickSettings::default());
        let is_drained = clicks.wait_until_drained(DRAIN_DEADLINE).await;
        let (seconds, cpu_seconds) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu_began);
        let status = clicks.status();
        clicks.stop().await;
        store.close().await;
        if !is_drained {
            return Err(format!("not everything was counted: {status:?}").into());
        }
        Ok(json!({
            "clicks": status.counted, "lost": status.lost, "seconds": seconds, "cpu_seconds": cpu_seconds, "batches": status.batches,
            "clicks_per_s": (status.counted as f64 / seconds).round(),
            "clicks_per_cpu_s": (status.counted as f64 / cpu_seconds).round(),
            "peak_memory_bytes": memory("VmHWM:")?,
            "file_bytes": fs::metadata(&file)?.len(),
        }))
    })
}

/// The time that this process has had on a core, which other processes of a busy machine do not lengthen.
fn cpu_seconds() -> Outcome<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name before may hold blanks; the times are the 14th and 15th field, the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(") ").ok_or("the kernel does not say")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// A line of what the kernel says of this process's memory, in bytes.
fn memory(name: &str) -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel does not say")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1_024)
}
