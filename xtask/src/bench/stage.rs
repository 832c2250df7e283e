//! The setup of groups that compare servers: two pinned cores, the load generator, the peers, and products on
//! filled tables.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::load::{Generator, Load, Loaded};
use super::options::Options;
use super::peers::{self, Cores, Peer};
use crate::run::{cargo, program, read, run, succeeds, target_folder};
use crate::test::build_all;

/// What measures, and where.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) options: Options,
    /// The folder of built programs.
    pub(crate) programs: PathBuf,
    /// Results, and tables that take long to fill; all of it may be deleted.
    pub(crate) folder: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) nginx: Option<Peer>,
    pub(crate) floor: Peer,
    /// Files that a process may have open.
    pub(crate) files_max: u64,
    generator: Generator,
}

impl Stage {
    /// Builds what is needed and starts the peers. `None`, with a line that says why, where servers and load cannot be
    /// parted.
    pub(crate) fn prepare(options: Options) -> anyhow::Result<Option<Self>> {
        if options.quick {
            // As the tests build it, after which nothing is left to do.
            build_all()?;
        } else {
            run(&mut cargo(["build", "--quiet", "--release", "-p", "waypost", "--bin", "waypost"])?)?;
            let examples = ["--example", "floor", "--example", "fill_table"];
            run(cargo(["build", "--quiet", "--release", "-p", "waypost-edge"])?.args(examples))?;
        }
        let target = target_folder()?;
        let (programs, folder) = (target.join(options.profile()), target.join("bench"));
        fs::create_dir_all(&folder)?;
        let cores = thread::available_parallelism()?.get();
        if cores < 2 || !succeeds(&mut program("taskset", ["--version"])) {
            println!("SKIPPED: two cores and taskset are needed, one for servers and one for the load");
            return Ok(None);
        }
        let cores = Cores { edge: cores - 2, other: cores - 1 };
        let Some(generator) = Generator::find(cores.other, &folder)? else { return Ok(None) };
        let files_max = raise_files_max()?;
        let nginx = peers::nginx(&folder, cores.edge)?;
        let floor = peers::floor(&programs.join("examples/floor"), cores.edge)?;
        Ok(Some(Self { options, programs, folder, cores, nginx, floor, files_max, generator }))
    }

    /// The load as it is, or a small one of its kind.
    pub(crate) fn sized(&self, load: Load) -> Load {
        Load { links: self.options.sized(load.links, 1_000), ..load }
    }

    /// Starts the product on a table that stays for the next time, and waits until it redirects.
    pub(crate) fn product(&self, name: &str, kind: &str, load: Load) -> anyhow::Result<Peer> {
        let folder = peers::filled_folder(&self.programs, &self.folder, load.links, kind)?;
        self.product_on(name, &folder)
    }

    /// Starts the product on a data folder and waits until it redirects.
    pub(crate) fn product_on(&self, name: &str, folder: &Path) -> anyhow::Result<Peer> {
        let product = peers::waypost(name, &self.programs.join("waypost"), folder, true, self.cores)?;
        peers::wait_answering(&product)?;
        Ok(product)
    }

    /// A data folder to write to, with so many links; removed when dropped.
    pub(crate) fn scratch(&self, links: u64) -> anyhow::Result<TempDir> {
        // Not in the system's temporary folder, which may be memory.
        let folder = tempfile::Builder::new().prefix("scratch-").tempdir_in(&self.folder)?;
        peers::fill(&self.programs, folder.path(), links, "plain")?;
        Ok(folder)
    }

    /// Loads one server for the time of a round. The seed is the round's number: all servers are requested the same.
    pub(crate) fn load(&self, peer: &Peer, load: Load, seed: u64) -> anyhow::Result<Loaded> {
        self.generator.run(peer, load, self.options.seconds(), seed)
    }

    /// As [`Stage::load`], not measured: pages and caches fill. A quick run needs none.
    pub(crate) fn warm_up(&self, peer: &Peer, load: Load) -> anyhow::Result<()> {
        if !self.options.quick {
            peers::wait_read_ahead(peer)?;
            self.load(peer, load, 0)?;
        }
        Ok(())
    }

    /// The numbers of the rounds; 0 is that of the warm-up.
    pub(crate) fn rounds(&self) -> impl Iterator<Item = u64> {
        1..=u64::from(self.options.rounds())
    }
}

/// Lets this process, and those that it starts from now on, have as many files open as the system allows.
fn raise_files_max() -> anyhow::Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("raise the number of open files")?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Writes what a group measured to `target/bench`.
pub(crate) fn write_report(group: &str, report: &Value) -> anyhow::Result<()> {
    let folder = target_folder()?.join("bench");
    fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(report)?;
    fs::write(folder.join(format!("{group}.json")), text).context("write the figures")?;
    println!("figures: target/bench/{group}.json");
    Ok(())
}

/// What figures depend on beside the code.
pub(crate) fn machine() -> anyhow::Result<Value> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let compiler = read(&mut cargo(["--version"])?)?;
    Ok(json!({
        "cpu": model, "cores": thread::available_parallelism()?.get(), "kernel": kernel.trim(), "compiler": compiler.trim(),
    }))
}
