//! `bench start`: how long the product takes from its start to the first redirect with ten million links, and what
//! memory it has of its own once it has been loaded.
//!
//! The link table is mapped from files, which are shared with the page cache and not counted. They have been read
//! before.

use std::time::Instant;

use serde_json::json;

use super::figures::{Budget, Figure};
use super::load::links;
use super::peers;
use super::ratio::Rounds;
use super::stage::{Stage, write_report};

const LINKS: u64 = 10_000_000;
const STARTS: u64 = 5;
/// Loads one after the other. Memory is looked at after each: it takes clicks on most links for it to be what it stays.
const LOADS: u64 = 10;
const START_S_MAX: f64 = 1.0;
const MEMORY_MB_MAX: f64 = 200.0;

pub(crate) fn bench(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let load = stage.sized(links(LINKS));
    let folder = peers::filled_folder(&stage.programs, &stage.folder, load.links, "rules")?;
    let mut starts = Rounds::default();
    for _ in 0..stage.options.sized(STARTS, 1) {
        let began = Instant::now();
        let product = stage.product_on("start", &folder)?;
        starts.push(began.elapsed().as_secs_f64());
        drop(product);
    }
    let product = stage.product_on("memory", &folder)?;
    peers::wait_read_ahead(&product)?;
    let fresh_mb = product.private_bytes()? as f64 / 1e6;
    let mut loaded = Rounds::default();
    for seed in 0..stage.options.sized(LOADS, 1) {
        stage.load(&product, load, seed)?;
        loaded.push(product.private_bytes()? as f64 / 1e6);
    }
    println!(
        "start to first redirect with {} links: {} s; private memory {fresh_mb:.1} MB when they have been read ahead, under load {} MB",
        load.links,
        starts.text(),
        loaded.text()
    );
    let report = json!({ "links": load.links, "start_s": starts.to_json(), "fresh_mb": fresh_mb, "loaded_mb": loaded.to_json() });
    write_report("start", &report)?;
    Ok(vec![
        Figure::of_rounds("start to first redirect, 10 M links", &starts, "s", Budget::AtMost(START_S_MAX)),
        Figure::new("private memory, 10 M links read ahead", fresh_mb, "MB", Budget::AtMost(MEMORY_MB_MAX)),
        Figure::of_rounds("private memory under load, 10 M links", &loaded, "MB", Budget::AtMost(MEMORY_MB_MAX)),
    ])
}
