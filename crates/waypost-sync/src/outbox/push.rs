//! Pushes one claim to KV: a call for writes and one for deletes, each split in half when it is refused, until one key
//! is alone. After every call its keys are released together with the health of the target.

use std::collections::HashSet;

use waypost_store::{Claim, Outcome, Settled, StoreError, SyncHealth};

use super::OutboxWorker;
use super::load::{Batch, Body};
use super::policy::{Failed, faults_for_batch, health_after_fault, health_after_success, later, left_undone};
use crate::kv::KvFault;

/// What of its lease a call must leave, in milliseconds, for giving back.
const LEASE_LEFT_MS: u64 = 1_000;

impl OutboxWorker {
    /// Works off a claim. Gives how many calls it took.
    pub(super) async fn push(&self, claim: Claim) -> Result<u64, StoreError> {
        let mut loaded = self.load(&claim).await?;
        let mut batches = loaded.batches();
        let mut settled = std::mem::take(&mut loaded.settled);
        let mut calls = 0;
        let mut narrowest = None;
        while let Some(batch) = batches.pop() {
            if !self.may_call(&claim, calls).await? {
                batches.push(batch);
                break;
            }
            calls += 1;
            let answer = self.send(&batch.body).await;
            if let Err(KvFault::Refused { .. } | KvFault::TooLarge { .. }) = &answer
                && batch.sent.len() > 1
            {
                let (first, second) = batch.halves();
                narrowest = Some(narrowest.unwrap_or(usize::MAX).min(second.sent.len()));
                batches.extend([second, first]);
                continue;
            }
            let is_well = !matches!(
                answer,
                Err(KvFault::RateLimited { .. }
                    | KvFault::Quota { .. }
                    | KvFault::Configuration { .. }
                    | KvFault::Missing { .. }
                    | KvFault::Unavailable { .. })
            );
            self.settle(&claim, batch, answer, std::mem::take(&mut settled)).await?;
            if !is_well {
                break;
            }
        }
        self.leave(&claim, batches, settled, narrowest).await?;
        Ok(calls)
    }

    /// Whether there is leave for one more call, and it can end before the lease does.
    async fn may_call(&self, claim: &Claim, calls: u64) -> Result<bool, StoreError> {
        let ends_at = later(self.store.now(), self.kv.call_ms().saturating_add(LEASE_LEFT_MS));
        if self.is_stopping() || ends_at > claim.lease_until {
            return Ok(false);
        }
        if calls == 0 {
            // Came with the claim.
            return Ok(true);
        }
        let mut tx = self.store.begin("sync_call").await?;
        let wait_until = tx.take_sync_call(self.target).await?;
        tx.commit().await?;
        Ok(wait_until.is_none())
    }

    /// Makes the call. Gives the keys that it names as not done.
    async fn send(&self, body: &Body) -> Result<HashSet<String>, KvFault> {
        let answer = match body {
            Body::Puts(pairs) => match pairs.as_slice() {
                [pair] => self.kv.put(pair).await.map(|()| Vec::new()),
                pairs => self.kv.put_many(pairs).await,
            },
            Body::Deletes(keys) => match keys.as_slice() {
                [key] => self.kv.delete(key).await.map(|()| Vec::new()),
                keys => self.kv.delete_many(keys).await,
            },
        };
        self.notes.count_call(answer.as_ref().err());
        Ok(answer?.into_iter().collect())
    }

    /// Gives the keys of a call back, and those `settled` with them.
    async fn settle(
        &self,
        claim: &Claim,
        Batch { sent, body }: Batch,
        answer: Result<HashSet<String>, KvFault>,
        mut settled: Vec<Settled>,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin("sync_settle").await?;
        let now = tx.now();
        let before = tx.sync_health(self.target).await?;
        let is_deleted = body.is_delete();
        let after = match &answer {
            Ok(undone) => {
                let keys = body.keys();
                settled.extend(sent.into_iter().zip(keys).map(|(sent, key)| {
                    let is_done = !undone.contains(key);
                    let outcome =
                        if is_done { Outcome::Synced { is_deleted } } else { left_undone(now, &sent.claimed) };
                    sent.settled(outcome)
                }));
                health_after_success(now, before.clone())
            }
            Err(fault) => {
                let after = health_after_fault(now, before.clone(), fault, (self.options.chance)());
                let is_alone = sent.len() == 1;
                let failed = Failed { now, fault, before: &before, after: &after, is_alone };
                settled.extend(sent.into_iter().map(|sent| {
                    let outcome = failed.outcome(&sent.claimed);
                    sent.settled(outcome)
                }));
                after
            }
        };
        let late = tx.settle_sync(self.target, &claim.lease, &settled).await?;
        tx.set_sync_health(self.target, &after).await?;
        tx.commit().await?;
        self.notes.count_settled(&settled, late);
        self.log_health(&after, now);
        Ok(())
    }

    /// Gives back what was not sent.
    async fn leave(
        &self,
        claim: &Claim,
        batches: Vec<Batch>,
        mut settled: Vec<Settled>,
        narrowest: Option<usize>,
    ) -> Result<(), StoreError> {
        let was_cut_short = !batches.is_empty();
        if settled.is_empty() && !was_cut_short {
            return Ok(());
        }
        let mut tx = self.store.begin("sync_release").await?;
        let next_attempt_at = tx.now();
        let unsent = batches.into_iter().flat_map(|batch| batch.sent);
        settled.extend(unsent.map(|sent| sent.settled(Outcome::Released { next_attempt_at, error: None })));
        let late = tx.settle_sync(self.target, &claim.lease, &settled).await?;
        if let Some(keys) = narrowest.filter(|_| was_cut_short) {
            // Or the next claim would begin with the same batch, and get no further.
            let health = tx.sync_health(self.target).await?;
            let faults = health.faults.max(faults_for_batch(keys));
            tx.set_sync_health(self.target, &SyncHealth { faults, ..health }).await?;
        }
        tx.commit().await?;
        self.notes.count_settled(&settled, late);
        Ok(())
    }
}
