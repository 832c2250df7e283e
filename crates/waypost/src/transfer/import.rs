//! `waypost import`: sends rows in batches to the API, several at a time, and reads the responses in the order of the
//! file.
//!
//! Only the batches in flight are in memory. A refused line never stops the others. An error does, and names the last
//! line up to which everything was answered.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context as _;
use http::Method;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::task::JoinHandle;
use waypost_api::link::{
    BulkItem, BulkResult, BulkResults, CreateLinks, ExistingOutcome, IfExists, LINKS_PER_CALL_MAX, LinkResult,
};

use crate::cli::ImportArgs;
use crate::client::{Call, Client};
use crate::print::{self, counted};
use crate::problem::Problem;
use crate::transfer::csv::SlugColumn;
use crate::transfer::progress::Progress;
use crate::transfer::repeats::Repeats;
use crate::transfer::report::Report;
use crate::transfer::row::{Refusal, Row, TargetDomain};
use crate::transfer::source::Source;

const BULK_PATH: &str = "/api/v1/links/bulk";
/// The most bytes of the links of one request, well below the API's limit on a body.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// The most requests in flight at once.
const CALLS_MAX: usize = 4;

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Links created, or in a dry run those that can be created.
    pub(crate) created: u64,
    /// Links that already existed and were changed.
    updated: u64,
    /// Links that already existed as the file has them.
    unchanged: u64,
    /// Links that already existed, differ, and were left so.
    kept: u64,
    /// Lines refused.
    pub(crate) refused: u64,
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read, the report cannot be written, or the instance cannot be reached. Lines that are
/// refused are not an error.
pub(crate) async fn import(args: &ImportArgs) -> anyhow::Result<Summary> {
    let slugs = match &args.slug_column {
        Some(name) => SlugColumn::Named(name),
        None if args.draw_slugs => SlugColumn::Random,
        None => SlugColumn::Own,
    };
    let source = Source::open(&args.file, args.format, slugs)?;
    let report = Report::open(args.report.as_deref())?;
    if let Some(note) = source.note() {
        print::note(&format!("Note: {note}"));
    }
    let client = Arc::new(Client::connect_to_create(&args.client).await?);
    let progress = Progress::start(source.total_bytes());
    let mut import = Import {
        args,
        source,
        report,
        progress,
        client,
        in_flight: VecDeque::new(),
        summary: Summary::default(),
        repeats: Repeats::default(),
        answered_line: args.from_line.saturating_sub(1),
    };
    let run = import.run().await;
    // Requests that are still in flight after an error hold the client.
    for call in import.in_flight.drain(..) {
        call.calling.abort();
        let _ = call.calling.await;
    }
    import.progress.finish();
    let (summary, seconds) = (import.summary(), import.progress.seconds());
    if let Some(client) = Arc::into_inner(import.client) {
        client.close().await;
    }
    run.with_context(|| {
        let line = import.answered_line;
        format!("stopped: everything up to line {line} was answered; continue with --from-line {}", line + 1)
    })?;
    if let Some(note) = import.repeats.describe() {
        print::note(&note);
    }
    show(args, summary, import.repeats.count(), seconds)?;
    Ok(summary)
}

struct Import<'a> {
    args: &'a ImportArgs,
    source: Source,
    report: Report,
    progress: Progress,
    client: Arc<Client>,
    in_flight: VecDeque<InFlight>,
    summary: Summary,
    repeats: Repeats,
    /// Everything up to this line has an answer.
    answered_line: u64,
}

/// A batch that was sent.
struct InFlight {
    lines: Vec<FileLine>,
    calling: JoinHandle<anyhow::Result<Vec<Answer>>>,
}

/// A line that was sent, or refused before that; in the order of the file.
struct FileLine {
    number: u64,
    refusal: Option<Refusal>,
    /// An earlier line has the same JSON.
    is_repeat: bool,
}

/// The server's answer for one link.
enum Answer {
    Created {
        warnings: Vec<String>,
    },
    Updated {
        warnings: Vec<String>,
    },
    Unchanged,
    /// It already exists, and differs.
    Kept {
        short_url: String,
    },
    Refused(Refusal),
}

#[derive(Default)]
struct Batch {
    lines: Vec<FileLine>,
    links: Vec<Box<RawValue>>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.lines.len() >= LINKS_PER_CALL_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn push(&mut self, row: Row, repeats: &mut Repeats) {
        let number = row.line;
        match row.body {
            Err(refusal) => self.lines.push(FileLine { number, refusal: Some(refusal), is_repeat: false }),
            Ok(body) => {
                let link = to_raw_value(&body).expect("a map with strings as keys is JSON");
                self.bytes += link.get().len();
                self.lines.push(FileLine { number, refusal: None, is_repeat: repeats.is_repeat(link.get()) });
                self.links.push(link);
            }
        }
    }
}

