//! `bench redirect`: what a redirect costs beside nginx and an empty hyper server, in turns on one pinned core.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::figures::{Budget, Figure};
use super::load::{Headers, Keys, Load, Loaded, PLAIN, Shape, links};
use super::peers::{self, Peer};
use super::ratio::Rounds;
use super::stage::{Stage, write_report};

/// What is asked of the product, beside the same load on the others.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    name: &'static str,
    kind: &'static str,
    clicks: bool,
    load: Load,
    promise: Promise,
}

/// What is promised of a scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Promise {
    Nothing,
    /// At most this part of nginx's time.
    OfNginx(f64),
    /// At least so many requests a second from one core.
    PerCore(f64),
}

const BASE: Scenario = Scenario { name: "", kind: "plain", clicks: true, load: PLAIN, promise: Promise::Nothing };

/// All that is measured, as a table; the last are what the promises are about.
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
    Scenario { name: "1 million links, a tenth missed", load: Load { keys: Keys::Misses, ..PLAIN }, ..BASE },
    Scenario { name: "10 million links, Zipf", load: Load { keys: Keys::Zipf, ..links(10_000_000) }, ..BASE },
    Scenario { name: "10 million links", load: links(10_000_000), ..BASE },
    Scenario {
        name: "10 million links, five rules",
        kind: "rules",
        load: links(10_000_000),
        promise: Promise::OfNginx(1.0),
        ..BASE
    },
    Scenario {
        name: "10 million, five rules, bare headers",
        kind: "rules",
        load: Load { headers: Headers::Bare, ..links(10_000_000) },
        promise: Promise::OfNginx(1.0),
        ..BASE
    },
    Scenario {
        name: "10 million, five rules, pipelined",
        kind: "rules",
        load: Load { shape: Shape::Pipelined, ..links(10_000_000) },
        promise: Promise::PerCore(500_000.0),
        ..BASE
    },
    Scenario {
        name: "10 million, rules, bare, pipelined",
        kind: "rules",
        load: Load { shape: Shape::Pipelined, headers: Headers::Bare, ..links(10_000_000) },
        promise: Promise::PerCore(500_000.0),
        ..BASE
    },
];

/// What the rounds of one scenario gave.
#[derive(Debug, Default)]
struct Measured {
    process_us: Rounds,
    edge_us: Rounds,
    nginx_us: Rounds,
    floor_us: Rounds,
    per_core: Rounds,
    edge_to_nginx: Rounds,
    process_to_nginx: Rounds,
    edge_to_floor: Rounds,
    requests_per_s: Rounds,
    requests: u64,
    /// Memory of the product's own after the last round, in bytes.
    private_bytes: u64,
}

/// Measures, prints a row for each scenario, and gives what is promised.
pub(crate) fn bench(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let mut report = Vec::new();
    let mut figures = Vec::new();
    println!("{HEADING}");
    for scenario in chosen(stage) {
        let measured = measure(stage, scenario).with_context(|| scenario.name.to_owned())?;
        let promised = measured.promised(scenario);
        println!("{}", measured.row(scenario));
        report.push(measured.to_json(scenario));
        figures.extend(promised);
    }
    println!("times are microseconds of CPU a request, medians; ratios are median [least - most] of the rounds");
    write_report("redirect", &Value::Array(report))?;
    Ok(figures)
}

const HEADING: &str = "scenario                              edge   all  nginx hyper  edge/nginx          all/nginx           edge/hyper          requests/s";

/// The scenarios that were requested, in their size. Made small some are the same; the last of those is measured.
fn chosen(stage: &Stage) -> Vec<Scenario> {
    let mut chosen: Vec<Scenario> = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&stage.options.only)) {
        let scenario = Scenario { load: stage.sized(scenario.load), ..*scenario };
        let is_same = |other: &Scenario| {
            (other.kind, other.clicks, other.load) == (scenario.kind, scenario.clicks, scenario.load)
        };
        chosen.retain(|other| !is_same(other));
        chosen.push(scenario);
    }
    chosen
}

