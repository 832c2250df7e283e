//! Compares every link with what Workers KV contains, and repairs differences on request.
//!
//! Keys are listed page by page with their metadata, so no value is read; then all links are walked to find those whose
//! key was not listed. Only a hash of each key is kept meanwhile. A link that is being pushed, or was pushed within the
//! last minute, is not a difference: lists are that much behind. A repair sets keys to pending; the outbox worker
//! pushes them.
//!
//! Findings are sent as soon as they are found: progress, differences, and at the end a summary, or an error if the
//! comparison failed.

mod calls;
mod compare;
mod pages;
mod repair;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use waypost_api::sync::{
    Difference, DifferenceKind, VerifyLine, VerifyProgress, VerifySummary, VerifySync, VerifyTally,
};
use waypost_core::Timestamp;
use waypost_core::id::LinkId;
use waypost_core::sync::SyncTarget;
use waypost_jobs::Chain;
use waypost_store::{SqlError, Store, StoreError, SyncKey};
use waypost_table::Table;

use self::repair::Repair;
use crate::kv::{KvClient, KvFault};
use crate::outbox::OutboxWorker;

/// Lines that wait for a slow reader, in pages.
const CHUNKS_AHEAD: usize = 4;

/// Lets one comparison run at a time, and ends it with the process.
#[derive(Debug)]
pub struct Verifier {
    is_running: Arc<AtomicBool>,
    /// Turns true when it is to end.
    stop: watch::Sender<bool>,
}

impl Verifier {
    /// Compares nothing yet.
    pub fn new() -> Self {
        Self { is_running: Arc::default(), stop: watch::Sender::new(false) }
    }

    /// Ends the comparison that runs, and lets none begin.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Begins a comparison; its lines come while it runs, and it ends with whoever reads them. `None` where one runs
    /// already.
    pub fn start(&self, links: ComparedLinks, options: VerifySync) -> Option<mpsc::Receiver<Vec<VerifyLine>>> {
        if self.is_running.swap(true, Ordering::SeqCst) {
            return None;
        }
        let turn = Turn(Arc::clone(&self.is_running));
        let (lines, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let verification = Verification {
            links,
            options,
            stop: self.stop.subscribe(),
            lines,
            seen: Vec::new(),
            tally: VerifyTally::default(),
            repair: Repair::default(),
        };
        tokio::spawn(async move {
            verification.run().await;
            drop(turn);
        });
        Some(receiver)
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

/// What is compared with what.
#[derive(Clone, Debug)]
pub struct ComparedLinks {
    /// Where the links are.
    pub store: Store,
    /// Says about how many there are.
    pub table: Arc<Table>,
    /// Which target.
    pub target: SyncTarget,
    /// Lists what it holds.
    pub client: Arc<KvClient>,
    /// Pushes what is to be repaired.
    pub outbox: Arc<OutboxWorker>,
}

/// Held by the comparison that runs.
#[derive(Debug)]
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A comparison that runs.
struct Verification {
    links: ComparedLinks,
    options: VerifySync,
    stop: watch::Receiver<bool>,
    lines: mpsc::Sender<Vec<VerifyLine>>,
    /// Hashes of the keys that were listed; sorted once all were.
    seen: Vec<u64>,
    tally: VerifyTally,
    repair: Repair,
}

/// Counts a difference.
const fn count(tally: &mut VerifyTally, difference: DifferenceKind) {
    match difference {
        DifferenceKind::Missing => tally.missing += 1,
        DifferenceKind::Different => tally.different += 1,
        DifferenceKind::Deleted => tally.deleted += 1,
        DifferenceKind::Foreign => tally.foreign += 1,
        DifferenceKind::Unreadable => tally.unreadable += 1,
    }
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
        let began = Instant::now();
        let (mut stop, reader) = (self.stop.clone(), self.lines.clone());
        // Wherever it is: a call to the target may take half a minute. What a call that is dropped has done, a later
        // comparison finds.
        let outcome = tokio::select! {
            outcome = self.compare_all() => outcome,
            _ = stop.wait_for(|stop| *stop) => Err(Stop::Gone),
            () = reader.closed() => Err(Stop::Gone),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let line = match outcome {
            Ok(()) => {
                let VerifyTally { missing, different, deleted, foreign, .. } = self.tally;
                tracing::info!(took_ms, missing, different, deleted, foreign, "links and Workers KV were compared");
                VerifyLine::Summary { summary: self.summary(took_ms) }
            }
            Err(Stop::Gone) if !*self.stop.borrow() => return,
            Err(Stop::Gone) => VerifyLine::Error { error: "the server is stopping".to_owned() },
            Err(Stop::Store(error)) => {
                tracing::error!(error = %Chain(&error), "links and Workers KV could not be compared");
                VerifyLine::Error { error: reason_of(&error).to_owned() }
            }
            Err(Stop::Target(fault)) => {
                tracing::warn!(error = %fault, "links and Workers KV could not be compared");
                VerifyLine::Error { error: fault.to_string() }
            }
        };
        // Whoever asked may have gone meanwhile.
        let _ = self.send(vec![line]).await;
    }

    fn summary(&self, took_ms: u64) -> VerifySummary {
        let repaired = self.options.repair.then(|| self.repair.outcome());
        let is_repaired = repaired.as_ref().is_some_and(|repaired| repaired.failed + repaired.unfinished == 0);
        let differences = self.tally.missing + self.tally.different + self.tally.deleted;
        let ok = self.tally.unreadable == 0 && (differences == 0 || is_repaired);
        VerifySummary { ok, tally: self.tally, repaired, took_ms }
    }

    async fn compare_all(&mut self) -> Result<(), Stop> {
        let began_at = self.links.store.read("verify_start").await?.now();
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

    async fn send(&self, lines: Vec<VerifyLine>) -> Result<(), Stop> {
        if lines.is_empty() {
            return Ok(());
        }
        self.lines.send(lines).await.map_err(|_| Stop::Gone)
    }

    async fn progress(&self, progress: VerifyProgress) -> Result<(), Stop> {
        self.send(vec![VerifyLine::Progress { progress }]).await
    }
}

/// What is told of a failure of the database. The rest goes to the log.
const fn reason_of(error: &StoreError) -> &'static str {
    match error {
        StoreError::Sql(SqlError::Unavailable { .. } | SqlError::Conflict { .. }) => {
            "the database cannot be reached just now"
        }
        _ => "the comparison failed because of an internal error",
    }
}

/// A key that is not as it should be.
#[derive(Debug)]
struct Found {
    difference: DifferenceKind,
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
    fn line(&self) -> VerifyLine {
        let sync_key = self.sync_key.as_ref().filter(|_| self.difference != DifferenceKind::Foreign);
        VerifyLine::Difference(Difference {
            difference: self.difference,
            key: self.key.clone(),
            slug: sync_key.map(|key| key.slug.clone()),
            domain: sync_key.map(|_| self.host.clone()),
            link_id: self.link_id.clone(),
            version: self.version,
            kv_version: self.kv_version,
        })
    }
}

/// Microseconds before an instant.
const fn before(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_sub(micros))
}