impl Import<'_> {
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut batch = Batch::default();
        let target = TargetDomain { all: self.args.domain.as_deref(), map: &self.args.domain_map };
        while let Some(row) = self.source.next_row().context("cannot read the file")? {
            if row.line < self.args.from_line {
                continue;
            }
            batch.push(row.prepare(&target), &mut self.repeats);
            if batch.is_full() {
                self.send(std::mem::take(&mut batch)).await?;
            }
        }
        self.send(batch).await?;
        while !self.in_flight.is_empty() {
            self.receive().await?;
        }
        Ok(self.report.finish(&self.progress)?)
    }

    async fn send(&mut self, batch: Batch) -> anyhow::Result<()> {
        if self.in_flight.len() >= CALLS_MAX {
            self.receive().await?;
        }
        let client = Arc::clone(&self.client);
        let (dry_run, if_exists) = (self.args.dry_run, self.args.if_exists.into());
        let calling = tokio::spawn(async move { create_links(&client, batch.links, dry_run, if_exists).await });
        self.in_flight.push_back(InFlight { lines: batch.lines, calling });
        Ok(())
    }

    /// Waits for the response to the oldest request.
    async fn receive(&mut self) -> anyhow::Result<()> {
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        let mut answers = oldest.calling.await.context("the task of a request panicked")??.into_iter();
        for FileLine { number: line, refusal, is_repeat } in oldest.lines {
            let answer = match refusal {
                Some(refusal) => Answer::Refused(refusal),
                None => answers.next().context("the response has fewer results than links were sent")?,
            };
            if is_repeat && !matches!(answer, Answer::Refused(_)) {
                self.repeats.note(line);
            }
            self.take_answer(line, answer)?;
            self.answered_line = line;
        }
        let Summary { created, updated, unchanged, kept, refused } = self.summary();
        self.progress.advance(created + updated + unchanged + kept + refused, self.source.read_bytes());
        Ok(())
    }

    fn take_answer(&mut self, line: u64, answer: Answer) -> anyhow::Result<()> {
        let warnings = match answer {
            Answer::Refused(refusal) => return Ok(self.report.refuse(line, &refusal, &self.progress)?),
            Answer::Kept { short_url } => {
                self.summary.kept += 1;
                let reason = format!("{short_url} already exists, differs, and was left as it is");
                return Ok(self.report.note(line, &Refusal::new("kept", reason), &self.progress)?);
            }
            Answer::Unchanged => {
                self.summary.unchanged += 1;
                return Ok(());
            }
            Answer::Created { warnings } => {
                self.summary.created += 1;
                warnings
            }
            Answer::Updated { warnings } => {
                self.summary.updated += 1;
                warnings
            }
        };
        for warning in warnings {
            self.report.note(line, &Refusal::new("warning", warning), &self.progress)?;
        }
        Ok(())
    }

    fn summary(&self) -> Summary {
        Summary { refused: self.report.refused(), ..self.summary }
    }
}

/// Creates these links, and returns what became of each.
async fn create_links(
    client: &Client,
    links: Vec<Box<RawValue>>,
    dry_run: bool,
    if_exists: IfExists,
) -> anyhow::Result<Vec<Answer>> {
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let body = CreateLinks { links: links.iter().map(|link| BulkItem::from(&**link)).collect(), dry_run, if_exists };
    let answer = client.call_patiently(Call::new(Method::POST, BULK_PATH).body(&body)).await?;
    let BulkResults { results, .. } = answer.read()?;
    Ok(results.into_iter().map(read_result).collect())
}

fn read_result(result: BulkResult) -> Answer {
    let LinkResult { short_url, outcome, warnings, .. } = match result {
        BulkResult::Link(link) => link,
        BulkResult::Refused { problem, .. } => {
            let problem = Problem::from(problem);
            return Answer::Refused(Refusal::new(problem.code(), problem.reason()));
        }
    };
    match outcome {
        None => Answer::Created { warnings },
        Some(ExistingOutcome::Unchanged) => Answer::Unchanged,
        Some(ExistingOutcome::Kept) => Answer::Kept { short_url },
        Some(ExistingOutcome::Updated) => Answer::Updated { warnings },
    }
}

fn show(args: &ImportArgs, summary: Summary, repeated: u64, seconds: f64) -> anyhow::Result<()> {
    if args.client.json {
        let Summary { created, updated, unchanged, kept, refused } = summary;
        let document = json!({ "taken": created, "updated": updated, "there": unchanged, "kept": kept, "repeated": repeated, "refused": refused,
            "seconds": seconds, "dry_run": args.dry_run });
        return Ok(print::json(&document)?);
    }
    Ok(print::line(&describe(summary, args.dry_run, seconds))?)
}

/// The summary in one line.
fn describe(summary: Summary, dry_run: bool, seconds: f64) -> String {
    let Summary { created, updated, unchanged, kept, refused } = summary;
    let mut parts =
        vec![format!("{} {}", counted(created, "link"), if dry_run { "can be created" } else { "created" })];
    parts.extend((updated > 0).then(|| format!("{updated} {}", if dry_run { "can be updated" } else { "updated" })));
    parts.extend((unchanged > 0).then(|| format!("{unchanged} already existed")));
    let differ = if kept == 1 { "differs and was left as it is" } else { "differ and were left as they are" };
    parts.extend((kept > 0).then(|| format!("{kept} already existed, {differ} (see --if-exists update)")));
    parts.push(format!("{} refused", counted(refused, "line")));
    let rate = ((created + updated + unchanged + kept) as f64 / seconds.max(0.001)) as u64;
    let nothing = if dry_run { "; nothing was changed" } else { "" };
    format!("{}, in {seconds:.1} s ({rate} links/s){nothing}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_agree_with_their_counts() {
        let one = Summary { created: 1, updated: 0, unchanged: 0, kept: 0, refused: 1 };
        assert_eq!(describe(one, false, 1.0), "1 link created, 1 line refused, in 1.0 s (1 links/s)");
        let all = Summary { created: 2_000, updated: 1, unchanged: 2, kept: 1, refused: 0 };
        let expect = "2,000 links can be created, 1 can be updated, 2 already existed, 1 already existed, differs and was \
            left as it is (see --if-exists update), 0 lines refused, in 1.0 s (2004 links/s); nothing was changed";
        assert_eq!(describe(all, true, 1.0), expect);
    }
}
