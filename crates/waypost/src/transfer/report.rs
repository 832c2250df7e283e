//! The report of refused lines: to standard error for a person, or to a CSV file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::print;
use crate::transfer::csv::write_record;
use crate::transfer::progress::Progress;
use crate::transfer::row::Refusal;

/// Refused lines shown on standard error; the rest are only counted.
const SHOWN_MAX: u64 = 20;

/// Takes refused lines, in the order of the file.
pub(crate) struct Report {
    file: Option<BufWriter<File>>,
    refused: u64,
    told: u64,
}

impl Report {
    /// A report to this file, which must not exist, or to standard error.
    ///
    /// # Errors
    /// Where the file exists or cannot be written.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let file = path
            .map(|path| File::create_new(path).with_context(|| format!("cannot make the report {}", path.display())))
            .transpose()?;
        let mut report = Self { file: file.map(BufWriter::new), refused: 0, told: 0 };
        report.write(&["line".to_owned(), "code".to_owned(), "reason".to_owned()])?;
        Ok(report)
    }

    /// Reports one line.
    ///
    /// # Errors
    /// Where the report cannot be written.
    pub(crate) fn refuse(&mut self, line: u64, refusal: &Refusal, progress: &Progress) -> io::Result<()> {
        self.refused += 1;
        if self.file.is_some() {
            return self.write(&[line.to_string(), refusal.code.clone(), refusal.reason.clone()]);
        }
        if self.refused <= SHOWN_MAX {
            progress.say(&format!("line {line}: {} ({})", print::plain(&refusal.reason), refusal.code));
        } else if self.refused == SHOWN_MAX + 1 {
            progress.say("further refused lines are only counted; --report FILE keeps them all");
        }
        Ok(())
    }

    /// Says something of a line that was taken or passed over.
    ///
    /// # Errors
    /// Where the report cannot be written.
    pub(crate) fn tell(&mut self, line: u64, note: &Refusal, progress: &Progress) -> io::Result<()> {
        self.told += 1;
        if self.file.is_some() {
            return self.write(&[line.to_string(), note.code.clone(), note.reason.clone()]);
        }
        if self.told <= SHOWN_MAX {
            progress.say(&format!("line {line}: note: {} ({})", print::plain(&note.reason), note.code));
        } else if self.told == SHOWN_MAX + 1 {
            progress.say("further notes are left out; --report FILE keeps them all");
        }
        Ok(())
    }

    /// How many lines were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// Where the report cannot be written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }

    fn write(&mut self, cells: &[String]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = Vec::new();
        write_record(&mut line, cells.iter().cloned());
        file.write_all(&line)
    }
}
