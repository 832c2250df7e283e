//! How many clicks a second the generator makes on one core: `cargo run --release -p waypost-testkit --example
//! generate_rate`.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use waypost_testkit::clicks::{ClickWorld, ClickWorldOptions};

const CLICKS: u64 = 3_000_000;

fn main() {
    let world = ClickWorld::new(ClickWorldOptions { links: 100_000, ..ClickWorldOptions::default() });
    let started_at = Instant::now();
    for click in world.clicks(CLICKS) {
        black_box(&click);
    }
    println!("{:.0} clicks/s", CLICKS as f64 / started_at.elapsed().as_secs_f64());
    let (mut bytes, mut out) = (0, Vec::new());
    let started_at = Instant::now();
    for click in world.clicks(CLICKS) {
        click.write(&mut out);
        bytes += out.len() as u64;
    }
    let seconds = started_at.elapsed().as_secs_f64();
    println!("{:.0} clicks/s written in compact form, {} bytes each", CLICKS as f64 / seconds, bytes / CLICKS);
}
