//! `bench beside`: what a redirect costs while a thousand links are written each second.
//!
//! Clicks are those of the load itself: as many as there are redirects, counted by the control plane meanwhile. That,
//! the writer and the load share the other core, so what the edge spends is measured, and not how much it could do if
//! they did not.

use serde_json::json;

use super::figures::{Budget, Figure};
use super::load::PLAIN;
use super::ratio::Rounds;
use super::stage::{Stage, write_report};
use super::writer::{LINKS_PER_S, Writer, create_key};

pub(crate) fn bench(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let load = stage.sized(PLAIN);
    let folder = stage.scratch(load.links)?;
    let product = stage.product_on("beside", folder.path())?;
    let key = create_key(stage, folder.path())?;
    stage.warm_up(&product, load)?;
    let (mut to_quiet, mut to_nginx) = (Rounds::default(), Rounds::default());
    let (mut edge_us, mut written_per_s, mut clicks_per_s) = (Rounds::default(), Rounds::default(), Rounds::default());
    for round in stage.rounds() {
        let quiet = stage.load(&product, load, round)?;
        let writer = Writer::start(stage, &product, &key)?;
        let loaded = stage.load(&product, load, round)?;
        written_per_s.push(writer.finish()?);
        edge_us.push(loaded.edge_us);
        clicks_per_s.push(loaded.requests_per_s);
        to_quiet.push(loaded.edge_us / quiet.edge_us);
        if let Some(nginx) = &stage.nginx {
            to_nginx.push(loaded.edge_us / stage.load(nginx, load, round)?.process_us);
        }
    }
    println!(
        "CPU a redirect while {:.0} of {LINKS_PER_S} links/s are written and {:.0} clicks/s recorded: {:.2} us, {} x without writes, {} x nginx",
        written_per_s.median(),
        clicks_per_s.median(),
        edge_us.median(),
        to_quiet.text(),
        to_nginx.text()
    );
    let report = json!({
        "edge_us": edge_us.to_json(), "to_quiet": to_quiet.to_json(), "to_nginx": to_nginx.to_json(),
        "links_written_per_s": written_per_s.to_json(), "clicks_recorded_per_s": clicks_per_s.to_json(),
    });
    write_report("beside", &report)?;
    Ok(vec![Figure::of_rounds("redirect beside writes, CPU", &to_quiet, "x without", Budget::None)])
}
