//! `bench clicks`: append, ingest, storage, latency and reports, each with its budget.
//!
//! What needs the product's crates is measured by an example of `waypost-ingest`, in a process of its own on one core;
//! what is promised to people from outside is measured from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::figures::{Budget, Figure, Verdicts, table, to_json};
use super::latency;
use super::options::Options;
use super::stage::write_report;
use crate::run::{cargo, program, read, run, succeeds, target_folder};
use crate::test::build_all;

/// Days that the clicks of many links are spread over.
const ACCOUNT_DAYS: u32 = 30;
/// Days that the clicks of the one link are spread over.
const LINK_DAYS: u32 = 365;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// What the promises are about, with the program as it is shipped.
    Full,
    /// A five-hundredth, with the program as tests have it: shows that everything still runs, and no more.
    Quick,
}

impl Size {
    const fn divisor(self) -> u64 {
        match self {
            Self::Full => 1,
            Self::Quick => 500,
        }
    }

    /// A number of the full size, made smaller.
    const fn of(self, full: u64) -> u64 {
        full / self.divisor()
    }
}

/// What measures, and where.
struct Bench {
    size: Size,
    /// The folder of built programs.
    programs: PathBuf,
    /// Databases and spools; removed in the end.
    folder: tempfile::TempDir,
    /// The core that everything measured runs on, where it can be chosen.
    core: Option<usize>,
    figures: Vec<Figure>,
    details: Vec<Value>,
}

/// Measures and prints. A promise that is not kept is no error: the table says so.
pub(crate) fn bench(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let size = if options.quick { Size::Quick } else { Size::Full };
    let mut bench = Bench::prepare(size)?;
    bench.append()?;
    bench.many_links()?;
    bench.one_link()?;
    bench.latency()?;
    let verdicts = match size {
        Size::Full => Verdicts::Given,
        Size::Quick => Verdicts::Left,
    };
    println!("\n{}", table(&bench.figures, verdicts));
    let report = json!({
        "size": if size == Size::Full { "full" } else { "quick" },
        "core": bench.core, "figures": to_json(&bench.figures), "details": bench.details,
    });
    write_report("clicks", &report)?;
    Ok(bench.figures)
}

impl Bench {
    fn prepare(size: Size) -> anyhow::Result<Self> {
        if size == Size::Full {
            run(&mut cargo(["build", "--quiet", "--release", "-p", "waypost", "--bin", "waypost"])?)?;
            run(&mut cargo(["build", "--quiet", "--release", "-p", "waypost-ingest", "--example", "click_bench"])?)?;
        } else {
            // As the tests build it, after which nothing is left to do.
            build_all()?;
        }
        let target = target_folder()?;
        fs::create_dir_all(target.join("bench"))?;
        let cores = thread::available_parallelism()?.get();
        let core = succeeds(&mut program("taskset", ["--version"])).then_some(cores - 1);
        if core.is_none() {
            println!("NOT PINNED: taskset is not here, so figures per core are those of all cores");
        }
        Ok(Self {
            size,
            programs: target.join(if size == Size::Full { "release" } else { "debug" }),
            // Not in the system's temporary folder, which may be memory.
            folder: tempfile::Builder::new().prefix("clicks-").tempdir_in(target.join("bench"))?,
            core,
            figures: Vec::new(),
            details: Vec::new(),
        })
    }

    fn append(&mut self) -> anyhow::Result<()> {
        let folder = self.sub_folder("append")?;
        let appends = self.size.of(2_000_000).to_string();
        let measured = self.measure("append", &folder, &[&appends])?;
        self.figure("append to the spool, median", number(&measured, "median_ns")?, "ns", Budget::AtMost(300.0));
        self.figure("append to the spool, p99", number(&measured, "p99_ns")?, "ns", Budget::None);
        fs::remove_dir_all(folder).context("remove the spool")
    }

