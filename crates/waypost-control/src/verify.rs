//! Comparing every link with what Workers KV really holds, and bringing the two together where that is asked for.
//!
//! Keys are listed page by page with their metadata, so no value is read; then all links are walked for those whose key did
//! not come up. Nothing but a hash of each key is kept meanwhile. What is just being pushed, or was within the last minute,
//! is no difference: lists are that much behind. Repairing means making keys pending; the outbox worker pushes them.
//!
//! What is found goes out as it is found, one JSON document a line (NDJSON): `progress`, `difference`, and at the end a
//! `summary`, or an `error` where the comparison could not be finished.

mod calls;
mod compare;
mod pages;
mod repair;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use futures_util::stream::poll_fn;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use waypost_core::Timestamp;
use waypost_core::id::LinkId;
use waypost_store::{StoreError, SyncKey, SyncTarget};

use self::compare::Difference;
use self::repair::{Repair, Repaired};
use crate::app::{App, monotonic_now};
use crate::kv::{KvClient, KvFault};
use crate::problem::{Problem, ProblemCode};
use crate::request::{invalid, refuse_rest};

/// Lines that wait for a slow reader, in pages.
const CHUNKS_AHEAD: usize = 4;

/// What is to be done with differences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerifyOptions {
    /// Whether links that are missing or different are pushed, and deleted ones deleted.
    repair: bool,
    /// Whether keys that belong to no link of ours are deleted.
    delete_foreign: bool,
}

impl VerifyOptions {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Names the fields that are at fault.
    pub(crate) fn parse(mut object: Map<String, Value>) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let [repair, delete_foreign] = ["repair", "delete_foreign"].map(|field| match object.remove(field) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                errors.push(invalid(field, "true or false"));
                false
            }
        });
        refuse_rest(&object, &mut errors);
        if errors.is_empty() { Ok(Self { repair, delete_foreign }) } else { Err(Problem::of_fields(errors)) }
    }
}

/// Lets one comparison run at a time, and ends it with the process.
#[derive(Debug)]
pub(crate) struct Verifier {
    is_running: Arc<AtomicBool>,
    /// Turns true when it is to end.
    stop: watch::Sender<bool>,
}

impl Verifier {
    pub(crate) fn new() -> Self {
        Self { is_running: Arc::default(), stop: watch::Sender::new(false) }
    }

    /// Ends the comparison that runs, and lets none begin.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    fn take_turn(&self) -> Result<Turn, Problem> {
        if self.is_running.swap(true, Ordering::SeqCst) {
            let detail = "this server is comparing already; wait for the end of that";
            return Err(Problem::new(ProblemCode::VerifyRunning, detail).retry_after(10));
        }
        Ok(Turn(Arc::clone(&self.is_running)))
    }
}

/// Held by the comparison that runs.
#[derive(Debug)]
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl App {
    /// Begins a comparison; its lines are written while it runs. It ends with whoever reads them.
    pub(crate) fn verify_sync(self: &Arc<Self>, options: VerifyOptions) -> Result<Body, Problem> {
        let target = self.outside_target()?;
        let client = self.kv().cloned().ok_or_else(|| Problem::internal("comparing", &"there is no client"))?;
        let turn = self.verifier.take_turn()?;
        let (lines, mut receiver) = mpsc::channel(CHUNKS_AHEAD);
        let verification = Verification {
            app: Arc::clone(self),
            target,
            client,
            options,
            stop: self.verifier.stop.subscribe(),
            lines,
            seen: Vec::new(),
            tally: Tally::default(),
            repair: Repair::default(),
        };
        tokio::spawn(async move {
            verification.run().await;
            drop(turn);
        });
        // The stream has no errors of its own: what goes wrong is its last line.
        let stream = poll_fn(move |cx| receiver.poll_recv(cx).map(|line| line.map(Ok::<_, std::convert::Infallible>)));
        Ok(Body::from_stream(stream))
    }
}

/// A comparison that runs.
struct Verification {
    app: Arc<App>,
    target: SyncTarget,
    client: Arc<KvClient>,
    options: VerifyOptions,
    stop: watch::Receiver<bool>,
    lines: mpsc::Sender<Bytes>,
    /// Hashes of the keys that were listed; sorted once all were.
    seen: Vec<u64>,
    tally: Tally,
    repair: Repair,
}

/// What was found so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Tally {
    /// Keys in KV.
    keys: u64,
    /// Live links that were looked for.
    links: u64,
    same: u64,
    /// Being pushed, or just pushed: nothing can be said of them.
    in_flight: u64,
    missing: u64,
    different: u64,
    deleted: u64,
    foreign: u64,
    /// Links that cannot be read from the database.
    unreadable: u64,
    /// Keys of nobody's that were deleted.
    foreign_deleted: u64,
}

