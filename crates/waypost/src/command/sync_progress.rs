//! The lines of a comparison as they come: differences to standard output, how far it is to standard error.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::command::text;
use crate::print::{self, counted, grouped};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Shows a comparison while it runs.
pub(crate) struct SyncProgress {
    as_json: bool,
    /// `None` where standard error is no terminal.
    bar: Option<ProgressBar>,
    line_due_at: Instant,
}

impl SyncProgress {
    /// Begins.
    pub(crate) fn start(as_json: bool) -> Self {
        let bar = (!as_json && io::stderr().is_terminal()).then(draw_bar);
        Self { as_json, bar, line_due_at: Instant::now() + LINE_EVERY }
    }

    /// Shows one line of the answer.
    ///
    /// # Errors
    /// Where the line says that the comparison could not be finished.
    pub(crate) fn take(&mut self, line: &Value) -> anyhow::Result<()> {
        if let Some(error) = line["error"].as_str() {
            self.finish();
            bail!("the comparison could not be finished: {}", print::plain(error));
        }
        if self.as_json {
            return Ok(print::json(line)?);
        }
        if let Some(progress) = line.get("progress") {
            self.advance(&describe(progress));
        } else if line.get("difference").is_some() {
            let shown = print::plain(&difference(line));
            match &self.bar {
                Some(bar) => bar.suspend(|| print::line(&shown))?,
                None => print::line(&shown)?,
            }
        }
        Ok(())
    }

    /// Takes the bar away.
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

fn describe(progress: &Value) -> String {
    let count = |name: &str| grouped(progress[name].as_u64().unwrap_or_default());
    match text(progress, "phase") {
        "keys" => format!("{} listed", counted(progress["keys"].as_u64().unwrap_or_default(), "key")),
        "links" => {
            format!("{} of {} looked for", count("links"), counted(progress["of"].as_u64().unwrap_or_default(), "link"))
        }
        "repair" => format!("{} of {} repaired, {} failed", count("synced"), count("marked"), count("failed")),
        "waiting" => match (text(progress, "reason"), text(progress, "until")) {
            ("fault", _) => format!("trying again: {}", print::plain(text(progress, "error"))),
            ("allowance", until) => format!("the calls of the last minutes are used up; going on at {until}"),
            (_, until) => format!("Cloudflare asks for fewer calls; going on at {until}"),
        },
        phase => phase.to_owned(),
    }
}

/// `different  go.example/a  version 3, in KV 2`
fn difference(line: &Value) -> String {
    let kind = text(line, "difference");
    let what = match line["slug"].as_str() {
        Some(slug) => format!("{}/{slug}", text(line, "domain")),
        None => format!("key {}", text(line, "key")),
    };
    let there = line["kv_version"].as_u64().map_or_else(|| "none of ours".to_owned(), |version| version.to_string());
    let versions = match (kind, line["version"].as_u64()) {
        ("different", Some(version)) => format!("version {version}, in KV {there}"),
        ("missing", Some(version)) => format!("version {version}"),
        ("deleted", _) => format!("in KV version {there}"),
        ("unreadable", _) => format!("{}, in KV version {there}", text(line, "link_id")),
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
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_read_well() {
        let line = |kind: &str, version: Value, kv_version: Value| {
            difference(&json!({"difference": kind, "key": "b.example/a", "slug": "a", "domain": "b.example",
                "version": version, "kv_version": kv_version}))
        };
        assert_eq!(line("different", json!(3), json!(2)), "different  b.example/a  version 3, in KV 2");
        assert_eq!(line("different", json!(3), Value::Null), "different  b.example/a  version 3, in KV none of ours");
        assert_eq!(line("missing", json!(3), Value::Null), "missing    b.example/a  version 3");
        assert_eq!(line("deleted", Value::Null, json!(2)), "deleted    b.example/a  in KV version 2");
        let unreadable = json!({"difference": "unreadable", "key": "a", "slug": "a", "domain": "go.example",
            "link_id": "lnk_1", "version": 3, "kv_version": 2});
        assert_eq!(difference(&unreadable), "unreadable  go.example/a  lnk_1, in KV version 2");
        let foreign = json!({"difference": "foreign", "key": "x y", "slug": null, "domain": null, "version": null,
            "kv_version": null});
        assert_eq!(difference(&foreign), "foreign    key x y");
    }
}