fn measure(stage: &Stage, scenario: Scenario) -> anyhow::Result<Measured> {
    let Scenario { kind, clicks, load, name, .. } = scenario;
    let folder = peers::filled_folder(&stage.programs, &stage.folder, load.links, kind)?;
    let product = peers::waypost(name, &stage.programs.join("waypost"), &folder, clicks, stage.cores)?;
    peers::wait_answering(&product)?;
    stage.warm_up(&product, load)?;
    let mut measured = Measured::default();
    for round in stage.rounds() {
        let ours = stage.load(&product, load, round)?;
        // Nothing of theirs could break: a quick run leaves them out here.
        let peers = !stage.options.quick;
        let beside = |peer: &Peer| stage.load(peer, load, round);
        let nginx = stage.nginx.as_ref().filter(|_| peers).map(beside).transpose()?;
        let floor = Some(&stage.floor).filter(|_| peers).map(beside).transpose()?;
        measured.add(ours, nginx, floor);
    }
    ensure!(measured.requests > 0, "nothing was measured");
    measured.private_bytes = product.private_bytes()?;
    Ok(measured)
}

impl Measured {
    fn add(&mut self, ours: Loaded, nginx: Option<Loaded>, floor: Option<Loaded>) {
        self.requests += ours.requests;
        self.process_us.push(ours.process_us);
        self.edge_us.push(ours.edge_us);
        self.per_core.push(1e6 / ours.edge_us);
        self.requests_per_s.push(ours.requests_per_s);
        if let Some(floor) = floor {
            self.floor_us.push(floor.process_us);
            self.edge_to_floor.push(ours.edge_us / floor.process_us);
        }
        if let Some(nginx) = nginx {
            self.nginx_us.push(nginx.process_us);
            self.edge_to_nginx.push(ours.edge_us / nginx.process_us);
            self.process_to_nginx.push(ours.process_us / nginx.process_us);
        }
    }

    /// Its figure for the table of budgets. Without nginx nothing can be said beside it.
    fn promised(&self, scenario: Scenario) -> Option<Figure> {
        match scenario.promise {
            Promise::OfNginx(most) if !self.edge_to_nginx.is_empty() => {
                let name = format!("redirect, CPU: {}", scenario.name);
                Some(Figure::of_rounds(&name, &self.edge_to_nginx, "x nginx", Budget::AtMost(most)))
            }
            Promise::PerCore(least) => {
                let name = format!("redirect, per core: {}", scenario.name);
                Some(Figure::of_rounds(&name, &self.per_core, "/s", Budget::AtLeast(least)))
            }
            Promise::Nothing | Promise::OfNginx(_) => None,
        }
    }

    fn row(&self, scenario: Scenario) -> String {
        format!(
            "{:<36} {:>5.2} {:>5.2} {:>6.2} {:>5.2}  {:<18}  {:<18}  {:<18}  {:>9.0}",
            scenario.name,
            self.edge_us.median(),
            self.process_us.median(),
            self.nginx_us.median(),
            self.floor_us.median(),
            self.edge_to_nginx.text(),
            self.process_to_nginx.text(),
            self.edge_to_floor.text(),
            self.requests_per_s.median(),
        )
    }

    fn to_json(&self, scenario: Scenario) -> Value {
        json!({
            "scenario": scenario.name, "links": scenario.load.links, "clicks": scenario.clicks,
            "edge_us": self.edge_us.to_json(), "process_us": self.process_us.to_json(),
            "nginx_us": self.nginx_us.to_json(), "hyper_us": self.floor_us.to_json(),
            "edge_to_nginx": self.edge_to_nginx.to_json(), "process_to_nginx": self.process_to_nginx.to_json(),
            "edge_to_hyper": self.edge_to_floor.to_json(), "requests_per_s": self.requests_per_s.to_json(),
            "per_core_per_s": self.per_core.to_json(), "requests": self.requests, "private_bytes": self.private_bytes,
        })
    }
}
