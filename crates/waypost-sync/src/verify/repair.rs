//! Repairs differences: sets keys to pending and watches them until the outbox worker has pushed them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use waypost_api::sync::{Repaired, VerifyProgress};
use waypost_core::sync::{RestReason, SyncStatus};
use waypost_store::{EdgeRecord, SyncKey};

use super::{Found, Stop, Verification};

/// Keys that may wait to be pushed before the comparison waits for them.
const WAITING_MAX: usize = 100_000;
/// How often it is asked what became of them.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Keys looked at each time, and how many of them that are not done in a row end the look.
const LOOK_KEYS: (usize, u32) = (2_000, 50);
/// Without any key done for this long it is not waited any more.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often progress is shown while it is waited.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// Repairs under way.
#[derive(Debug, Default)]
pub(super) struct Repair {
    waiting: VecDeque<SyncKey>,
    marked: u64,
    synced: u64,
    failed: u64,
    /// Why it was not waited any longer.
    error: Option<String>,
}

impl Repair {
    pub(super) fn outcome(&self) -> Repaired {
        let unfinished = self.waiting.len() as u64;
        Repaired { synced: self.synced, failed: self.failed, unfinished, error: self.error.clone() }
    }
}

impl Verification {
    /// Has these keys pushed.
    pub(super) async fn repair(&mut self, keys: Vec<SyncKey>) -> Result<(), Stop> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut tx = self.links.store.begin("verify_repair").await?;
        tx.mark_sync(self.links.target, &keys).await?;
        tx.commit().await?;
        self.links.outbox.wake();
        self.repair.marked += keys.len() as u64;
        self.repair.waiting.extend(keys);
        if self.repair.waiting.len() > WAITING_MAX { self.wait_for_repairs(WAITING_MAX / 2).await } else { Ok(()) }
    }

    /// Waits until all keys that were to be pushed are, or failed.
    pub(super) async fn finish_repair(&mut self) -> Result<(), Stop> {
        self.wait_for_repairs(0).await
    }

    async fn wait_for_repairs(&mut self, left_max: usize) -> Result<(), Stop> {
        let (mut moved_at, mut shown_at) = (Instant::now(), None::<Instant>);
        while self.repair.error.is_none() {
            let left = self.repair.waiting.len();
            self.look_at_repairs().await?;
            if self.repair.waiting.len() < left {
                moved_at = Instant::now();
            }
            if shown_at.is_none_or(|at| at.elapsed() >= SHOW_EVERY) || self.repair.waiting.len() <= left_max {
                shown_at = Some(Instant::now());
                let Repair { marked, synced, failed, .. } = self.repair;
                self.progress(VerifyProgress::Repair { marked, synced, failed }).await?;
            }
            if self.repair.waiting.len() <= left_max {
                return Ok(());
            }
            self.repair.error = self.hopeless().await?;
            if moved_at.elapsed() >= PATIENCE {
                self.repair.error = Some(format!("nothing was pushed for {} s", PATIENCE.as_secs()));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Counts the keys that are done.
    async fn look_at_repairs(&mut self) -> Result<(), Stop> {
        let (keys_max, undone_max) = LOOK_KEYS;
        let mut tx = self.links.store.read("verify_repaired").await?;
        let mut undone = 0;
        for _ in 0..keys_max.min(self.repair.waiting.len()) {
            let Some(key) = self.repair.waiting.pop_front() else { break };
            let state = tx.sync_state(self.links.target, &key).await?;
            match state.map(|state| state.status) {
                // A key without a state leads nowhere, and the target knows.
                Some(SyncStatus::Synced) | None => (self.repair.synced, undone) = (self.repair.synced + 1, 0),
                Some(SyncStatus::Failed) => (self.repair.failed, undone) = (self.repair.failed + 1, 0),
                Some(SyncStatus::Pending | SyncStatus::Syncing) => {
                    self.repair.waiting.push_back(key);
                    undone += 1;
                }
            }
            if undone == undone_max {
                break;
            }
        }
        Ok(())
    }

    /// Why waiting makes no sense, if it makes none: nothing is pushed before the next day, or before a person acts.
    async fn hopeless(&self) -> Result<Option<String>, Stop> {
        let mut tx = self.links.store.read("verify_health").await?;
        let health = tx.sync_health(self.links.target).await?;
        let is_hopeless = matches!(health.rest_reason, Some(RestReason::Quota | RestReason::Configuration));
        let is_resting = health.rests_until > tx.now();
        Ok(health.error.filter(|_| is_hopeless && is_resting))
    }

    /// Deletes keys that belong to nobody.
    pub(super) async fn delete(&mut self, foreign: Vec<Found>) -> Result<(), Stop> {
        if foreign.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = foreign.iter().map(|found| found.key.clone()).collect();
        let client = Arc::clone(&self.links.client);
        let refused = self.call(|| client.delete_many(&names)).await?;
        self.tally.foreign_deleted += (names.len() - refused.len().min(names.len())) as u64;
        // A link that was made meanwhile may have been pushed before its key was deleted.
        let keys: Vec<SyncKey> = foreign.into_iter().filter_map(|found| found.sync_key).collect();
        let mut tx = self.links.store.read("verify_deleted").await?;
        let records = tx.edge_records_of(&keys).await?.into_iter();
        drop(tx);
        let is_live = |record: &Result<EdgeRecord, _>| record.as_ref().is_ok_and(|record| record.record.is_some());
        let live: Vec<SyncKey> = records.filter(|(_, record)| is_live(record)).map(|(key, _)| key).collect();
        self.repair(live).await
    }
}
