//! `bench latency`: how long redirects take at half of what nginx can do at most: of nginx, which does nothing else, of the
//! product, and of the product while links are written.
//!
//! All are asked at the same rate, in turns. The generator shares its core with the writer and the control plane, as clients
//! would not; so it goes first there, where the system allows that.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::figures::{Budget, Figure};
use super::load::PLAIN;
use super::open_loop::Ask;
use super::peers::Peer;
use super::ratio::Rounds;
use super::stage::{Stage, write_report};
use super::writer::{Writer, make_key};
use crate::run::{cargo, program, read, run, succeeds, target_folder};

/// What latencies may be beside nginx's.
const P99_RATIO_MAX: f64 = 1.5;
/// The rate of a quick run, which programs as tests have them can keep up with.
const QUICK_PER_S: f64 = 500.0;

/// The generator's process.
#[derive(Debug)]
struct OpenLoop {
    binary: PathBuf,
    goes_first: bool,
}

/// One of those that take turns.
#[derive(Debug)]
struct Side<'a> {
    name: &'static str,
    peer: &'a Peer,
    is_written_to: bool,
    p99_us: Rounds,
    runs: Vec<Value>,
}

pub(crate) fn bench(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let Some(nginx) = &stage.nginx else { return Ok(Vec::new()) };
    let open_loop = OpenLoop::find(stage)?;
    let load = stage.sized(PLAIN);
    let folder = stage.scratch(load.links)?;
    let product = stage.product_on("waypost", folder.path())?;
    let key = make_key(stage, folder.path())?;
    let most = |peer: &Peer| stage.load(peer, load, 0).map(|loaded| loaded.requests_per_s);
    let (nginx_most, product_most) = (most(nginx)?, most(&product)?);
    let rate_per_s = if stage.options.quick { QUICK_PER_S } else { nginx_most / 2.0 };
    println!("at most nginx {nginx_most:.0}/s, the product {product_most:.0}/s; asked at {rate_per_s:.0}/s");
    let side =
        |name, peer, is_written_to| Side { name, peer, is_written_to, p99_us: Rounds::default(), runs: Vec::new() };
    let mut sides =
        [side("nginx", nginx, false), side("waypost", &product, false), side("waypost, links written", &product, true)];
    let mut written_per_s = Rounds::default();
    let (mut to_nginx, mut quiet_to_nginx) = (Rounds::default(), Rounds::default());
    for round in stage.rounds() {
        let mut p99_us = [0.0; 3];
        for (side, p99_us) in sides.iter_mut().zip(&mut p99_us) {
            let ask = Ask {
                address: side.peer.address,
                rate_per_s,
                seconds: stage.options.seconds(),
                links: load.links,
                seed: round,
            };
            let writer = side.is_written_to.then(|| Writer::start(stage, &product, &key)).transpose()?;
            let told = open_loop.run(stage, ask)?;
            if let Some(writer) = writer {
                written_per_s.push(writer.finish()?);
            }
            *p99_us = side.add(told)?;
        }
        quiet_to_nginx.push(p99_us[1] / p99_us[0]);
        to_nginx.push(p99_us[2] / p99_us[0]);
    }
    println!("latencies in microseconds, medians of the rounds   p50     p99   p99.9     max  late p99");
    sides.iter().for_each(|side| println!("{}", side.row()));
    println!(
        "p99 beside nginx: {}, while {:.0} links/s are written: {}",
        quiet_to_nginx.text(),
        written_per_s.median(),
        to_nginx.text()
    );
    let sides: Vec<Value> = sides.iter().map(|side| json!({ "name": side.name, "runs": side.runs })).collect();
    let report = json!({
        "nginx_most_per_s": nginx_most, "product_most_per_s": product_most, "rate_per_s": rate_per_s,
        "goes_first": open_loop.goes_first, "links_written_per_s": written_per_s.to_json(), "sides": sides,
        "p99_to_nginx": quiet_to_nginx.to_json(), "p99_to_nginx_beside_writes": to_nginx.to_json(),
    });
    write_report("latency", &report)?;
    let budget = Budget::AtMost(P99_RATIO_MAX);
    Ok(vec![Figure::of_rounds("p99 at half load, links written, clicks counted", &to_nginx, "x nginx", budget)])
}

impl OpenLoop {
    /// This very program; as it would be shipped where the servers are, too.
    fn find(stage: &Stage) -> anyhow::Result<Self> {
        if !stage.options.quick {
            run(&mut cargo(["build", "--quiet", "--release", "-p", "xtask"])?)?;
        }
        let binary = target_folder()?.join(stage.options.profile()).join("xtask");
        let goes_first = succeeds(&mut program("chrt", ["-f", "1", "true"]));
        if !goes_first {
            println!(
                "NOT FIRST: the generator waits for the control plane now and then, because `chrt -f 1` is not allowed here"
            );
        }
        Ok(Self { binary, goes_first })
    }

    fn run(&self, stage: &Stage, ask: Ask) -> anyhow::Result<Value> {
        let mut command = program("taskset", ["-c", &stage.cores.other.to_string()]);
        if self.goes_first {
            command.args(["chrt", "-f", "1"]);
        }
        command.arg(&self.binary).args(["bench", "open-loop"]).args(ask.words());
        let line = read(&mut command)?;
        serde_json::from_str(&line).with_context(|| format!("the generator printed {line:?}"))
    }
}

impl Side<'_> {
    /// Keeps what a run told, and gives its p99.
    fn add(&mut self, told: Value) -> anyhow::Result<f64> {
        let p99_us = told["p99_us"].as_f64().context("p99_us")?;
        self.p99_us.push(p99_us);
        self.runs.push(told);
        Ok(p99_us)
    }

    fn row(&self) -> String {
        let median = |field: &str| {
            let mut rounds = Rounds::default();
            self.runs.iter().filter_map(|run| run[field].as_f64()).for_each(|value| rounds.push(value));
            rounds.median()
        };
        format!(
            "{:<46} {:>7.0} {:>7.0} {:>7.0} {:>7.0} {:>9.0}",
            self.name,
            median("p50_us"),
            median("p99_us"),
            median("p999_us"),
            median("max_us"),
            median("late_p99_us")
        )
    }
}
