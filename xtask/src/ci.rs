//! `ci`: the checks that a change must pass. CI runs this and nothing else.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use waypost_testkit::http;
use waypost_testkit::server::{Server, ServerOptions};

use crate::run::{cargo, run, seconds, target_folder};
use crate::summary::Summary;
use crate::{bench, lint, no_arguments, tidy, wasm};

/// A step's name and what it does. Its answer is a note for the summary, often empty.
type Step = (&'static str, fn() -> anyhow::Result<String>);

const STEPS: [Step; 7] = [
    ("lint", || lint::lint(&[]).map(|()| String::new())),
    ("tidy", || tidy::tidy(&[]).map(|()| String::new())),
    ("wasm", || wasm::build().map(|outcome| outcome.to_string())),
    ("test", run_test_command),
    ("bench", quick_benches),
    ("release", check_release),
    ("instructions", count_instructions),
];

/// Shows that everything which measures still runs.
fn quick_benches() -> anyhow::Result<String> {
    bench::bench(&["--quick".to_owned()])?;
    Ok(String::new())
}

/// Counts the instructions of a redirect, of the program as it is shipped; only here can more of them fail a change.
fn count_instructions() -> anyhow::Result<String> {
    bench::bench(&["instructions".to_owned()])?;
    Ok(String::new())
}

/// Runs the steps in order up to the first failure. The last line printed counts the tests.
pub(crate) fn ci(arguments: &[String]) -> anyhow::Result<()> {
    no_arguments(arguments)?;
    let mut taken: Vec<(&str, Duration, String)> = Vec::new();
    for (name, step) in STEPS {
        println!("\n== {name}");
        let started_at = Instant::now();
        let outcome = step();
        let took = started_at.elapsed();
        match outcome {
            Ok(note) => taken.push((name, took, note)),
            Err(error) => {
                print_times(&taken);
                return Err(error.context(format!("{name} failed after {}", seconds(took))));
            }
        }
    }
    print_times(&taken);
    let test_note = taken.iter().find(|(name, ..)| *name == "test").map(|(_, _, note)| note.as_str());
    println!("tests: {}", test_note.unwrap_or_default());
    Ok(())
}

fn print_times(taken: &[(&str, Duration, String)]) {
    println!("\n== summary");
    for (name, took, note) in taken {
        println!("{name:<12} {:>9}  {note}", seconds(*took));
    }
}

/// Runs the test command of the README, shows its output as it comes, and counts tests in it.
fn run_test_command() -> anyhow::Result<String> {
    let mut command = cargo(["xtask", "test"])?;
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let errors = process.stderr.take().context("standard error")?;
    let reader = thread::spawn(move || copy_lines(errors, io::stderr()));
    let mut summary = copy_lines(process.stdout.take().context("standard output")?, io::stdout())?;
    let counted = reader.join().ok().context("the reader of standard error panicked")??;
    summary.passed += counted.passed;
    summary.failed += counted.failed;
    summary.skipped += counted.skipped;
    let status = process.wait()?;
    ensure!(status.success(), "`cargo xtask test` ended with {status}; {summary}");
    ensure!(summary.passed > 0, "no test ran");
    Ok(summary.to_string())
}

fn copy_lines(from: impl Read, mut to: impl Write) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        summary.add_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(summary)
}

/// Builds the program as it is shipped, starts it on a new data folder, and asks for the landing page.
fn check_release() -> anyhow::Result<String> {
    run(&mut cargo(["build", "--quiet", "--release", "-p", "waypost"])?)?;
    let binary = target_folder()?.join("release/waypost");
    let size_bytes = binary.metadata().context("find the release build")?.len();
    let started_at = Instant::now();
    let mut server = Server::start(&ServerOptions::new(binary))?;
    let start_ms = started_at.elapsed().as_millis();
    let page = http::get(server.address(), "/")?;
    ensure!(page.status == 200, "the landing page answered {}:\n{}", page.status, page.text());
    let status = server.terminate()?;
    ensure!(status.success(), "SIGTERM ended it with {status}:\n{}", server.output());
    Ok(format!("{:.1} MB, ready after {start_ms} ms", size_bytes as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lines_are_copied_and_counted() {
        let mut copy = Vec::new();
        let text = b"one\ntest result: ok. 2 passed; 0 failed; 0 ignored\nno newline \xff";
        let summary = copy_lines(&text[..], &mut copy).unwrap();
        assert_eq!(summary.passed, 2);
        assert_eq!(copy, text);
    }
}
