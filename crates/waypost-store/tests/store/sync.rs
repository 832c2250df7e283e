//! What each target is to be told: how keys become pending, are claimed, pushed and given back.

mod claims;
mod deleted;
mod health;
mod listing;
mod walks;

use waypost_core::Timestamp;
use waypost_core::id::DomainId;
use waypost_core::sync::{SyncStatus, SyncTarget};
use waypost_store::{
    Advance, Claim, Claimed, ClaimedKey, Lease, Link, LinkChange, Outcome, Settled, Store, SyncKey, SyncState,
};

use crate::testbed::Testbed;

const KV: SyncTarget = SyncTarget::CloudflareKv;
const SECOND_US: i64 = 1_000_000;
const LEASE_MS: u64 = 60_000;

/// A second, and what a tests' clock needs to be past it.
const WAIT_US: i64 = SECOND_US + 1;

impl Testbed {
    fn key(&self, slug: &str) -> SyncKey {
        SyncKey { domain_id: self.domain().clone(), slug: slug.to_owned() }
    }

    async fn advance(&self, limit: u32) -> Advance {
        advance(&self.store, limit).await
    }

    /// Reads on until there is nothing more to read; gives the keys that became pending.
    async fn advance_all(&self) -> u64 {
        let mut keys = 0;
        loop {
            let advance = self.advance(10_000).await;
            keys += advance.keys;
            if advance.is_current {
                return keys;
            }
        }
    }

    async fn claim(&self, limit: u32) -> Claimed {
        claim(&self.store, limit).await
    }

    /// The claim that must be there to be had.
    async fn claim_keys(&self, limit: u32) -> Claim {
        keys_of(self.claim(limit).await)
    }

    async fn settle(&self, lease: &Lease, settled: &[Settled]) -> u64 {
        settle(&self.store, lease, settled).await
    }

    /// Acknowledges all keys of the claim with what is true of them.
    async fn acknowledge(&self, claim: &Claim) -> u64 {
        let settled = self.truth(&claim.keys).await;
        self.settle(&claim.lease, &settled).await
    }

    /// What a target that is told the truth now acknowledges.
    async fn truth(&self, keys: &[ClaimedKey]) -> Vec<Settled> {
        let keys: Vec<_> = keys.iter().map(|claimed| claimed.key.clone()).collect();
        let records = self.store.read("t").await.unwrap().edge_records_of(&keys).await.unwrap();
        let settle = |(key, record): waypost_store::KeyedRecord| {
            let record = record.expect("a sound row");
            let outcome = Outcome::Synced { is_deleted: record.record.is_none() };
            Settled { key, version: record.version, outcome }
        };
        records.into_iter().map(settle).collect()
    }

    /// Pushes until nothing is due; gives the slugs in the order in which they were pushed.
    async fn push_all(&self) -> Vec<String> {
        let mut slugs = Vec::new();
        while let Claimed::Keys(claim) = self.claim(10_000).await {
            slugs.extend(slugs_of(&claim));
            assert_eq!(self.acknowledge(&claim).await, 0);
        }
        slugs
    }

    async fn state(&self, slug: &str) -> Option<SyncState> {
        self.store.read("t").await.unwrap().sync_state(KV, &self.key(slug)).await.unwrap()
    }

    /// Status, version and acknowledged version of a slug; `None` where there is no row.
    async fn standing(&self, slug: &str) -> Option<(SyncStatus, u64, Option<u64>)> {
        self.state(slug).await.map(|state| (state.status, state.version, state.synced_version))
    }

    async fn edit(&self, link: &Link) -> Link {
        let change = LinkChange {
            account_id: &link.account_id,
            link_id: &link.link_id,
            expected_version: None,
            record: &link.record,
            changed_by: None,
        };
        self.store.write("update_link", async |tx| tx.update_link(&change).await).await.unwrap()
    }

    async fn get(&self, slug: &str) -> Link {
        self.store.read("t").await.unwrap().get_link_by_slug(self.domain(), slug).await.unwrap().unwrap()
    }

    fn at(&self, microseconds: i64) -> Timestamp {
        Timestamp::from_micros(self.now().as_micros() + microseconds)
    }
}

async fn advance(store: &Store, limit: u32) -> Advance {
    store.write("sync_advance", async |tx| tx.advance_sync(KV, limit).await).await.unwrap()
}

async fn claim(store: &Store, limit: u32) -> Claimed {
    store.write("sync_claim", async |tx| tx.claim_sync(KV, limit, LEASE_MS).await).await.unwrap()
}

async fn settle(store: &Store, lease: &Lease, settled: &[Settled]) -> u64 {
    store.write("sync_settle", async |tx| tx.settle_sync(KV, lease, settled).await).await.unwrap()
}

#[track_caller]
fn keys_of(claimed: Claimed) -> Claim {
    match claimed {
        Claimed::Keys(claim) => claim,
        other => panic!("{other:?}"),
    }
}

fn slugs_of(claim: &Claim) -> Vec<String> {
    claim.keys.iter().map(|claimed| claimed.key.slug.clone()).collect()
}

fn synced(claimed: &ClaimedKey, version: u64) -> Settled {
    Settled { key: claimed.key.clone(), version, outcome: Outcome::Synced { is_deleted: false } }
}

/// An attempt that failed and is tried again at this instant.
fn faulted(claimed: &ClaimedKey, now: Timestamp, next_attempt_at: Option<Timestamp>) -> Settled {
    let attempts = claimed.attempts + 1;
    let status = if attempts >= 5 || next_attempt_at.is_none() { SyncStatus::Failed } else { SyncStatus::Pending };
    let outcome = Outcome::Faulted {
        status,
        attempts,
        error: format!("fault {attempts}"),
        first_fault_at: claimed.first_fault_at.unwrap_or(now),
        next_attempt_at,
    };
    Settled { key: claimed.key.clone(), version: claimed.version, outcome }
}

fn key_on(domain_id: &DomainId, slug: &str) -> SyncKey {
    SyncKey { domain_id: domain_id.clone(), slug: slug.to_owned() }
}
