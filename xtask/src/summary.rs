//! Reads the summary lines of test runners.

use std::fmt;

/// Counts over all closing lines of a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Summary {
    /// Adds what a line says, if it is a closing line of nextest (`Summary [...] 3 tests run: 3 passed, 0 skipped`) or
    /// of cargo's own runner (`test result: ok. 3 passed; 0 failed; 0 ignored; ...`).
    pub(crate) fn add_line(&mut self, line: &str) {
        let line = line.trim_start();
        let Some(counts) = line
            .strip_prefix("Summary [")
            .and_then(|rest| rest.split_once(" run: "))
            .or_else(|| line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")))
            .map(|(_, counts)| counts)
        else {
            return;
        };
        for part in counts.split([',', ';']) {
            let mut words = part.split_whitespace();
            let Some(count) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
            match words.next() {
                Some("passed") => self.passed += count,
                Some("failed" | "timed" | "exec") => self.failed += count,
                Some("skipped" | "ignored") => self.skipped += count,
                Some(_) | None => {}
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expect: &str) {
        let mut summary = Summary::default();
        for line in lines {
            summary.add_line(line);
        }
        assert_eq!(summary.to_string(), expect);
    }

    #[test]
    fn closing_lines_are_added_up() {
        check(&["     Summary [   0.136s] 19 tests run: 19 passed, 0 skipped"], "19 passed, 0 failed, 0 skipped");
        check(
            &[
                "Summary [ 3.1s] 16/19 tests run: 11 passed (1 slow, 2 leaky), 2 failed, 1 timed out, 1 exec failed, 4 skipped",
            ],
            "11 passed, 4 failed, 4 skipped",
        );
        check(
            &[
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
                "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            ],
            "4 passed, 2 failed, 1 skipped",
        );
        check(&["a test prints 5 passed, 5 failed", "Summary of things: 3 passed"], "0 passed, 0 failed, 0 skipped");
    }
}
