//! Project tasks: `cargo xtask` lists them, `cargo xtask TASK` runs one.
//!
//! What a contributor or CI does more than once is a task here, in Rust, so that it works the same everywhere. Tasks
//! print what they run. Nothing of the product lives here.

// Tasks speak to a person on standard output.
#![allow(clippy::print_stdout)]

mod apt;
mod bench;
mod bless;
mod chaos;
mod ci;
mod crawlers;
mod lint;
mod postgres;
mod run;
mod summary;
mod test;
mod tidy;
mod wasm;
mod worker;

use std::env;
use std::process::ExitCode;

/// One task: its name, a line for the list, and what it does with the arguments after its name.
struct Task {
    name: &'static str,
    purpose: &'static str,
    run: fn(&[String]) -> anyhow::Result<()>,
}

const TASKS: [Task; 10] = [
    Task {
        name: "test",
        purpose: "run every test, with a private PostgreSQL; arguments go to the runner",
        run: test::test,
    },
    Task { name: "lint", purpose: "check format, clippy and documentation, warnings as errors", run: lint::lint },
    Task {
        name: "tidy",
        purpose: "check the house rules: crate edges, sizes, words, licences, versions",
        run: tidy::tidy,
    },
    Task { name: "wasm", purpose: "build waypost-core for wasm32", run: wasm::wasm },
    Task {
        name: "worker",
        purpose: "the Cloudflare Worker: worker build | test | bench | deploy-config",
        run: worker::worker,
    },
    Task {
        name: "chaos",
        purpose: "kill, starve and confuse a running instance, and check that it counts every click once",
        run: chaos::chaos,
    },
    Task {
        name: "bench",
        purpose: "measure speed against its budgets: bench [GROUP] [--quick] [--only TEXT] [--rounds N]",
        run: bench::bench,
    },
    Task { name: "crawlers", purpose: "take the kept lists of crawlers from npm again", run: crawlers::crawlers },
    Task { name: "bless", purpose: "accept snapshots", run: bless::bless },
    Task { name: "ci", purpose: "everything CI runs: lint, tidy, wasm, test, bench, release", run: ci::ci },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", task_list());
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprint!("no task `{name}`\n{}", task_list());
        return ExitCode::FAILURE;
    };
    match (task.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task_list() -> String {
    let lines = TASKS.iter().map(|task| format!("  {:<8} {}\n", task.name, task.purpose));
    format!("cargo xtask TASK\n{}", lines.collect::<String>())
}

/// Refuses arguments where a task takes none.
fn no_arguments(arguments: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(arguments.is_empty(), "takes no arguments, got {arguments:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_one_line_for_each_task() {
        let list = task_list();
        assert_eq!(list.lines().count(), TASKS.len() + 1);
        assert!(list.lines().all(|line| line.len() <= 100), "{list}");
    }

    #[test]
    fn an_unwanted_argument_is_refused() {
        assert!(no_arguments(&[]).is_ok());
        assert!(no_arguments(&["--fast".to_owned()]).is_err());
    }
}
