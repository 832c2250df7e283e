//! `bench create`: how fast links are created, each answer including that the link is durable and at the edge.
//!
//! An example of `waypost-http` does it in a process of its own, on all cores, beside an fsync of the same disk.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::figures::{Budget, Figure};
use super::options::Options;
use super::ratio::Rounds;
use super::stage::write_report;
use crate::run::{cargo, read, run, target_folder};
use crate::test::build_all;

/// The most that a link made alone may take, in fsyncs.
const FSYNCS_MAX: f64 = 1.2;
const AT_ONCE_PER_S: f64 = 5_000.0;
const BULK_PER_S: f64 = 100_000.0;

pub(crate) fn bench(options: &Options) -> anyhow::Result<Vec<Figure>> {
    if options.quick {
        build_all()?;
    } else {
        run(&mut cargo(["build", "--quiet", "--release", "-p", "waypost-http", "--example", "create_rate"])?)?;
    }
    let target = target_folder()?;
    let binary = target.join(options.profile()).join("examples/create_rate");
    let (mut fsyncs, mut at_once_per_s, mut bulk_per_s) = (Rounds::default(), Rounds::default(), Rounds::default());
    let mut runs = Vec::new();
    for _ in 0..options.rounds() {
        let measured = measure(&binary, &target.join("bench"), options)?;
        let number = |name: &str| measured[name].as_f64().with_context(|| format!("{name} in {measured}"));
        fsyncs.push(number("one_us")? / number("fsync_us")?);
        at_once_per_s.push(1e6 / number("at_once_us")?);
        bulk_per_s.push(1e6 / number("bulk_us")?);
        runs.push(measured);
    }
    println!(
        "one link at a time {} fsyncs, 64 at once {:.0}/s, in bulk {:.0}/s",
        fsyncs.text(),
        at_once_per_s.median(),
        bulk_per_s.median()
    );
    let report = json!({
        "fsyncs": fsyncs.to_json(), "at_once_per_s": at_once_per_s.to_json(), "bulk_per_s": bulk_per_s.to_json(), "runs": runs,
    });
    write_report("create", &report)?;
    Ok(vec![
        Figure::of_rounds("create, one durable link at a time", &fsyncs, "fsyncs", Budget::AtMost(FSYNCS_MAX)),
        Figure::of_rounds("create, 64 at once", &at_once_per_s, "links/s", Budget::AtLeast(AT_ONCE_PER_S)),
        Figure::of_rounds("create, in bulk", &bulk_per_s, "links/s", Budget::AtLeast(BULK_PER_S)),
    ])
}

fn measure(binary: &Path, under: &Path, options: &Options) -> anyhow::Result<Value> {
    std::fs::create_dir_all(under)?;
    // Not in the system's temporary folder, which may be memory.
    let folder = tempfile::Builder::new().prefix("create-").tempdir_in(under)?;
    let counts =
        [options.sized(500, 20), options.sized(5_000, 200), options.sized(100, 2)].map(|count| count.to_string());
    let line = read(Command::new(binary).arg(folder.path()).args(counts))?;
    serde_json::from_str(&line).with_context(|| format!("create_rate printed {line:?}"))
}
