//! What the job has done and met since the start: for metrics and readiness, and to log each change once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use waypost_core::Timestamp;
use waypost_core::sync::RestReason;
use waypost_store::{Outcome, Settled, StoreError, SyncCounts, SyncHealth};

use super::OutboxWorker;
use crate::kv::KvFault;

/// A change should be in KV within this time, in seconds: a person is told where one is not.
pub const PENDING_AGE_S_MAX: i64 = 300;
/// How often the age of what is pending is looked at, in microseconds.
const WATCH_EVERY_US: i64 = 30_000_000;

/// Calls that failed since the start, by what was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// What was sent was refused.
    pub refused: u64,
    /// The token, the account or the namespace was.
    pub configuration: u64,
    /// There were too many calls.
    pub rate_limited: u64,
    /// The day's writes were used up.
    pub quota: u64,
    /// It could not be reached, or failed.
    pub unavailable: u64,
}

/// What the job has done and met since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Calls of the target's interface.
    pub calls: u64,
    /// Those that failed.
    pub faults: FaultCounts,
    /// Keys that the target has acknowledged.
    pub pushed_keys: u64,
    /// Keys that this process was late with, so that they are pushed again.
    pub late_keys: u64,
    /// Since when the outbox has entries that were not read yet.
    pub behind_since: Option<Timestamp>,
    /// Why the last round failed, if it did: the database, or a bug. That calls fail is not meant.
    pub last_error: Option<String>,
}

/// How the target stands, read from the database.
#[derive(Debug)]
pub struct Look {
    /// How many keys are in each state.
    pub counts: SyncCounts,
    /// How long the oldest change has waited, in seconds; entries of the outbox that were not read yet are changes,
    /// too.
    pub pending_age_s: f64,
    /// Why the target rests, where it does.
    pub rest_reason: Option<RestReason>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// What the job keeps of itself. A std mutex: never held across an await.
#[derive(Debug, Default)]
pub(super) struct Notes {
    status: Mutex<OutboxStatus>,
    logged: Mutex<Logged>,
    /// When the age of what is pending was last looked at.
    watched_us: AtomicU64,
}

#[derive(Debug, Default)]
struct Logged {
    rest_reason: Option<RestReason>,
    is_late: bool,
}

impl Notes {
    pub(super) fn status(&self) -> OutboxStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut OutboxStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn see_behind(&self, is_behind: bool, now: Timestamp) {
        self.change(|status| status.behind_since = is_behind.then(|| status.behind_since.unwrap_or(now)));
    }

    pub(super) fn set_failing(&self, error: Option<String>) {
        self.change(|status| status.last_error = error);
    }

    pub(super) fn count_call(&self, fault: Option<&KvFault>) {
        self.change(|status| {
            status.calls += 1;
            let faults = &mut status.faults;
            match fault {
                None => {}
                Some(KvFault::Refused { .. } | KvFault::TooLarge { .. }) => faults.refused += 1,
                Some(KvFault::Configuration { .. } | KvFault::Missing { .. }) => faults.configuration += 1,
                Some(KvFault::RateLimited { .. }) => faults.rate_limited += 1,
                Some(KvFault::Quota { .. }) => faults.quota += 1,
                Some(KvFault::Unavailable { .. }) => faults.unavailable += 1,
            }
        });
    }

    pub(super) fn count_settled(&self, settled: &[Settled], late: u64) {
        let is_pushed = |settled: &&Settled| matches!(settled.outcome, Outcome::Synced { .. });
        let pushed = settled.iter().filter(is_pushed).count() as u64;
        self.change(|status| {
            status.pushed_keys += pushed;
            status.late_keys += late;
        });
        if late > 0 {
            tracing::warn!(sync.keys = late, "a lease ended before its keys were given back: they are pushed again");
        }
    }
}

impl OutboxWorker {
    /// Logs that the target rests, or does not any more, where that is new.
    pub(super) fn log_health(&self, health: &SyncHealth, now: Timestamp) {
        let reason = health.rest_reason.filter(|_| health.rests_until > now);
        let mut logged = self.notes.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let before = logged.rest_reason;
        // A single success between two faults of the same kind is not worth two lines.
        if reason.is_none() && health.faults > 0 || reason == before {
            return;
        }
        logged.rest_reason = reason;
        drop(logged);
        let (target, error) = (self.target.name(), health.error.as_deref().unwrap_or_default());
        match reason {
            Some(RestReason::Configuration) => {
                tracing::error!(sync.target = target, %error, "the target refuses its configuration: links wait");
            }
            Some(RestReason::Quota | RestReason::RateLimited | RestReason::Fault) => {
                tracing::warn!(sync.target = target, %error, "the target is not called for a while: links wait");
            }
            None => tracing::info!(sync.target = target, "the target accepts links again"),
        }
    }

    /// How the target stands now.
    pub async fn look(&self) -> Result<Look, StoreError> {
        let mut tx = self.store.read("sync_check").await?;
        let work = tx.sync_work(self.target).await?;
        let counts = tx.count_sync_states(self.target, false).await?;
        let health = tx.sync_health(self.target).await?;
        // Where the job stands still, this is how its falling behind is seen.
        self.notes.see_behind(work.is_behind, tx.now());
        Ok(Look {
            counts,
            pending_age_s: pending_age_s(tx.now(), counts.oldest_pending_since, self.notes.status().behind_since),
            rest_reason: health.rest_reason.filter(|_| health.rests_until > tx.now()),
            error: health.error,
        })
    }

    /// Says when a change has waited for too long, and when none does any more.
    pub(super) async fn watch_age(&self, now: Timestamp) -> Result<(), StoreError> {
        let now_us = u64::try_from(now.as_micros()).unwrap_or(0);
        let watched_us = self.notes.watched_us.load(Ordering::Relaxed);
        if now_us.abs_diff(watched_us) < WATCH_EVERY_US.unsigned_abs() {
            return Ok(());
        }
        self.notes.watched_us.store(now_us, Ordering::Relaxed);
        let counts = self.store.read("sync_age").await?.count_sync_states(self.target, false).await?;
        let age_s = pending_age_s(now, counts.oldest_pending_since, self.notes.status().behind_since);
        let is_late = age_s > PENDING_AGE_S_MAX as f64;
        let mut logged = self.notes.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut logged.is_late, is_late) == is_late {
            return Ok(());
        }
        let target = self.target.name();
        if is_late {
            let pending = counts.pending + counts.syncing + counts.failed;
            tracing::warn!(
                sync.target = target,
                sync.pending = pending,
                age_s,
                "a change has waited for more than 5 minutes"
            );
        } else {
            tracing::info!(sync.target = target, "no change has waited for more than 5 minutes any more");
        }
        Ok(())
    }
}

/// How long the oldest change has waited, in seconds.
fn pending_age_s(now: Timestamp, pending: Option<Timestamp>, behind: Option<Timestamp>) -> f64 {
    let oldest = [pending, behind].into_iter().flatten().min();
    oldest.map_or(0.0, |oldest| (now.as_micros() - oldest.as_micros()).max(0) as f64 / 1e6)
}
