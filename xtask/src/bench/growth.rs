//! `bench growth`: what a redirect costs among ten million links beside what it costs among a thousand.
//!
//! Two servers run on the same core in turns, so that both see the same machine.

use serde_json::json;

use super::figures::{Budget, Figure};
use super::load::links;
use super::ratio::Rounds;
use super::stage::{Stage, write_report};

const FEW: u64 = 1_000;
const MANY: u64 = 10_000_000;
/// The most that a redirect may cost among many, beside among few.
const GROWTH_MAX: f64 = 1.25;

pub(crate) fn bench(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    // Never as many: each product has a folder of its own.
    let loads = [links(FEW), links(stage.options.sized(MANY, 2 * FEW))];
    let [few, many] = [stage.product("few", "rules", loads[0])?, stage.product("many", "rules", loads[1])?];
    stage.warm_up(&few, loads[0])?;
    stage.warm_up(&many, loads[1])?;
    let (mut few_us, mut many_us, mut ratio) = (Rounds::default(), Rounds::default(), Rounds::default());
    for round in stage.rounds() {
        let few = stage.load(&few, loads[0], round)?.edge_us;
        let many = stage.load(&many, loads[1], round)?.edge_us;
        few_us.push(few);
        many_us.push(many);
        ratio.push(many / few);
    }
    println!(
        "CPU a redirect: {:.2} us among {} links, {:.2} us among {}: {}",
        few_us.median(),
        loads[0].links,
        many_us.median(),
        loads[1].links,
        ratio.text()
    );
    let report = json!({ "few_us": few_us.to_json(), "many_us": many_us.to_json(), "ratio": ratio.to_json() });
    write_report("growth", &report)?;
    Ok(vec![Figure::of_rounds("10 M links, CPU a redirect", &ratio, "x that of 1 k links", Budget::AtMost(GROWTH_MAX))])
}
