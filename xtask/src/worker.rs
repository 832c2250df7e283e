//! `worker`: the Cloudflare Worker: built, tested in its runtime, measured, and set up for deployment.
//!
//! The runtime (workerd, inside miniflare) and the bundler come from npm in the versions that the lock file in
//! `crates/waypost-worker/test` pins, and are installed below the target folder. If they, or a compiler for wasm32,
//! are not available, a line says SKIPPED.

mod build;
mod deploy_config;
mod npm;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::run::{cargo, program, root, run, target_folder};
use build::Built;
use npm::Npm;

/// How long the tests may take once everything is built.
const TEST_TIME_MAX: Duration = Duration::from_secs(300);

/// The task.
pub(crate) fn worker(arguments: &[String]) -> anyhow::Result<()> {
    let Some((name, rest)) = arguments.split_first() else { bail!("say build, test, bench or deploy-config") };
    match name.as_str() {
        "build" => {
            ensure!(rest.is_empty(), "build takes no arguments");
            built_or_skipped(build::build)
        }
        "test" => {
            run(&mut cargo(["build", "--package", "waypost"])?)?;
            built_or_skipped(|npm| test(npm, rest))
        }
        "bench" => built_or_skipped(|npm| bench(npm, rest)),
        "deploy-config" => deploy_config::write(rest),
        other => bail!("no such part: {other}; say build, test, bench or deploy-config"),
    }
}

/// Runs the tests of the Worker as a part of all tests. The program `waypost` has been built.
pub(crate) fn test_where_possible() -> anyhow::Result<()> {
    built_or_skipped(|npm| test(npm, &[]))
}

fn built_or_skipped<T>(work: impl FnOnce(&Npm) -> anyhow::Result<Option<T>>) -> anyhow::Result<()> {
    let Some(npm) = npm::install()? else {
        println!("SKIPPED: the Worker is not built or tested: its tools cannot be had from npm here");
        return Ok(());
    };
    work(&npm).map(|_| ())
}

fn test(npm: &Npm, arguments: &[String]) -> anyhow::Result<Option<()>> {
    let Some(built) = build::build(npm)? else { return Ok(None) };
    let started_at = Instant::now();
    run(script(npm, &built, "run.mjs")?.args(arguments))?;
    let took = started_at.elapsed();
    ensure!(took < TEST_TIME_MAX, "the Worker's tests took {took:?}");
    Ok(Some(()))
}

fn bench(npm: &Npm, arguments: &[String]) -> anyhow::Result<Option<()>> {
    let Some(built) = build::build(npm)? else { return Ok(None) };
    let mut command = script(npm, &built, "bench.mjs")?;
    match arguments {
        [] => {}
        [quick] if quick == "--quick" => {
            command.env("WAYPOST_BENCH_COUNT", "5000").env("WAYPOST_BENCH_ROUNDS", "3").env("WAYPOST_BENCH_HTTP", "0");
        }
        other => bail!("bench takes --quick or nothing, got {other:?}"),
    }
    run(&mut command)?;
    Ok(Some(()))
}

/// One of the test scripts, which find their modules beside them.
fn script(npm: &Npm, built: &Built, name: &str) -> anyhow::Result<Command> {
    npm.copy_scripts()?;
    let script = npm.folder.join(name);
    let mut command = program("node", [script.to_str().context("the target folder's path is UTF-8")?]);
    command.env("WAYPOST_WORKER_BUILD", &built.folder);
    command.env("WAYPOST_VECTORS", root()?.join("vectors"));
    command.env("WAYPOST_BINARY", target_folder()?.join("debug/waypost"));
    Ok(command)
}
