//! The job that counts clicks: fills a batch, commits it, releases its clicks in the spool, and starts again.
//!
//! How far the clicks of an edge are counted is written with them in one transaction and read back after every failure.
//! So whatever happened to a transaction, the next batch begins at the position in the database. While the database is
//! down clicks wait in the spool.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use waypost_clicks::{ClickPosition, ClickStore, ClicksError};
use waypost_core::click::ClickEvent;
use waypost_jobs::{BackOff, Chain, Switch, now};
use waypost_spool::SpoolError;

use crate::fill::{FillEnd, FillError, Filled, Filler, LiveSender};
use crate::settings::ClickSettings;
use crate::source::{ClickSource, Edges};
use crate::status::{Counted, IngestStatus, Progress};

/// How often in a row it may be needed to begin anew from where the database stands before that counts as a failure.
const OUT_OF_STEP_MAX: u32 = 10;
/// How long the job goes on counting what is there once it is told to stop.
const STOP_MAX: Duration = Duration::from_secs(5);
/// The most clicks of a batch from then on: where each is on another of millions of links, a full one takes longer than
/// that.
const STOP_CLICKS_MAX: u64 = 10_000;

/// Where batches are counted: the clicks database; in the tests also one that fails.
pub(super) trait ClickSink: Clone + Send + Sync + 'static {
    /// How far this edge's epochs have been counted.
    fn positions(&self, edge_id: &str) -> impl Future<Output = Result<Vec<ClickPosition>, ClicksError>> + Send;

    /// Counts a batch, all of it or nothing.
    fn count(&self, filled: Filled) -> impl Future<Output = Result<(), ClicksError>> + Send;
}

impl ClickSink for ClickStore {
    async fn positions(&self, edge_id: &str) -> Result<Vec<ClickPosition>, ClicksError> {
        // Before its first click is counted nobody else may have counted one in its name.
        self.add_spool(edge_id).await?;
        Self::positions(self, edge_id).await
    }

    async fn count(&self, filled: Filled) -> Result<(), ClicksError> {
        self.ingest(filled.batch).await
    }
}

