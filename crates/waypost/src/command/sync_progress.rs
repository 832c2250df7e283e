//! Prints the lines of a comparison as they arrive: differences to standard output, progress to standard error.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use waypost_api::sync::{Difference, DifferenceKind, VerifyLine, VerifyProgress};

use crate::print::{self, counted, grouped};
use crate::reply::Kept;

/// How often progress is written if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Shows a comparison while it runs.
pub(crate) struct SyncProgress {
    as_json: bool,
    /// `None` if standard error is not a terminal.
    bar: Option<ProgressBar>,
    line_due_at: Instant,
}

impl SyncProgress {
    /// Starts the display.
    pub(crate) fn start(as_json: bool) -> Self {
        let bar = (!as_json && io::stderr().is_terminal()).then(draw_bar);
        Self { as_json, bar, line_due_at: Instant::now() + LINE_EVERY }
    }

    /// Shows one line of the response.
    ///
    /// # Errors
    /// If the line says that the comparison could not be finished.
    pub(crate) fn take(&mut self, line: &Kept<VerifyLine>) -> anyhow::Result<()> {
        if let VerifyLine::Error { error } = &line.value {
            self.finish();
            bail!("the comparison could not be finished: {}", print::plain(error));
        }
        if self.as_json {
            return Ok(print::json(&line.json)?);
        }
        match &line.value {
            VerifyLine::Progress { progress } => self.advance(&describe(progress)),
            VerifyLine::Difference(found) => {
                let shown = print::plain(&difference(found));
                match &self.bar {
                    Some(bar) => bar.suspend(|| print::line(&shown))?,
                    None => print::line(&shown)?,
                }
            }
            VerifyLine::Summary { .. } | VerifyLine::Error { .. } => {}
        }
        Ok(())
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn advance(&mut self, shown: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(shown.to_owned()),
            None if Instant::now() >= self.line_due_at => {
                self.line_due_at = Instant::now() + LINE_EVERY;
                print::note(shown);
            }
            None => {}
        }
    }
}

fn describe(progress: &VerifyProgress) -> String {
    match progress {
        VerifyProgress::Keys { keys } => format!("{} listed", counted(*keys, "key")),
        VerifyProgress::Links { links, of } => format!("{} of {} compared", grouped(*links), counted(*of, "link")),
        VerifyProgress::Repair { marked, synced, failed } => {
            format!("{} of {} repaired, {} failed", grouped(*synced), grouped(*marked), grouped(*failed))
        }
        VerifyProgress::Waiting { reason, error, until } => {
            let until = until.map(|until| until.to_string()).unwrap_or_default();
            match reason.as_str() {
                "fault" => format!("trying again: {}", print::plain(error.as_deref().unwrap_or_default())),
                "allowance" => format!("the limit of requests is used up; continuing at {until}"),
                _ => format!("Cloudflare asks for fewer requests; continuing at {until}"),
            }
        }
    }
}

/// `different  go.example/a  version 3, in KV 2`
fn difference(found: &Difference) -> String {
    let kind = found.difference.name();
    let what = match &found.slug {
        Some(slug) => format!("{}/{slug}", found.domain.as_deref().unwrap_or_default()),
        None => format!("key {}", found.key),
    };
    let there = found.kv_version.map_or_else(|| "none of ours".to_owned(), |version| version.to_string());
    let versions = match (found.difference, found.version) {
        (DifferenceKind::Different, Some(version)) => format!("version {version}, in KV {there}"),
        (DifferenceKind::Missing, Some(version)) => format!("version {version}"),
        (DifferenceKind::Deleted, _) => format!("in KV version {there}"),
        (DifferenceKind::Unreadable, _) => {
            let id = found.link_id.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{id}, in KV version {there}")
        }
        _ => String::new(),
    };
    format!("{kind:9}  {what}  {versions}").trim_end().to_owned()
}

fn draw_bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(DRAW_EVERY);
    bar
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(line: Value) -> String {
        difference(&serde_json::from_value(line).expect("a difference"))
    }

    #[test]
    fn differences_read_well() {
        let line = |kind: &str, version: Value, kv_version: Value| {
            shown(json!({"difference": kind, "key": "b.example/a", "slug": "a", "domain": "b.example",
                "version": version, "kv_version": kv_version}))
        };
        assert_eq!(line("different", json!(3), json!(2)), "different  b.example/a  version 3, in KV 2");
        assert_eq!(line("different", json!(3), Value::Null), "different  b.example/a  version 3, in KV none of ours");
        assert_eq!(line("missing", json!(3), Value::Null), "missing    b.example/a  version 3");
        assert_eq!(line("deleted", Value::Null, json!(2)), "deleted    b.example/a  in KV version 2");
        let unreadable = json!({"difference": "unreadable", "key": "a", "slug": "a", "domain": "go.example",
            "link_id": "link_1", "version": 3, "kv_version": 2});
        assert_eq!(shown(unreadable), "unreadable  go.example/a  link_1, in KV version 2");
        let foreign = json!({"difference": "foreign", "key": "x y", "slug": null, "domain": null, "version": null,
            "kv_version": null});
        assert_eq!(shown(foreign), "foreign    key x y");
    }
}
