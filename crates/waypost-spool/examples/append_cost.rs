//! Measures the spool: what an append costs on the thread that makes it, and how fast a backlog is read after a
//! restart.
//!
//! `cargo run --release -p waypost-spool --example append_cost [folder]`; without a folder, one in the temporary
//! folder.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use waypost_spool::{Appended, Position, ReadLimit, Spool, SpoolOptions, Writer};

const PAYLOAD_BYTES: usize = 250;
/// Appends timed together, since reading the clock costs about as much as an append.
const GROUP: usize = 16;
const APPENDS: usize = 4_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("payload {PAYLOAD_BYTES} bytes, {APPENDS} appends, folder {}", base.display());
    let folder = base.join(format!("append-cost-{}", std::process::id()));
    for (name, flush_interval, pause) in [
        ("full speed, no flush", Duration::from_secs(3600), None),
        ("full speed, flush every 200 ms", Duration::from_millis(200), None),
        ("25,000 appends/s, flush every 200 ms", Duration::from_millis(200), Some(Duration::from_micros(640))),
    ] {
        let spool = Spool::open(&folder, SpoolOptions { flush_interval, ..SpoolOptions::default() })?;
        let appends = if pause.is_some() { 200_000 } else { APPENDS };
        measure_appends(name, &mut spool.writer()?, (appends, pause));
        drop(spool);
        if pause.is_none() && flush_interval < Duration::from_secs(1) {
            measure_recovery(&folder)?;
        }
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn measure_appends(name: &str, writer: &mut Writer, (appends, pause): (usize, Option<Duration>)) {
    let payload = [0x5a_u8; PAYLOAD_BYTES];
    let mut groups: Vec<f64> = Vec::with_capacity(appends / GROUP);
    let mut singles: Vec<f64> = Vec::with_capacity(appends / GROUP);
    let mut lost = 0_u64;
    let begin = Instant::now();
    for _ in 0..appends / GROUP {
        let start = Instant::now();
        for _ in 1..GROUP {
            lost += u64::from(is_lost(writer.append(black_box(&payload))));
        }
        let middle = Instant::now();
        lost += u64::from(is_lost(writer.append(black_box(&payload))));
        let end = Instant::now();
        groups.push((middle - start).as_nanos() as f64 / (GROUP - 1) as f64);
        singles.push((end - middle).as_nanos() as f64);
        if let Some(pause) = pause {
            while end.elapsed() < pause {
                std::hint::spin_loop();
            }
        }
    }
    let took = begin.elapsed();
    println!("{name}: {:.2} M appends/s, {lost} lost", appends as f64 / took.as_secs_f64() / 1e6);
    println!("  mean of {} appends, ns: {}", GROUP - 1, quantiles(groups));
    println!("  one append with reading the clock, ns: {}", quantiles(singles));
}

fn is_lost(appended: Appended) -> bool {
    matches!(appended, Appended::Lost { .. })
}

fn quantiles(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    format!(
        "median {:.0}, p90 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}

fn measure_recovery(folder: &Path) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let spool = Spool::open(folder, SpoolOptions::default())?;
    let opened = start.elapsed();
    let stats = spool.stats();
    let mut reader = spool.reader().ok_or("another reader is out")?;
    let start = Instant::now();
    let mut records = 0;
    let mut positions = Vec::new();
    while let Some(chunk) = reader.next(ReadLimit::default())? {
        records += chunk.entries().len();
        positions = vec![Position { epoch: chunk.epoch(), next_sequence: chunk.next_sequence() }];
    }
    let took = start.elapsed();
    println!(
        "recovery: {} segments, {:.2} GB: open {:.1} ms, read and verified {records} records in {:.2} s: {:.2} GB/s, {:.2} ms per segment",
        stats.segments,
        stats.bytes_on_disk as f64 / 1e9,
        opened.as_secs_f64() * 1e3,
        took.as_secs_f64(),
        stats.bytes_on_disk as f64 / 1e9 / took.as_secs_f64(),
        took.as_secs_f64() * 1e3 / stats.segments as f64,
    );
    reader.release(&positions)?;
    Ok(())
}
