//! `chaos`: the proof that every click is counted exactly once, whatever happens meanwhile.
//!
//! The real program redirects a client that counts the answers it gets, and is killed again and again, while the disk
//! fills, the database stops, the clock jumps. In the end what was answered, what is stored and what was declared lost
//! must fit together ([`ledger`]). All that is random follows from a seed, which is printed first.

mod clock;
mod counted;
mod damage;
mod disk;
pub(crate) mod instance;
pub(crate) mod ledger;
mod options;
mod plan;
mod scenario;
pub(crate) mod traffic;

use std::time::{Duration, Instant};

use anyhow::bail;

use self::options::{Options, Scenario};
use self::scenario::{Outcome, Record};
use crate::run::{cargo, run, target_folder};
use crate::test::build_all;

/// One scenario, its result, and how long it took.
struct Finished {
    scenario: Scenario,
    outcome: anyhow::Result<Outcome>,
    took: Duration,
}

/// Runs the scenarios and prints their results. Fails if a promise was broken.
pub(crate) fn chaos(arguments: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(arguments)?;
    println!("seed {}", options.seed);
    if options.is_quick && !options.is_release {
        // As the tests build it, after which nothing is left to do.
        build_all()?;
    } else {
        let profile: &[&str] = if options.is_release { &["--release"] } else { &[] };
        run(cargo(["build", "--quiet", "-p", "waypost"])?.args(profile))?;
    }
    let binary = scenario::binary_path(&target_folder()?, options.is_release);
    let mut finished = Vec::new();
    for &scenario in &options.scenarios {
        println!("chaos: {} ...", scenario.name());
        let started_at = Instant::now();
        let outcome = scenario::run(scenario, &options, &binary);
        finished.push(Finished { scenario, outcome, took: started_at.elapsed() });
    }
    print!("{}", table(&finished));
    let failures: Vec<String> = finished.iter().filter_map(|finished| finished.failure(&options)).collect();
    if !failures.is_empty() {
        bail!("{} of {} scenarios failed\n{}", failures.len(), finished.len(), failures.join("\n"));
    }
    Ok(())
}

impl Finished {
    /// What is wrong, and how to see it again.
    fn failure(&self, options: &Options) -> Option<String> {
        let name = self.scenario.name();
        let found = match &self.outcome {
            Ok(Outcome::Skipped(_)) => return None,
            Ok(Outcome::Ran(record)) if self.is_as_promised(record) => return None,
            Ok(Outcome::Ran(_)) if self.scenario == Scenario::Lossy => {
                "clicks were taken away, and the checker did not see it".to_owned()
            }
            Ok(Outcome::Ran(record)) => record.violations.join("\n    "),
            Err(error) => format!("{error:#}"),
        };
        Some(format!("{name}:\n    {found}\n  again: {}", options.command(self.scenario)))
    }

    /// In [`Scenario::Lossy`] the promise is broken on purpose, and the checker must say so.
    fn is_as_promised(&self, record: &Record) -> bool {
        record.violations.is_empty() != (self.scenario == Scenario::Lossy)
    }

    fn line(&self) -> [String; 14] {
        let name = self.scenario.name().to_owned();
        let took = format!("{:.0} s", self.took.as_secs_f64());
        let mut cells = [const { String::new() }; 14];
        let verdict = match &self.outcome {
            Ok(Outcome::Skipped(reason)) => format!("SKIPPED: {reason}"),
            Err(_) => "FAILED".to_owned(),
            Ok(Outcome::Ran(record)) => {
                cells = record.cells();
                match (self.scenario, self.is_as_promised(record)) {
                    (Scenario::Lossy, true) => {
                        format!("found out: {} violations, as it must be", record.violations.len())
                    }
                    (_, true) => "ok".to_owned(),
                    (_, false) => "FAILED".to_owned(),
                }
            }
        };
        (cells[0], cells[12], cells[13]) = (name, took, verdict);
        cells
    }
}

const HEADINGS: [&str; 14] = [
    "scenario", "kills", "other", "late", "sent", "answered", "stored", "lost", "missing", "repeated", "max wait",
    "drained", "took", "verdict",
];

impl Record {
    fn cells(&self) -> [String; 14] {
        let millis = |duration: Duration| format!("{} ms", duration.as_millis());
        [
            String::new(),
            self.kills.to_string(),
            self.other_faults.to_string(),
            self.late_starts.to_string(),
            self.tally.sent().to_string(),
            self.tally.answered().to_string(),
            self.counted.stored.to_string(),
            self.counted.lost.to_string(),
            self.counted.missing.to_string(),
            self.counted.repeated_ids.to_string(),
            millis(Duration::from_micros(self.tally.slowest_micros)),
            millis(self.drained_after),
            String::new(),
            String::new(),
        ]
    }
}

fn table(finished: &[Finished]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(finished.iter().map(Finished::line));
    let widths: [usize; 14] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let mut text = String::from("\n");
    for row in &rows {
        // Numbers to the right; the name and the verdict to the left.
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            13 => cell.clone(),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    for Finished { scenario, outcome, .. } in finished {
        if let Ok(Outcome::Ran(record)) = outcome
            && *scenario != Scenario::Lossy
        {
            text.push_str(&format!(
                "{}: {} starts, the slowest {} ms; {} requests were never answered\n",
                scenario.name(),
                record.starts,
                record.slowest_start.as_millis(),
                record.tally.sent() - record.tally.answered(),
            ));
            if record.failed_calls > 0 {
                text.push_str(&format!("{}: {} calls failed\n", scenario.name(), record.failed_calls));
            }
        }
    }
    text.push_str(
        "promise: answered <= stored + lost <= sent; missing and repeated 0; audit, reports and raw clicks agree\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(scenario: Scenario, violations: &[&str]) -> Finished {
        let record = Record { violations: violations.iter().map(ToString::to_string).collect(), ..Record::default() };
        Finished { scenario, outcome: Ok(Outcome::Ran(Box::new(record))), took: Duration::ZERO }
    }

    fn options() -> Options {
        Options { rounds: 3, seed: 9, is_quick: false, is_release: false, scenarios: vec![Scenario::Kill] }
    }

    #[test]
    fn a_broken_promise_fails_and_says_how_to_see_it_again() {
        assert_eq!(finished(Scenario::Kill, &[]).failure(&options()), None);
        let failure = finished(Scenario::Kill, &["3 answered, but only 2 stored"]).failure(&options());
        let failure = failure.unwrap_or_default();
        assert!(failure.contains("only 2 stored"), "{failure}");
        assert!(failure.contains("cargo xtask chaos --rounds 3 --seed 9 --only kill"), "{failure}");
    }

    #[test]
    fn a_loss_that_nobody_sees_fails() {
        assert_eq!(finished(Scenario::Lossy, &["short"]).failure(&options()), None);
        assert!(finished(Scenario::Lossy, &[]).failure(&options()).is_some());
    }

    #[test]
    fn the_table_says_everything() {
        let skipped = Finished {
            scenario: Scenario::Disk,
            outcome: Ok(Outcome::Skipped("no root".to_owned())),
            took: Duration::ZERO,
        };
        let text = table(&[finished(Scenario::Kill, &[]), finished(Scenario::Clock, &["x"]), skipped]);
        assert!(text.lines().any(|line| line.starts_with("kill") && line.ends_with("ok")), "{text}");
        assert!(text.lines().any(|line| line.starts_with("clock") && line.ends_with("FAILED")), "{text}");
        assert!(text.contains("SKIPPED: no root"), "{text}");
    }
}
