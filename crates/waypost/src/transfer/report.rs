//! Reports refused lines: to standard error for people, or to a CSV file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::print::{self, grouped};
use crate::transfer::csv::write_record;
use crate::transfer::progress::Progress;
use crate::transfer::row::Refusal;

/// How many refused lines are shown on standard error; the rest are only counted.
const SHOWN_MAX: u64 = 20;
/// How many lines are named of those that are refused for the same reason as an earlier one.
const NAMED_MAX: usize = 5;

/// What to do if a domain of the file does not exist.
const DOMAIN_ADVICE: &str = "Create a missing domain with `waypost domain create HOST`, or put its links on another one with \
    `--domain-map OLD=NEW` (all links of the file: `--domain NEW`); then import the file again. `waypost domain list` shows the domains.";

/// Receives refused lines, in the order of the file.
pub(crate) struct Report {
    file: Option<BufWriter<File>>,
    refused: u64,
    /// Refused lines whose reason no earlier line had.
    distinct: u64,
    notes: u64,
    /// The kinds of refusals that were shown.
    kinds: Vec<Kind>,
    has_unknown_domain: bool,
}

/// Lines that are refused for one reason.
struct Kind {
    refusal: Refusal,
    /// The line that was shown.
    line: u64,
    /// The first lines after it.
    named: Vec<u64>,
    /// Those after them.
    more: u64,
}

impl Report {
    /// A report to this file, which must not exist, or to standard error.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let file = path
            .map(|path| File::create_new(path).with_context(|| format!("cannot create the report {}", path.display())))
            .transpose()?;
        let mut report = Self {
            file: file.map(BufWriter::new),
            refused: 0,
            distinct: 0,
            notes: 0,
            kinds: Vec::new(),
            has_unknown_domain: false,
        };
        report.write(&["line".to_owned(), "code".to_owned(), "reason".to_owned()])?;
        Ok(report)
    }

    /// Reports one line.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub(crate) fn refuse(&mut self, line: u64, refusal: &Refusal, progress: &Progress) -> io::Result<()> {
        self.refused += 1;
        self.has_unknown_domain |= refusal.code == "domain_unknown";
        if self.file.is_some() {
            return self.write(&[line.to_string(), refusal.code.clone(), refusal.reason.clone()]);
        }
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.refusal == *refusal) {
            if kind.named.len() < NAMED_MAX {
                kind.named.push(line);
            } else {
                kind.more += 1;
            }
            return Ok(());
        }
        self.distinct += 1;
        if self.distinct <= SHOWN_MAX {
            self.kinds.push(Kind { refusal: refusal.clone(), line, named: Vec::new(), more: 0 });
            progress.say(&format!("line {line}: {} ({})", print::plain(&refusal.reason), refusal.code));
        } else if self.distinct == SHOWN_MAX + 1 {
            progress.say("further refused lines are only counted; --report FILE writes all of them");
        }
        Ok(())
    }

    /// Writes a note about a line that was not refused.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub(crate) fn note(&mut self, line: u64, note: &Refusal, progress: &Progress) -> io::Result<()> {
        self.notes += 1;
        if self.file.is_some() {
            return self.write(&[line.to_string(), note.code.clone(), note.reason.clone()]);
        }
        if self.notes <= SHOWN_MAX {
            progress.say(&format!("line {line}: note: {} ({})", print::plain(&note.reason), note.code));
        } else if self.notes == SHOWN_MAX + 1 {
            progress.say("further notes are left out; --report FILE writes all of them");
        }
        Ok(())
    }

    /// How many lines were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Writes how many lines were refused for the same reasons as those that were shown, and flushes the file.
    ///
    /// # Errors
    /// If the report cannot be written.
    pub(crate) fn finish(&mut self, progress: &Progress) -> io::Result<()> {
        self.kinds.iter().filter_map(Kind::describe_others).for_each(|text| progress.say(&text));
        if self.has_unknown_domain {
            progress.say(DOMAIN_ADVICE);
        }
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }

    fn write(&mut self, cells: &[String]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = Vec::new();
        write_record(&mut line, cells.iter().cloned());
        file.write_all(&line)
    }
}

impl Kind {
    fn describe_others(&self) -> Option<String> {
        if self.named.is_empty() {
            return None;
        }
        let mut named: Vec<String> = self.named.iter().map(u64::to_string).collect();
        named.extend((self.more > 0).then(|| format!("{} more", grouped(self.more))));
        let last = named.pop()?;
        let lines = if named.is_empty() {
            format!("line {last} is refused for the same reason as line {}", self.line)
        } else {
            let count = self.named.len() as u64 + self.more;
            format!(
                "{} lines are refused for the same reason as line {}: {} and {last}",
                grouped(count),
                self.line,
                named.join(", ")
            )
        };
        Some(format!("{lines} ({})", self.refusal.code))
    }
}
