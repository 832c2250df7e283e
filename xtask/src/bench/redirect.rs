//! `bench redirect`: what a redirect costs beside nginx and an empty hyper server, in turns on one pinned core.

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::load::{Generator, Headers, Keys, Load, Loaded, Shape};
use super::peers::{self, Cores, Peer};
use super::ratio::Rounds;
use crate::run::{cargo, program, run, succeeds, target_folder};
use crate::test::build_all;

/// What is asked of the product, beside the same load on the others.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    name: &'static str,
    kind: &'static str,
    clicks: bool,
    load: Load,
    /// The most that the product may take of nginx's time, where something is promised.
    budget: Option<f64>,
}

const PLAIN: Load = Load { links: 1_000_000, keys: Keys::Uniform, headers: Headers::Browser, shape: Shape::KeepAlive };
const BASE: Scenario = Scenario { name: "", kind: "plain", clicks: true, load: PLAIN, budget: None };

const fn links(links: u64) -> Load {
    Load { links, ..PLAIN }
}

/// All that is measured; the last is what the promise is about.
const SCENARIOS: &[Scenario] = &[
    Scenario { name: "1 link, no clicks", clicks: false, load: links(1), ..BASE },
    Scenario { name: "1 link", load: links(1), ..BASE },
    Scenario { name: "1 thousand links", load: links(1_000), ..BASE },
    Scenario { name: "1 million links, no clicks", clicks: false, ..BASE },
    Scenario { name: "1 million links", ..BASE },
    Scenario { name: "1 million links, bare headers", load: Load { headers: Headers::Bare, ..PLAIN }, ..BASE },
    Scenario { name: "1 million links, five rules", kind: "rules", ..BASE },
    Scenario { name: "1 million links, split", kind: "split", ..BASE },
    Scenario { name: "1 million links, UTM and query", kind: "utm", ..BASE },
    Scenario { name: "1 million links, a connection each", load: Load { shape: Shape::Connection, ..PLAIN }, ..BASE },
    Scenario { name: "1 million links, pipelined", load: Load { shape: Shape::Pipelined, ..PLAIN }, ..BASE },
    Scenario { name: "10 million links, Zipf", load: Load { keys: Keys::Zipf, ..links(10_000_000) }, ..BASE },
    Scenario { name: "10 million links", load: links(10_000_000), ..BASE },
    Scenario {
        name: "10 million links, five rules",
        kind: "rules",
        load: links(10_000_000),
        budget: Some(1.0),
        ..BASE
    },
];

/// How much is measured, and of what.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Shows that everything still runs, with the program as tests have it, and no more.
    pub(crate) quick: bool,
    /// Only scenarios whose name contains this.
    pub(crate) only: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { quick: false, only: String::new(), rounds: 5, seconds: 4.0 }
    }
}

/// What measures, and where.
struct Bench {
    options: Options,
    programs: PathBuf,
    folder: PathBuf,
    cores: Cores,
    generator: Generator,
    nginx: Option<Peer>,
    floor: Peer,
}

/// What the rounds of one scenario gave.
#[derive(Debug, Default)]
struct Measured {
    process_us: Rounds,
    edge_us: Rounds,
    nginx_us: Rounds,
    floor_us: Rounds,
    edge_to_nginx: Rounds,
    process_to_nginx: Rounds,
    edge_to_floor: Rounds,
    requests_per_s: Rounds,
    requests: u64,
    /// Memory of the product's own after the last round, in bytes.
    private_bytes: u64,
}

/// Measures and prints. A promise that is not kept is no error: the table says so.
pub(crate) fn bench(options: Options) -> anyhow::Result<()> {
    let Some(bench) = Bench::prepare(options)? else { return Ok(()) };
    let mut report = Vec::new();
    println!("{HEADING}");
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&bench.options.only)) {
        let scenario = bench.sized(*scenario);
        let measured = bench.measure(scenario).with_context(|| scenario.name.to_owned())?;
        println!("{}", measured.row(scenario));
        report.push(measured.to_json(scenario));
    }
    let file = target_folder()?.join("bench/redirect.json");
    fs::write(&file, serde_json::to_string_pretty(&Value::Array(report))?).context("write the figures")?;
    println!("times are microseconds of CPU a request, medians; ratios are median [least - most] of the rounds");
    println!("figures: target/bench/redirect.json");
    Ok(())
}

const HEADING: &str = "scenario                              edge   all  nginx hyper  edge/nginx          all/nginx           edge/hyper          requests/s";

