//! `bench start`: how long the product takes from its start to the first redirect with ten million links, and what memory it
//! has of its own once it has been loaded.
//!
//! The link table is mapped from files, which are shared with the page cache and not counted. They have been read before.

use std::time::Instant;

use serde_json::json;

use super::figures::{Budget, Figure};
use super::load::links;
use super::peers;
use super::ratio::Rounds;
use super::stage::{Stage, write_report};

const LINKS: u64 = 10_000_000;
const STARTS: u64 = 5;
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
    stage.load(&product, load, 1)?;
    let loaded_mb = product.private_bytes()? as f64 / 1e6;
    println!(
        "start to first redirect with {} links: {} s; private memory {fresh_mb:.1} MB when they have been read ahead, after load {loaded_mb:.1} MB",
        load.links,
        starts.text()
    );
    let report =
        json!({ "links": load.links, "start_s": starts.to_json(), "fresh_mb": fresh_mb, "loaded_mb": loaded_mb });
    write_report("start", &report)?;
    Ok(vec![
        Figure::of_rounds("start to first redirect, 10 M links", &starts, "s", Budget::AtMost(START_S_MAX)),
        Figure::new("private memory, 10 M links read ahead", fresh_mb, "MB", Budget::AtMost(MEMORY_MB_MAX)),
        Figure::new("private memory after load, 10 M links", loaded_mb, "MB", Budget::AtMost(MEMORY_MB_MAX)),
    ])
}
