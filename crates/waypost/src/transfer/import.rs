//! `waypost import`: rows in batches through the API, several at a time, answers in the order of the file.
//!
//! Memory holds the batches in flight and nothing else. A refused line never stops the others; a fault does, and says up
//! to which line everything was answered.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context as _;
use http::Method;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use crate::cli::ImportArgs;
use crate::client::{Call, Client};
use crate::print;
use crate::problem::Problem;
use crate::transfer::progress::Progress;
use crate::transfer::report::Report;
use crate::transfer::row::{Refusal, Row};
use crate::transfer::source::Source;

const BULK_PATH: &str = "/api/v1/links/bulk";
/// Links of one call; the API's own limit.
const BATCH_LINKS_MAX: usize = 1_000;
/// Bytes of the links of one call, well below the API's limit on a body.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Calls under way at once.
const CALLS_MAX: usize = 4;

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Links made, or that could be made in a dry run.
    pub(crate) taken: u64,
    /// Lines refused.
    pub(crate) refused: u64,
}

/// Runs the command.
///
/// # Errors
/// Where the file cannot be read, the report cannot be written, or the instance cannot be reached. Lines that are
/// refused are no error.
pub(crate) async fn import(args: &ImportArgs) -> anyhow::Result<Summary> {
    let source = Source::open(&args.file, args.format)?;
    let report = Report::open(args.report.as_deref())?;
    let client = Arc::new(Client::connect(&args.client).await?);
    let progress = Progress::start(source.total_bytes());
    let mut import = Import {
        args,
        source,
        report,
        progress,
        client,
        in_flight: VecDeque::new(),
        taken: 0,
        answered_line: args.from_line.saturating_sub(1),
    };
    let run = import.run().await;
    // Calls that nobody waits for any more still hold the client.
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
        format!("stopped: everything up to line {line} was answered; go on with --from-line {}", line + 1)
    })?;
    show(args, summary, seconds)?;
    Ok(summary)
}

struct Import<'a> {
    args: &'a ImportArgs,
    source: Source,
    report: Report,
    progress: Progress,
    client: Arc<Client>,
    in_flight: VecDeque<InFlight>,
    taken: u64,
    /// Everything up to this line has an answer.
    answered_line: u64,
}

/// A batch on its way.
struct InFlight {
    /// Lines refused before the call, in between, and lines sent, in the order of the file.
    lines: Vec<(u64, Option<Refusal>)>,
    calling: JoinHandle<anyhow::Result<Vec<Option<Refusal>>>>,
}

#[derive(Default)]
struct Batch {
    lines: Vec<(u64, Option<Refusal>)>,
    links: Vec<Value>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_LINKS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn push(&mut self, row: Row) {
        match row.body {
            Err(refusal) => self.lines.push((row.line, Some(refusal))),
            Ok(body) => {
                self.bytes += size_of(&body);
                self.lines.push((row.line, None));
                self.links.push(Value::Object(body));
            }
        }
    }
}

impl Import<'_> {
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut batch = Batch::default();
        while let Some(row) = self.source.next_row().context("cannot read the file")? {
            if row.line < self.args.from_line {
                continue;
            }
            batch.push(row.prepare(self.args.domain.as_deref()));
            if batch.is_full() {
                self.send(std::mem::take(&mut batch)).await?;
            }
        }
        self.send(batch).await?;
        while !self.in_flight.is_empty() {
            self.receive().await?;
        }
        Ok(self.report.finish()?)
    }

    async fn send(&mut self, batch: Batch) -> anyhow::Result<()> {
        if self.in_flight.len() >= CALLS_MAX {
            self.receive().await?;
        }
        let client = Arc::clone(&self.client);
        let dry_run = self.args.dry_run;
        let calling = tokio::spawn(async move { create_links(&client, batch.links, dry_run).await });
        self.in_flight.push_back(InFlight { lines: batch.lines, calling });
        Ok(())
    }

    /// Takes the answer of the oldest call.
    async fn receive(&mut self) -> anyhow::Result<()> {
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        let mut answers = oldest.calling.await.context("a call broke down")??.into_iter();
        for (line, refusal) in oldest.lines {
            let refusal = match refusal {
                Some(refusal) => Some(refusal),
                None => answers.next().context("the answer has fewer results than links were sent")?,
            };
            match refusal {
                Some(refusal) => self.report.refuse(line, &refusal, &self.progress)?,
                None => self.taken += 1,
            }
            self.answered_line = line;
        }
        self.progress.advance(self.taken + self.report.refused(), self.source.read_bytes());
        Ok(())
    }

    fn summary(&self) -> Summary {
        Summary { taken: self.taken, refused: self.report.refused() }
    }
}

/// About how many bytes the body takes as JSON.
fn size_of(body: &Map<String, Value>) -> usize {
    body.iter()
        .map(|(name, value)| name.len() + 6 + value.as_str().map_or_else(|| value.to_string().len(), str::len))
        .sum()
}

/// Makes these links; for each the refusal, or none where it was made.
async fn create_links(client: &Client, links: Vec<Value>, dry_run: bool) -> anyhow::Result<Vec<Option<Refusal>>> {
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let mut body = Map::from_iter([("links".to_owned(), Value::Array(links))]);
    if dry_run {
        body.insert("dry_run".to_owned(), Value::Bool(true));
    }
    let answer = client.call_patiently(Call::new(Method::POST, BULK_PATH).body(&body)).await?;
    let results = answer["results"].as_array().context("the answer has no results")?;
    Ok(results.iter().map(read_result).collect())
}

fn read_result(result: &Value) -> Option<Refusal> {
    let problem = result.get("problem").filter(|problem| !problem.is_null())?;
    let problem: Problem = serde_json::from_value(problem.clone()).unwrap_or_default();
    Some(Refusal::new(&problem.code, problem.reason()))
}

fn show(args: &ImportArgs, summary: Summary, seconds: f64) -> anyhow::Result<()> {
    let Summary { taken, refused } = summary;
    let rate = (taken as f64 / seconds.max(0.001)) as u64;
    if args.client.json {
        let document = json!({ "taken": taken, "refused": refused, "seconds": seconds, "dry_run": args.dry_run });
        return Ok(print::json(&document)?);
    }
    let what = if args.dry_run { "could be made (nothing was changed)" } else { "made" };
    Ok(print::line(&format!("{taken} links {what}, {refused} lines refused, in {seconds:.1} s ({rate} links/s)"))?)
}