impl Bench {
    fn prepare(options: Options) -> anyhow::Result<Option<Self>> {
        if options.quick {
            build_all()?;
        } else {
            run(&mut cargo(["build", "--quiet", "--release", "-p", "waypost", "--bin", "waypost"])?)?;
            let examples = ["--example", "floor", "--example", "fill_table"];
            run(cargo(["build", "--quiet", "--release", "-p", "waypost-edge"])?.args(examples))?;
        }
        let target = target_folder()?;
        let (programs, folder) = (target.join(if options.quick { "debug" } else { "release" }), target.join("bench"));
        fs::create_dir_all(&folder)?;
        let cores = thread::available_parallelism()?.get();
        if cores < 2 || !succeeds(&mut program("taskset", ["--version"])) {
            println!("SKIPPED: two cores and taskset are needed, one for servers and one for the load");
            return Ok(None);
        }
        let cores = Cores { edge: cores - 2, other: cores - 1 };
        let Some(generator) = Generator::find(cores.other, &folder)? else { return Ok(None) };
        let nginx = peers::nginx(&folder, cores.edge)?;
        let floor = peers::floor(&programs.join("examples/floor"), cores.edge)?;
        Ok(Some(Self { options, programs, folder, cores, generator, nginx, floor }))
    }

    /// The scenario as it is, or a small one of its kind.
    fn sized(&self, mut scenario: Scenario) -> Scenario {
        if self.options.quick {
            scenario.load.links = scenario.load.links.min(1_000);
            // Nothing that it could keep or break.
            scenario.budget = None;
        }
        scenario
    }

    fn measure(&self, scenario: Scenario) -> anyhow::Result<Measured> {
        let Scenario { kind, clicks, load, name, .. } = scenario;
        let folder = peers::filled_folder(&self.programs, &self.folder, load.links, kind)?;
        let product = peers::waypost(name, &self.programs.join("waypost"), &folder, clicks, self.cores)?;
        peers::wait_answering(&product)?;
        let seconds = if self.options.quick { 1.0 } else { self.options.seconds };
        let rounds = if self.options.quick { 1 } else { self.options.rounds };
        // Not measured: pages and caches fill.
        self.generator.run(&product, load, seconds, 0)?;
        let mut measured = Measured::default();
        for round in 1..=u64::from(rounds) {
            let ours = self.generator.run(&product, load, seconds, round)?;
            let nginx = self.nginx.as_ref().map(|nginx| self.generator.run(nginx, load, seconds, round)).transpose()?;
            let floor = self.generator.run(&self.floor, load, seconds, round)?;
            measured.add(ours, nginx, floor);
        }
        ensure!(measured.requests > 0, "nothing was measured");
        measured.private_bytes = product.private_bytes()?;
        Ok(measured)
    }
}

impl Measured {
    fn add(&mut self, ours: Loaded, nginx: Option<Loaded>, floor: Loaded) {
        self.requests += ours.requests;
        self.process_us.push(ours.process_us);
        self.edge_us.push(ours.edge_us);
        self.requests_per_s.push(ours.requests_per_s);
        self.floor_us.push(floor.process_us);
        self.edge_to_floor.push(ours.edge_us / floor.process_us);
        if let Some(nginx) = nginx {
            self.nginx_us.push(nginx.process_us);
            self.edge_to_nginx.push(ours.edge_us / nginx.process_us);
            self.process_to_nginx.push(ours.process_us / nginx.process_us);
        }
    }

    fn row(&self, scenario: Scenario) -> String {
        let ratio = |rounds: &Rounds| match rounds.is_empty() {
            true => "-".to_owned(),
            false => format!("{:.2} [{:.2} - {:.2}]", rounds.median(), rounds.least(), rounds.most()),
        };
        let verdict = match scenario.budget {
            Some(budget) if self.edge_to_nginx.median() <= budget => "  met",
            Some(_) => "  NOT MET",
            None => "",
        };
        format!(
            "{:<36} {:>5.2} {:>5.2} {:>6.2} {:>5.2}  {:<18}  {:<18}  {:<18}  {:>9.0}{verdict}",
            scenario.name,
            self.edge_us.median(),
            self.process_us.median(),
            self.nginx_us.median(),
            self.floor_us.median(),
            ratio(&self.edge_to_nginx),
            ratio(&self.process_to_nginx),
            ratio(&self.edge_to_floor),
            self.requests_per_s.median(),
        )
    }

    fn to_json(&self, scenario: Scenario) -> Value {
        json!({
            "scenario": scenario.name, "links": scenario.load.links, "clicks": scenario.clicks, "budget": scenario.budget,
            "edge_us": self.edge_us.to_json(), "process_us": self.process_us.to_json(),
            "nginx_us": self.nginx_us.to_json(), "hyper_us": self.floor_us.to_json(),
            "edge_to_nginx": self.edge_to_nginx.to_json(), "process_to_nginx": self.process_to_nginx.to_json(),
            "edge_to_hyper": self.edge_to_floor.to_json(), "requests_per_s": self.requests_per_s.to_json(),
            "requests": self.requests, "private_bytes": self.private_bytes,
        })
    }
}
