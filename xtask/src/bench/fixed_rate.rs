//! `bench latency`: how long redirects take at fixed rates, up to half of what nginx can do at most: of nginx, which
//! does nothing else, of the product, and of the product while links are written. Clicks are counted meanwhile.
//!
//! All are asked at the same rates, in turns. The generator shares its core with the writer and the control plane, as
//! clients would not; so it goes first there, if the system allows that.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::figures::{Budget, Figure};
use super::load::PLAIN;
use super::open_loop::Ask;
use super::peers::Peer;
use super::ratio::Rounds;
use super::stage::{Stage, write_report};
use super::writer::{Writer, create_key};
use crate::run::{cargo, program, read, run, succeeds, target_folder};

/// What latencies may be beside nginx's.
const P99_RATIO_MAX: f64 = 1.5;
/// How much is requested, as shares of what nginx can do at most. The budget is for the last one.
const RATES: [f64; 3] = [0.1, 0.25, 0.5];
/// The one rate of a quick run, which programs as tests have them can keep up with.
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
    written_per_s: Rounds,
    runs: Vec<Value>,
}

pub(crate) fn bench(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let Some(nginx) = &stage.nginx else { return Ok(Vec::new()) };
    let open_loop = OpenLoop::find(stage)?;
    let load = stage.sized(PLAIN);
    let folder = stage.scratch(load.links)?;
    let product = stage.product_on("waypost", folder.path())?;
    let key = create_key(stage, folder.path())?;
    let most = |peer: &Peer| stage.load(peer, load, 0).map(|loaded| loaded.requests_per_s);
    let (nginx_most, product_most) = (most(nginx)?, most(&product)?);
    println!("at most nginx {nginx_most:.0}/s, the product {product_most:.0}/s");
    println!(
        "latencies in microseconds, medians of the rounds   asked/s     p50     p99   p99.9     max  late p99  written/s"
    );
    let rates_per_s =
        if stage.options.quick { vec![QUICK_PER_S] } else { RATES.map(|share| share * nginx_most).to_vec() };
    let (mut to_nginx, mut reports) = (Rounds::default(), Vec::new());
    for rate_per_s in rates_per_s {
        let ask =
            Ask { address: nginx.address, rate_per_s, seconds: stage.options.seconds(), links: load.links, seed: 0 };
        let at_rate = AtRate::measure(stage, &open_loop, &key, [nginx, &product], ask)?;
        let (quiet, written) = (at_rate.quiet_to_nginx.text(), at_rate.to_nginx.text());
        println!("p99 beside nginx: {quiet}, while links are written: {written}");
        reports.push(at_rate.report);
        to_nginx = at_rate.to_nginx;
    }
    let report = json!({
        "nginx_most_per_s": nginx_most, "product_most_per_s": product_most, "goes_first": open_loop.goes_first, "rates": reports,
    });
    write_report("latency", &report)?;
    let budget = Budget::AtMost(P99_RATIO_MAX);
    Ok(vec![Figure::of_rounds("p99 at half load, links written, clicks counted", &to_nginx, "x nginx", budget)])
}

/// What was measured at one rate.
#[derive(Debug)]
struct AtRate {
    /// The p99 beside nginx's, while links are written.
    to_nginx: Rounds,
    quiet_to_nginx: Rounds,
    report: Value,
}

impl AtRate {
    /// Asks nginx and the product in turns. `ask` says how often and for what; whom, and with which seed, is filled in.
    fn measure(
        stage: &Stage,
        open_loop: &OpenLoop,
        key: &str,
        [nginx, product]: [&Peer; 2],
        ask: Ask,
    ) -> anyhow::Result<Self> {
        let side = |name, peer, is_written_to| Side {
            name,
            peer,
            is_written_to,
            written_per_s: Rounds::default(),
            runs: Vec::new(),
        };
        let mut sides = [
            side("nginx", nginx, false),
            side("waypost", product, false),
            side("waypost, links written", product, true),
        ];
        let (mut to_nginx, mut quiet_to_nginx) = (Rounds::default(), Rounds::default());
        for round in stage.rounds() {
            let mut p99_us = [0.0; 3];
            for (side, p99_us) in sides.iter_mut().zip(&mut p99_us) {
                let writer = side.is_written_to.then(|| Writer::start(stage, product, key)).transpose()?;
                let told = open_loop.run(stage, Ask { address: side.peer.address, seed: round, ..ask })?;
                if let Some(writer) = writer {
                    side.written_per_s.push(writer.finish()?);
                }
                *p99_us = told["p99_us"].as_f64().context("p99_us")?;
                side.runs.push(told);
            }
            quiet_to_nginx.push(p99_us[1] / p99_us[0]);
            to_nginx.push(p99_us[2] / p99_us[0]);
        }
        sides.iter().for_each(|side| println!("{}", side.row(ask.rate_per_s)));
        let sides: Vec<Value> = sides.iter().map(Side::report).collect();
        let report = json!({
            "rate_per_s": ask.rate_per_s, "sides": sides,
            "p99_to_nginx": quiet_to_nginx.to_json(), "p99_to_nginx_beside_writes": to_nginx.to_json(),
        });
        Ok(Self { to_nginx, quiet_to_nginx, report })
    }
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
    fn report(&self) -> Value {
        let written = self.is_written_to.then(|| self.written_per_s.to_json());
        json!({ "name": self.name, "runs": self.runs, "links_written_per_s": written })
    }

    fn row(&self, rate_per_s: f64) -> String {
        let median = |field: &str| {
            let mut rounds = Rounds::default();
            self.runs.iter().filter_map(|run| run[field].as_f64()).for_each(|value| rounds.push(value));
            rounds.median()
        };
        let written = if self.is_written_to { format!("{:>10.0}", self.written_per_s.median()) } else { String::new() };
        format!(
            "{:<46} {rate_per_s:>10.0} {:>7.0} {:>7.0} {:>7.0} {:>7.0} {:>9.0} {written}",
            self.name,
            median("p50_us"),
            median("p99_us"),
            median("p999_us"),
            median("max_us"),
            median("late_p99_us")
        )
    }
}