    /// Ten million clicks on a hundred thousand links: ingest, memory, storage, the account's overview.
    fn many_links(&mut self) -> anyhow::Result<()> {
        let folder = self.sub_folder("account")?;
        let (clicks, links) = (self.size.of(10_000_000).to_string(), self.size.of(100_000).to_string());
        let days = ACCOUNT_DAYS.to_string();
        self.measure("fill", &folder, &[&clicks, &links, &days])?;
        let measured = self.measure("ingest", &folder, &[])?;
        self.figure("ingest, one core", number(&measured, "clicks_per_s")?, "clicks/s", Budget::AtLeast(150_000.0));
        let by_cpu = number(&measured, "clicks_per_cpu_s")?;
        self.figure("ingest, by the time it had on the core", by_cpu, "clicks/s", Budget::None);
        let memory_mb = number(&measured, "peak_memory_bytes")? / 1e6;
        self.figure("ingest, peak memory", memory_mb, "MB", Budget::AtMost(256.0));
        let bytes_each = number(&measured, "file_bytes")? / number(&measured, "clicks")?;
        self.figure("stored of a click, raw and roll-ups", bytes_each, "B", Budget::None);
        let reports = self.measure("reports", &folder, &[&links, &days])?;
        for (name, shown) in [
            ("time series by day", "account, time series"),
            ("top countries", "account, top countries"),
            ("top links", "account, top links"),
        ] {
            let report = reports["reports"].as_array().context("reports")?.iter().find(|report| report["name"] == name);
            let micros = number(report.with_context(|| format!("a report {name:?}"))?, "median_us")?;
            self.figure(shown, micros / 1e3, "ms", Budget::AtMost(50.0));
        }
        let worst_ms = number(&reports, "worst_us")? / 1e3;
        self.figure("account, slowest of the overview", worst_ms, "ms", Budget::AtMost(50.0));
        fs::remove_dir_all(folder).context("remove the database")
    }

    /// Ten million clicks on one link, over a year.
    fn one_link(&mut self) -> anyhow::Result<()> {
        let folder = self.sub_folder("link")?;
        let (clicks, days) = (self.size.of(10_000_000).to_string(), LINK_DAYS.to_string());
        self.measure("fill", &folder, &[&clicks, "1", &days])?;
        let measured = self.measure("ingest", &folder, &[])?;
        self.figure("ingest, all on one link", number(&measured, "clicks_per_s")?, "clicks/s", Budget::None);
        let reports = self.measure("reports", &folder, &["1", &days])?;
        let millis = |name: &str| number(&reports, name).map(|micros| micros / 1e3);
        let (median, worst) = (millis("median_us")?, millis("worst_us")?);
        self.figure("report on one link, median", median, "ms", Budget::None);
        self.figure("report on one link, slowest", worst, "ms", Budget::AtMost(20.0));
        fs::remove_dir_all(folder).context("remove the database")
    }

    fn latency(&mut self) -> anyhow::Result<()> {
        let probes = if self.size == Size::Full { 100 } else { 3 };
        println!("click to report: {probes} probes ...");
        let (times, load) = latency::probe(&self.programs.join("waypost"), probes)?;
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        self.figure("click to report, median", millis(at(0.5)), "ms", Budget::AtMost(1_000.0));
        self.figure("click to report, p99", millis(at(0.99)), "ms", Budget::AtMost(1_000.0));
        self.details.push(json!({
            "what": "click to report", "load_requests_per_s": load.round(), "ms": times.iter().map(|time| millis(*time)).collect::<Vec<_>>(),
        }));
        Ok(())
    }

    fn figure(&mut self, name: &str, value: f64, unit: &'static str, budget: Budget) {
        self.figures.push(Figure::new(name, value, unit, budget));
    }

    fn sub_folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Runs one measurement, on its core, and reads its line of JSON.
    fn measure(&mut self, what: &str, folder: &Path, arguments: &[&str]) -> anyhow::Result<Value> {
        println!("{what} {} ...", arguments.join(" "));
        let binary = self.programs.join("examples/click_bench");
        let mut command = match self.core {
            Some(core) => {
                let mut command = program("taskset", ["-c", &core.to_string()]);
                command.arg(binary);
                command
            }
            None => Command::new(binary),
        };
        let line = read(command.arg(what).arg(folder).args(arguments))?;
        let measured: Value = serde_json::from_str(&line).with_context(|| format!("{what} printed {line:?}"))?;
        self.details.push(json!({ "what": what, "arguments": arguments, "measured": measured }));
        Ok(measured)
    }
}

fn number(measured: &Value, name: &str) -> anyhow::Result<f64> {
    measured[name].as_f64().with_context(|| format!("{name} in {measured}"))
}