/// What the job shares with everyone else.
#[derive(Debug)]
pub(super) struct Ingest {
    settings: ClickSettings,
    /// The host of the default domain, in lower case; empty until it is known.
    default_host: Mutex<Arc<str>>,
    progress: Mutex<Progress>,
    live: LiveSender,
    /// How often anyone asked to be told when everything is counted, and up to which of those it was.
    asked: AtomicU64,
    drained: watch::Sender<u64>,
    /// Wakes the job; stopped, it counts what is there and ends.
    switch: Switch,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("clicks cannot be counted")]
    Store(#[from] ClicksError),
    #[error("clicks cannot be read")]
    Fill(#[from] FillError),
    #[error("the click spool cannot let go of what is counted")]
    Release(#[source] SpoolError),
    #[error("counting clicks panicked")]
    Join(#[from] tokio::task::JoinError),
    #[error("reading clicks panicked")]
    Panicked,
    #[error("the reader of the click spool is gone")]
    Gone,
}

/// What is to be done after a round.
enum Next {
    /// Another one at once.
    Round,
    /// Wait for others to be counted with.
    Pause(Duration),
    /// Wait: everything is counted.
    Idle,
}

impl RoundError {
    /// Whether beginning anew from what the database has counted is all it takes.
    const fn is_out_of_step(&self) -> bool {
        matches!(
            self,
            Self::Store(ClicksError::ClicksMoved { .. }) | Self::Fill(FillError::OutOfStep | FillError::Panicked)
        )
    }
}

impl Ingest {
    pub(super) fn new(settings: ClickSettings) -> Self {
        Self {
            settings,
            default_host: Mutex::new("".into()),
            progress: Mutex::default(),
            live: broadcast::Sender::new(8),
            asked: AtomicU64::new(0),
            drained: watch::Sender::new(0),
            switch: Switch::default(),
        }
    }

    /// What is to be given to [`Ingest::run`] for this source.
    pub(super) fn filler(&self, source: Box<dyn ClickSource>) -> Filler {
        Filler::new(source, &self.settings, self.live.clone())
    }

    pub(super) fn default_host(&self) -> Arc<str> {
        Arc::clone(&self.default_host.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_default_host(&self, host: &str) {
        *self.default_host.lock().unwrap_or_else(PoisonError::into_inner) = host.into();
    }

    /// Says for good why nothing is counted.
    pub(super) fn refuse(&self, reason: &str) {
        tracing::error!(reason, "clicks cannot be counted");
        self.progress().note(Some(reason.to_owned()));
    }

    pub(super) fn status(&self) -> IngestStatus {
        self.progress().status(now())
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<ClickEvent>>> {
        self.live.subscribe()
    }

    /// Waits until everything that was there at the time of the call is counted.
    pub(super) async fn wait_until_drained(&self, wait: Duration) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.switch.wake();
        let mut drained = self.drained.subscribe();
        let reached = tokio::time::timeout(wait, drained.wait_for(|drained| *drained >= asked)).await;
        matches!(reached, Ok(Ok(_)))
    }

    /// Tells the job to end once it has counted what is there.
    pub(super) fn stop(&self) {
        self.switch.stop();
    }

    /// What wakes and stops the job, and those beside it.
    pub(super) const fn switch(&self) -> &Switch {
        &self.switch
    }

    /// The job: runs until everything is counted after [`Ingest::stop`], or counting fails then.
    pub(super) async fn run(&self, sink: impl ClickSink, filler: Filler) {
        let edges = filler.edges().clone();
        let mut job = Job { ingest: self, sink, edges, filler: Some(filler), is_placed: false, counted_at: None };
        let (first, last) = self.settings.back_off;
        let (mut back_off, mut out_of_step, mut deadline) = (BackOff::new(first, last), 0, None);
        loop {
            let asked = self.asked.load(Ordering::SeqCst);
            let is_stopping = self.switch.is_stopped();
            let outcome = job.round(asked, is_stopping).await;
            job.keep_status();
            if job.filler.is_none() {
                // The runtime is going down.
                return;
            }
            if outcome.is_ok() {
                back_off.succeeded();
                out_of_step = 0;
                self.note_success();
            }
            let pause = match outcome {
                Ok(Next::Round) => Duration::ZERO,
                Ok(Next::Pause(pause)) => pause,
                Ok(Next::Idle) => {
                    self.drained.send_replace(asked);
                    if is_stopping {
                        return;
                    }
                    self.settings.poll
                }
                Err(error) => {
                    job.is_placed = false;
                    // Falling out of step is part of the work, unless it does not end.
                    out_of_step = if error.is_out_of_step() { out_of_step + 1 } else { 0 };
                    if !(1..=OUT_OF_STEP_MAX).contains(&out_of_step) {
                        back_off.failed();
                    }
                    self.note_failure(&error, back_off.failures());
                    if is_stopping && back_off.failures() > 0 {
                        return;
                    }
                    back_off.pause()
                }
            };
            if is_stopping && Instant::now() >= *deadline.get_or_insert(Instant::now() + STOP_MAX) {
                tracing::warn!("clicks are left in the spool; they are counted after the next start");
                return;
            }
            if !pause.is_zero() {
                // After a failure a wake does not cut the pause short.
                self.switch.pause(pause, back_off.failures() == 0).await;
            }
        }
    }

    /// Keeps why clicks are not deleted by what the clock shows; `None` where they are.
    pub(super) fn hold_retention(&self, reason: Option<String>) {
        self.progress().hold_retention(reason);
    }

    fn note_failure(&self, error: &RoundError, failures: u32) {
        if failures == 0 {
            tracing::warn!(error = %Chain(error), "clicks are read again from where the database stands");
            return;
        }
        let text = Chain(error).to_string();
        // Anyone may ask whether an instance is ready; what drivers say may name hosts, users and files.
        if self.progress().note(Some(error.to_string())) {
            tracing::debug!(error = text, "clicks still wait in the spool");
        } else {
            tracing::error!(error = text, "clicks cannot be counted and wait in the spool; trying again");
        }
    }

    fn note_success(&self) {
        if self.progress().note(None) {
            tracing::info!("counting clicks works again");
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The job's own state.
struct Job<'i, S> {
    ingest: &'i Ingest,
    sink: S,
    /// Those whose clicks the source has.
    edges: Edges,
    /// `None` while another thread works with it.
    filler: Option<Filler>,
    /// Whether the filler goes on from where the database stands.
    is_placed: bool,
    counted_at: Option<Instant>,
}

impl<S: ClickSink> Job<'_, S> {
    async fn round(&mut self, asked: u64, is_stopping: bool) -> Result<Next, RoundError> {
        if !self.is_placed {
            let positions = positions_of(&self.sink, &self.edges).await?;
            self.with_filler(move |filler| filler.start_at(&positions)).await?.map_err(RoundError::Release)?;
            self.is_placed = true;
        }
        let default_host = self.ingest.default_host();
        let clicks_max = if is_stopping { STOP_CLICKS_MAX } else { u64::MAX };
        let end = self.with_filler(move |filler| filler.fill(&default_host, clicks_max)).await??;
        if end == FillEnd::Exhausted {
            let is_empty = self.filler.as_ref().is_none_or(|filler| filler.filled().to.is_empty());
            if is_empty {
                return Ok(Next::Idle);
            }
            let is_awaited = is_stopping || *self.ingest.drained.borrow() < asked;
            let age = self.counted_at.map_or(Duration::MAX, |at| at.elapsed());
            if age < self.ingest.settings.batch_age && !is_awaited {
                return Ok(Next::Pause((self.ingest.settings.batch_age - age).min(self.ingest.settings.poll)));
            }
        }
        self.count().await?;
        Ok(Next::Round)
    }

    /// Has the batch counted.
    async fn count(&mut self) -> Result<(), RoundError> {
        let Some(mut filled) = self.filler.as_mut().map(Filler::take) else { return Ok(()) };
        let (numbers, to) = (Counted::from(&filled), filled.to.clone());
        let live = std::mem::take(&mut filled.live);
        let begun = Instant::now();
        let sink = self.sink.clone();
        // In a task of its own, so that a panic in there does not end the job.
        tokio::spawn(async move { sink.count(filled).await }).await??;
        self.counted_at = Some(Instant::now());
        self.ingest.progress().counted(&numbers, begun.elapsed().as_secs_f64());
        if !live.is_empty() {
            // Nobody listening any more is no failure.
            let _ = self.ingest.live.send(Arc::new(live));
        }
        self.release(to).await
    }

    async fn release(&mut self, to: BTreeMap<u64, u64>) -> Result<(), RoundError> {
        self.with_filler(move |filler| filler.counted(&to)).await?.map_err(RoundError::Release)
    }

    fn keep_status(&self) {
        if let Some(filler) = &self.filler {
            let mut progress = self.ingest.progress();
            progress.waits(filler.pending(), filler.filled().oldest_at);
            progress.unparsed_user_agents(filler.unparsed_user_agents());
        }
    }

    /// Lets the filler work on a thread that may block.
    async fn with_filler<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Filler) -> R + Send + 'static,
    ) -> Result<R, RoundError> {
        let mut filler = self.filler.take().ok_or(RoundError::Gone)?;
        let (filler, worked) = tokio::task::spawn_blocking(move || {
            let worked = catch_unwind(AssertUnwindSafe(|| work(&mut filler)));
            (filler, worked)
        })
        .await?;
        self.filler = Some(filler);
        worked.map_err(|_| RoundError::Panicked)
    }
}

/// Where the database stands in the epochs of a source. What it has of other epochs of these edges is no matter of this
/// source.
async fn positions_of(sink: &impl ClickSink, edges: &Edges) -> Result<Vec<ClickPosition>, ClicksError> {
    let mut positions = Vec::new();
    for edge_id in edges.ids() {
        let counted = sink.positions(edge_id).await?;
        positions.extend(counted.into_iter().filter(|at| edges.of(at.epoch) == edge_id));
    }
    Ok(positions)
}
