//! Taking due keys to push. Giving them back is in `settle.rs`.
//!
//! A claim is one short transaction that writes a lease; nothing is held while its owner talks to the target.

use waypost_core::Timestamp;
use waypost_core::sync::SyncTarget;
use waypost_sql::{Statement, as_bigint};

use crate::error::StoreError;
use crate::rows::Columns;
use crate::sync::statements;
use crate::sync::states::{ATTEMPT_US_MAX, Claim, Claimed, ClaimedKey, Lease, later, read_key};
use crate::tx::Tx;

/// The most keys that one claim gives.
const CLAIM_KEYS_MAX: u32 = 10_000;

impl Tx {
    /// Takes at most `limit` due keys (and 10,000) for `lease_ms` (at most an hour), and one call off the target's allowance.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn claim_sync(&mut self, target: SyncTarget, limit: u32, lease_ms: u64) -> Result<Claimed, StoreError> {
        let now = self.now();
        let Some(row) = self.target_row(target).await? else { return Ok(Claimed::Nothing { due_at: None }) };
        if let Some(until) = row.health.resting(now) {
            return Ok(Claimed::Wait { until });
        }
        let due_at = self.sync_due_at(target).await?;
        if due_at.is_none_or(|due_at| due_at > now) {
            return Ok(Claimed::Nothing { due_at });
        }
        let calls_full_at = match row.after_call(now) {
            Ok(full_at) => full_at,
            Err(until) => return Ok(Claimed::Wait { until }),
        };
        self.set_calls_full_at(target, calls_full_at).await?;
        let lease_us = i64::try_from(lease_ms.saturating_mul(1_000)).unwrap_or(i64::MAX).min(ATTEMPT_US_MAX);
        let lease_until = later(now, lease_us);
        let lease = Lease(uuid::Uuid::now_v7().simple().to_string());
        let limit = limit.clamp(1, CLAIM_KEYS_MAX) as usize;
        let begin = Timestamp::from_micros(i64::MIN);
        let mut keys = self.take_due(target, [begin, now], limit, (&lease, lease_until)).await?;
        if keys.len() < limit {
            let implausible = [later(now, ATTEMPT_US_MAX + 1), Timestamp::from_micros(i64::MAX)];
            let room = limit - keys.len();
            keys.extend(self.take_due(target, implausible, room, (&lease, lease_until)).await?);
        }
        Ok(Claimed::Keys(Claim { lease, lease_until, keys, health: row.health }))
    }

    /// Writes the lease into the keys that are due from one instant to another.
    async fn take_due(
        &mut self,
        target: SyncTarget,
        [from, to]: [Timestamp; 2],
        limit: usize,
        (lease, lease_until): (&Lease, Timestamp),
    ) -> Result<Vec<ClaimedKey>, StoreError> {
        // Planned anew each time: the table may have grown a thousandfold since the last.
        let due = |text: &'static str| {
            Statement::once(text)
                .bind(target.name())
                .bind(from.as_micros())
                .bind(to.as_micros())
                .bind(as_bigint(limit as u64))
        };
        let mut keys = Vec::new();
        for row in self.fetch_all(due(statements::DUE)).await? {
            let columns = Columns::new(&row, "sync state");
            keys.push(ClaimedKey {
                key: read_key(&columns)?,
                version: columns.count("version")?,
                attempts: columns.small_count("attempts")?,
                first_fault_at: columns.optional_time("first_fault_at")?,
            });
        }
        if !keys.is_empty() {
            let claim = due(statements::CLAIM).bind(lease.0.as_str()).bind(lease_until.as_micros());
            self.execute(claim).await?;
        }
        Ok(keys)
    }
}
