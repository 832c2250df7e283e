//! The progress of a transfer: a bar on a terminal, otherwise a line every few seconds.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::print;

/// How often a line is written if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Shows the progress of a transfer on standard error.
pub(crate) struct Progress {
    /// `None` if standard error is not a terminal.
    bar: Option<ProgressBar>,
    started_at: Instant,
    line_due_at: Instant,
    /// The bytes to read, if known.
    total_bytes: Option<u64>,
}

impl Progress {
    /// Starts the display; with `total_bytes` it has a percentage and the time left.
    pub(crate) fn start(total_bytes: Option<u64>) -> Self {
        let bar = io::stderr().is_terminal().then(|| draw_bar(total_bytes));
        let now = Instant::now();
        Self { bar, started_at: now, line_due_at: now + LINE_EVERY, total_bytes }
    }

    /// Updates how many links are done and how many bytes are read.
    pub(crate) fn advance(&mut self, links: u64, read_bytes: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(read_bytes);
                bar.set_message(format!("{}, {}/s", print::counted(links, "link"), self.rate(links)));
            }
            None if Instant::now() >= self.line_due_at => {
                self.line_due_at = Instant::now() + LINE_EVERY;
                self.say(&format!(
                    "{}, {}/s{}",
                    print::counted(links, "link"),
                    self.rate(links),
                    self.time_left(read_bytes)
                ));
            }
            None => {}
        }
    }

    /// Writes a line without tearing the bar.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print::note(text)),
            None => print::note(text),
        }
    }

    /// Links in each second so far.
    pub(crate) fn rate(&self, links: u64) -> u64 {
        (links as f64 / self.seconds().max(0.001)) as u64
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.started_at.elapsed().as_secs_f64()
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn time_left(&self, read_bytes: u64) -> String {
        let Some(total) = self.total_bytes.filter(|total| *total > 0 && read_bytes > 0) else { return String::new() };
        let share = read_bytes as f64 / total as f64;
        let left = self.seconds() * (1.0 - share) / share;
        format!(", {:.0} %, {left:.0} s left", share * 100.0)
    }
}

fn draw_bar(total_bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match total_bytes {
        Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3} %  {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed}"),
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(DRAW_EVERY);
    bar
}