impl Tally {
    const fn count(&mut self, difference: Difference) {
        match difference {
            Difference::Missing => self.missing += 1,
            Difference::Different => self.different += 1,
            Difference::Deleted => self.deleted += 1,
            Difference::Foreign => self.foreign += 1,
            Difference::Unreadable => self.unreadable += 1,
        }
    }

    /// Differences that concern links of ours and can be repaired.
    const fn differences(&self) -> u64 {
        self.missing + self.different + self.deleted
    }
}

/// The last line of a comparison that came to its end.
#[derive(Debug, Serialize)]
struct Summary {
    /// Whether KV holds every link as it should, or does so now. Keys of nobody's do not count.
    ok: bool,
    #[serde(flatten)]
    tally: Tally,
    /// What became of repairs; `null` where none were asked for.
    repaired: Option<Repaired>,
    took_ms: u64,
}

/// A difference, as it is shown.
#[derive(Debug, Serialize)]
struct DifferenceLine<'a> {
    difference: &'static str,
    /// The key in KV.
    key: &'a str,
    slug: Option<&'a str>,
    domain: Option<&'a str>,
    /// The link's id, where the link cannot be read; whatever else is to be known of it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<&'a str>,
    /// The version that KV should hold; `null` where there is no such link.
    version: Option<u64>,
    /// The version that it holds; `null` where nothing is there, or others wrote it.
    kv_version: Option<u64>,
}

/// Why a comparison ended early.
#[derive(Debug)]
enum Stop {
    /// Nobody reads on, or the process ends.
    Gone,
    Store(StoreError),
    Target(KvFault),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Verification {
    async fn run(mut self) {
        let began = monotonic_now();
        let outcome = self.compare_all().await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let line = match outcome {
            Ok(()) => {
                let Tally { missing, different, deleted, foreign, .. } = self.tally;
                tracing::info!(took_ms, missing, different, deleted, foreign, "links and Workers KV were compared");
                json!({ "summary": self.summary(took_ms) })
            }
            Err(Stop::Gone) if !*self.stop.borrow() => return,
            Err(Stop::Gone) => json!({ "error": "the server is stopping" }),
            Err(Stop::Store(error)) => {
                let problem = Problem::from(error);
                json!({ "error": problem.detail() })
            }
            Err(Stop::Target(fault)) => {
                tracing::warn!(error = %fault, "links and Workers KV could not be compared");
                json!({ "error": fault.to_string() })
            }
        };
        // Whoever asked may have gone meanwhile.
        let _ = self.send(&[line]).await;
    }

    fn summary(&self, took_ms: u64) -> Summary {
        let repaired = self.options.repair.then(|| self.repair.outcome());
        let is_repaired = repaired.as_ref().is_some_and(|repaired| repaired.failed + repaired.unfinished == 0);
        let is_ok = self.tally.unreadable == 0 && (self.tally.differences() == 0 || is_repaired);
        Summary { ok: is_ok, tally: self.tally, repaired, took_ms }
    }

    async fn compare_all(&mut self) -> Result<(), Stop> {
        let began_at = self.app.store.read("verify_start").await?.now();
        self.compare_keys().await?;
        let mut seen = std::mem::take(&mut self.seen);
        let sorting = tokio::task::spawn_blocking(move || {
            seen.sort_unstable();
            seen
        });
        // Fails only where sorting panicked, which it does not.
        self.seen = sorting.await.map_err(|_| Stop::Gone)?;
        self.compare_links(began_at).await?;
        if self.options.repair { self.finish_repair().await } else { Ok(()) }
    }

    async fn send(&self, lines: &[Value]) -> Result<(), Stop> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).expect("a JSON value can be written to memory");
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        self.lines.send(text.into()).await.map_err(|_| Stop::Gone)
    }

    async fn progress(&self, progress: Value) -> Result<(), Stop> {
        self.send(&[json!({ "progress": progress })]).await
    }
}

/// A key that is not as it should be.
#[derive(Debug)]
struct Found {
    difference: Difference,
    key: String,
    /// Which slug it is the key of, or would be; `None` where it can be none's.
    sync_key: Option<SyncKey>,
    host: String,
    /// Only of a link that cannot be read.
    link_id: Option<LinkId>,
    version: Option<u64>,
    kv_version: Option<u64>,
}

impl Found {
    fn line(&self) -> Value {
        let sync_key = self.sync_key.as_ref().filter(|_| self.difference != Difference::Foreign);
        let line = DifferenceLine {
            difference: self.difference.name(),
            key: &self.key,
            slug: sync_key.map(|key| key.slug.as_str()),
            domain: sync_key.map(|_| self.host.as_str()),
            link_id: self.link_id.as_ref().map(LinkId::as_str),
            version: self.version,
            kv_version: self.kv_version,
        };
        serde_json::to_value(line).expect("texts and numbers are JSON")
    }
}

/// Microseconds before an instant.
const fn before(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_sub(micros))
}
