//! Every operation on what targets are told, for [`super`].

use waypost_core::Timestamp;
use waypost_core::id::{AccountId, DomainId};
use waypost_core::sync::{SyncStatus, SyncTarget};

use crate::{Claimed, Lease, Outcome, Settled, StoreError, SyncKey, SyncSelection, Tx};

const KV: SyncTarget = SyncTarget::CloudflareKv;

pub(super) async fn every_operation(tx: &mut Tx, account: &AccountId, domain: &DomainId) -> Result<(), StoreError> {
    tx.sync_work(KV).await?;
    tx.take_sync_call(KV).await?;
    while !tx.advance_sync(KV, 1).await?.is_current {}
    let key = |slug: &str| SyncKey { domain_id: domain.clone(), slug: slug.to_owned() };
    tx.mark_sync(KV, &[key("drawn"), key("one"), key("two")]).await?;
    settle(tx).await?;
    // The outbox begins after this cursor, so the target walks over everything again; then it ends before it.
    tx.refill_sync(KV).await?;
    while !tx.advance_sync(KV, 10).await?.is_current {}
    let health = tx.sync_health(KV).await?;
    tx.set_sync_health(KV, &health).await?;
    tx.sync_state(KV, &key("drawn")).await?;
    for account in [None, Some(account)] {
        tx.list_sync_states(KV, account, SyncStatus::Failed, None, 10).await?;
    }
    tx.count_sync_states(KV, true).await?;
    for selection in [SyncSelection::Key(key("one")), SyncSelection::Failed, SyncSelection::FailedOf(account.clone())] {
        tx.retry_sync(KV, &selection).await?;
    }
    tx.was_deleted_since(&key("one"), Timestamp::from_micros(0)).await?;
    tx.edge_records_of(&[key("one")]).await.map(drop)
}

/// Gives keys back in every way.
async fn settle(tx: &mut Tx) -> Result<(), StoreError> {
    let Claimed::Keys(claim) = tx.claim_sync(KV, 10, 60_000).await? else { panic!("keys are due") };
    let released = Outcome::Released { next_attempt_at: Timestamp::from_micros(0), error: None };
    let outcomes = [Outcome::Synced { is_deleted: false }, Outcome::Synced { is_deleted: true }, released];
    let settled: Vec<_> = claim
        .keys
        .iter()
        .zip(outcomes)
        .map(|(claimed, outcome)| Settled { key: claimed.key.clone(), version: claimed.version, outcome })
        .collect();
    assert_eq!(settled.len(), 3);
    tx.settle_sync(KV, &claim.lease, &settled).await?;
    tx.settle_sync(KV, &Lease("lost".to_owned()), &settled).await.map(drop)
}
