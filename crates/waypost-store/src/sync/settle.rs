//! Giving claimed keys back.
//!
//! The lease stays in the row after that, so giving back twice (a commit whose answer was lost) changes nothing.

use serde::Serialize;
use waypost_core::Timestamp;
use waypost_core::sync::SyncTarget;
use waypost_sql::{Statement, as_bigint};

use crate::error::StoreError;
use crate::rows::domain_number;
use crate::sync::statements;
use crate::sync::states::{ATTEMPT_US_MAX, Lease, Outcome, PUSH_EVERY_US, Settled, cut_error, later};
use crate::tx::Tx;

impl Tx {
    /// Gives claimed keys back. A key that moved on meanwhile is pending again, whatever became of it. A key whose lease was taken
    /// by others is pending again, too: due at once, or as soon as they give it back, because what was sent last may be older than
    /// what they sent. Gives how many those were. No key is due sooner than a second after it was sent, nor later than in an hour.
    /// Giving back twice changes nothing.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn settle_sync(
        &mut self,
        target: SyncTarget,
        lease: &Lease,
        settled: &[Settled],
    ) -> Result<u64, StoreError> {
        let now = self.now();
        let (mut synced, mut unsynced) = (Vec::new(), Vec::new());
        for Settled { key, version, outcome } in settled {
            let (domain, slug, version) = (domain_number(&key.domain_id), key.slug.as_str(), as_bigint(*version));
            match Settlement::new(outcome, now) {
                Settlement::Synced(status) => synced.push((target.name(), domain, slug, version, status)),
                Settlement::Unsynced(row) => unsynced.push((target.name(), domain, slug, version, row)),
            }
        }
        let mut late = 0;
        if !synced.is_empty() {
            late += self.settle_rows(lease, &synced, statements::settle_synced(self.engine())).await?;
            self.execute(Statement::new(statements::remove_gone(self.engine())).bind(target.name())).await?;
        }
        if !unsynced.is_empty() {
            late += self.settle_rows(lease, &unsynced, statements::settle_unsynced(self.engine())).await?;
        }
        Ok(late)
    }

    /// Gives back what the lease still holds, then has everything else pushed again. Gives how many those were.
    async fn settle_rows(&mut self, lease: &Lease, rows: &[impl Serialize], text: String) -> Result<u64, StoreError> {
        let json = serde_json::to_string(rows).expect("numbers and texts can always be written");
        let now = self.now().as_micros();
        let statement = |text: String| Statement::new(text).bind(json.as_str()).bind(now).bind(lease.0.as_str());
        let held = self.execute(statement(text)).await?;
        if held == rows.len() as u64 {
            return Ok(0);
        }
        self.execute(statement(statements::settle_late(self.engine()))).await
    }
}

/// What becomes of a row, unless it has moved on.
enum Settlement {
    /// Its status until the transaction ends.
    Synced(&'static str),
    Unsynced(Unsynced),
}

/// As [`statements::settle_unsynced`] reads it after target, domain, slug and version: status, attempts, error, first
/// fault, next attempt, when it was sent.
type Unsynced = (Option<&'static str>, Option<u32>, Option<String>, Option<i64>, Option<i64>, Option<i64>);

impl Settlement {
    fn new(outcome: &Outcome, now: Timestamp) -> Self {
        match outcome {
            Outcome::Synced { is_deleted: true } => Self::Synced("gone"),
            Outcome::Synced { is_deleted: false } => Self::Synced("synced"),
            Outcome::Released { next_attempt_at, error } => {
                let error = error.as_deref().map(cut_error);
                // Due at once says that it was not sent.
                let (next, sent) = if *next_attempt_at <= now {
                    (now.as_micros(), None)
                } else {
                    (next_attempt(*next_attempt_at, now), Some(now.as_micros()))
                };
                Self::Unsynced((None, None, error, None, Some(next), sent))
            }
            Outcome::Faulted { status, attempts, error, first_fault_at, next_attempt_at } => {
                let status = status.name();
                let next = next_attempt_at.map(|at| next_attempt(at, now));
                let first = first_fault_at.as_micros();
                Self::Unsynced((
                    Some(status),
                    Some(*attempts),
                    Some(cut_error(error)),
                    Some(first),
                    next,
                    Some(now.as_micros()),
                ))
            }
        }
    }
}

/// Not within a second of now, when it may have been sent, and not so late that it would seem to come from another clock.
fn next_attempt(at: Timestamp, now: Timestamp) -> i64 {
    at.clamp(later(now, PUSH_EVERY_US), later(now, ATTEMPT_US_MAX)).as_micros()
}
