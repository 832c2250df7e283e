//! The state of the ingest: updated by its job, read by health checks and metrics.

use std::time::Instant;

use waypost_core::Timestamp;
use waypost_spool::SpoolStats;

use crate::fill::Filled;

/// How the ingest is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngestStatus {
    /// Whether the last attempt to count clicks failed.
    pub is_failing: bool,
    /// Why, in words that may be shown to anyone: the log has what the database said.
    pub last_error: Option<String>,
    /// Clicks that wait in the spool.
    pub pending: u64,
    /// How long the oldest of them has waited, in seconds; 0 where none waits.
    pub pending_age_s: f64,
    /// Clicks counted since the start.
    pub counted: u64,
    /// Clicks declared lost since the start, those that could not be read among them.
    pub lost: u64,
    /// Those of them that this run of the spool found no room for.
    pub lost_full: u64,
    /// Clicks that could not be read, since the start.
    pub unreadable: u64,
    /// Transactions since the start.
    pub batches: u64,
    /// Attempts since the start that failed.
    pub failures: u64,
    /// Clicks of the last transaction.
    pub last_batch_clicks: u64,
    /// How long the last transaction took, in seconds.
    pub last_batch_s: f64,
    /// How often since the start no browser was read from a user agent, because too many new ones came at once.
    pub unparsed_user_agents: u64,
    /// Why raw clicks are not deleted by what the clock shows; `None` where they are.
    pub retention_held: Option<String>,
}

impl IngestStatus {
    /// How many clicks are known to be lost by now: those declared in the database, and those of which the spool knows
    /// and that wait to be declared there, as all others wait while the database is away. `spool` was read before the
    /// status.
    pub fn lost_by_now(&self, spool: &SpoolStats) -> u64 {
        self.lost.saturating_sub(self.lost_full) + self.lost_full.max(spool.lost) + spool.lost_before
    }
}

/// What the status is made from.
#[derive(Debug, Default)]
pub(super) struct Progress {
    status: IngestStatus,
    /// When the oldest click that waits was answered, where it was read.
    oldest_at: Option<Timestamp>,
    /// Since when clicks have been waiting without any being counted.
    waiting_since: Option<Instant>,
}

impl Progress {
    /// The status at this time.
    pub(super) fn status(&self, now: Timestamp) -> IngestStatus {
        let by_clock = self.oldest_at.map(|at| now.as_micros().saturating_sub(at.as_micros()).max(0) as f64 / 1e6);
        let by_watch = self.waiting_since.map(|since| since.elapsed().as_secs_f64());
        let pending_age_s = if self.status.pending == 0 { None } else { by_clock.or(by_watch) };
        IngestStatus { pending_age_s: pending_age_s.unwrap_or(0.0), ..self.status.clone() }
    }

    /// Keeps what waits after a round.
    pub(super) fn waits(&mut self, pending: u64, oldest_at: Option<Timestamp>) {
        self.status.pending = pending;
        if pending == 0 {
            (self.oldest_at, self.waiting_since) = (None, None);
        } else {
            self.oldest_at = oldest_at.or(self.oldest_at);
            self.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    /// Keeps what a transaction counted, and how long it took.
    pub(super) fn counted(&mut self, filled: &Counted, took_s: f64) {
        self.status.counted += filled.clicks;
        self.status.lost = self.status.lost.saturating_add(filled.lost);
        self.status.lost_full = self.status.lost_full.saturating_add(filled.lost_full);
        self.status.unreadable += filled.unreadable;
        self.status.batches += 1;
        (self.status.last_batch_clicks, self.status.last_batch_s) = (filled.clicks, took_s);
        (self.oldest_at, self.waiting_since) = (None, None);
    }

    pub(super) fn unparsed_user_agents(&mut self, unparsed: u64) {
        self.status.unparsed_user_agents = self.status.unparsed_user_agents.max(unparsed);
    }

    pub(super) fn hold_retention(&mut self, reason: Option<String>) {
        self.status.retention_held = reason;
    }

    /// Keeps whether an attempt worked, and gives whether the last one had not.
    pub(super) fn note(&mut self, error: Option<String>) -> bool {
        let was_failing = std::mem::replace(&mut self.status.is_failing, error.is_some());
        self.status.failures += u64::from(error.is_some());
        self.status.last_error = error;
        was_failing
    }
}

/// The numbers of a batch, which is gone once it is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) clicks: u64,
    lost: u64,
    lost_full: u64,
    unreadable: u64,
}

impl From<&Filled> for Counted {
    fn from(filled: &Filled) -> Self {
        Self { clicks: filled.clicks, lost: filled.lost, lost_full: filled.lost_full, unreadable: filled.unreadable }
    }
}
