//! Claims, leases, and giving back: in time, late, twice, and not at all.

use std::collections::HashSet;

use futures_util::future::join_all;
use waypost_core::sync::SyncStatus;
use waypost_store::{Claimed, CreateOutcome, Outcome, SYNC_ATTEMPTS_MAX, Settled};

use super::{KV, LEASE_MS, SECOND_US, WAIT_US, claim, faulted, keys_of, settle, slugs_of, synced};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    edit_while_syncing,
    lease_ends,
    late_success_is_pushed_again,
    late_beside_a_lease,
    late_after_the_row_went,
    giving_back_twice,
    crash_between_operations,
    faults_and_releases,
    one_key_one_claim,
    ten_thousand_keys,
    clock_that_was_set_back,
}

async fn edit_while_syncing(testbed: Testbed) {
    let link = testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    for is_fault in [false, true] {
        let claim = testbed.claim_keys(1).await;
        let before = testbed.edit(&link).await.version - 1;
        testbed.advance_all().await;
        let state = testbed.state("a").await.unwrap();
        assert_eq!((state.status, state.version), (SyncStatus::Syncing, before + 1));
        assert_eq!(state.next_attempt_at, Some(claim.lease_until));
        let claimed = &claim.keys[0];
        let outcome = if is_fault { faulted(claimed, testbed.now(), None) } else { synced(claimed, before) };
        assert_eq!(testbed.settle(&claim.lease, &[outcome]).await, 0);
        let state = testbed.state("a").await.unwrap();
        assert_eq!((state.status, state.attempts, state.error), (SyncStatus::Pending, 0, None));
        assert_eq!(state.next_attempt_at, Some(testbed.at(SECOND_US)));
        assert_eq!(state.synced_version, Some(1));
        testbed.advance_us(WAIT_US);
    }
    testbed.push_all().await;
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 3, Some(3))));
}

async fn lease_ends(testbed: Testbed) {
    testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    let first = testbed.claim_keys(10).await;
    assert_eq!(first.lease_until, testbed.at(LEASE_MS as i64 * 1_000));
    assert_eq!(testbed.claim(10).await, Claimed::Nothing { due_at: Some(first.lease_until) });
    testbed.advance_us(LEASE_MS as i64 * 1_000 - 1);
    assert_eq!(testbed.claim(10).await, Claimed::Nothing { due_at: Some(first.lease_until) });
    testbed.advance_us(1);
    let second = testbed.claim_keys(10).await;
    assert_eq!(second.keys, first.keys);
    assert_ne!(second.lease, first.lease);
    assert_eq!(testbed.acknowledge(&second).await, 0);
    assert_eq!(testbed.claim(10).await, Claimed::Nothing { due_at: None });
}

async fn late_success_is_pushed_again(testbed: Testbed) {
    let link = testbed.create("a", "https://example.com/").await.unwrap();
    testbed.create("b", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    let slow = testbed.claim_keys(10).await;
    testbed.advance_us(LEASE_MS as i64 * 1_000);
    testbed.edit(&link).await;
    testbed.advance_all().await;
    let quick = testbed.claim_keys(1).await;
    assert_eq!(slugs_of(&quick), ["a"]);
    testbed.acknowledge(&quick).await;
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 2, Some(2))));
    // What was sent of `a` may have overwritten version 2; `b` was taken by nobody.
    let stale: Vec<_> = slow.keys.iter().map(|claimed| synced(claimed, 1)).collect();
    assert_eq!(testbed.settle(&slow.lease, &stale).await, 1);
    let state = testbed.state("a").await.unwrap();
    assert_eq!((state.status, state.version, state.synced_version), (SyncStatus::Pending, 2, Some(2)));
    assert_eq!(state.next_attempt_at, Some(testbed.at(SECOND_US)));
    assert_eq!(testbed.standing("b").await, Some((SyncStatus::Synced, 1, Some(1))));
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.push_all().await, ["a"]);
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 2, Some(2))));
}

/// Others are pushing the key when its former owner gives it back: they keep their lease, and the key is pushed once more after them,
/// or after their lease.
async fn late_beside_a_lease(testbed: Testbed) {
    testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    for is_lost in [false, true] {
        let slow = testbed.claim_keys(1).await;
        testbed.advance_us(LEASE_MS as i64 * 1_000);
        let quick = testbed.claim_keys(1).await;
        assert_eq!(testbed.settle(&slow.lease, &[faulted(&slow.keys[0], testbed.now(), None)]).await, 1);
        assert_eq!(testbed.state("a").await.unwrap().status, SyncStatus::Syncing);
        assert_eq!(testbed.claim(1).await, Claimed::Nothing { due_at: Some(quick.lease_until) });
        if is_lost {
            testbed.advance_us(LEASE_MS as i64 * 1_000);
        } else {
            assert_eq!(testbed.acknowledge(&quick).await, 0);
            assert_eq!(testbed.standing("a").await, Some((SyncStatus::Pending, 1, Some(1))));
            testbed.advance_us(WAIT_US);
        }
        assert_eq!(testbed.push_all().await, ["a"]);
        assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 1, Some(1))));
        testbed.advance_us(WAIT_US);
        testbed.store.write("t", async |tx| tx.mark_sync(KV, &[testbed.key("a")]).await).await.unwrap();
    }
}

async fn late_after_the_row_went(testbed: Testbed) {
    let link = testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    let slow = testbed.claim_keys(1).await;
    testbed.advance_us(LEASE_MS as i64 * 1_000);
    testbed.delete(&link).await.unwrap();
    testbed.advance_all().await;
    testbed.push_all().await;
    assert_eq!(testbed.standing("a").await, None);
    assert_eq!(testbed.settle(&slow.lease, &[synced(&slow.keys[0], 1)]).await, 1);
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Pending, 1, None)));
    testbed.advance_us(WAIT_US);
    let claim = testbed.claim_keys(1).await;
    let truth = testbed.truth(&claim.keys).await;
    assert_eq!((truth[0].version, &truth[0].outcome), (2, &Outcome::Synced { is_deleted: true }));
    testbed.settle(&claim.lease, &truth).await;
    assert_eq!(testbed.standing("a").await, None);
}

async fn giving_back_twice(testbed: Testbed) {
    for slug in ["a", "b", "c"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    testbed.advance_all().await;
    let claim = testbed.claim_keys(10).await;
    let settled = [
        synced(&claim.keys[0], 1),
        faulted(&claim.keys[1], testbed.now(), Some(testbed.at(2 * SECOND_US))),
        faulted(&claim.keys[2], testbed.now(), None),
    ];
    assert_eq!(testbed.settle(&claim.lease, &settled).await, 0);
    let states = [testbed.state("a").await, testbed.state("b").await, testbed.state("c").await];
    testbed.advance_us(1);
    assert_eq!(testbed.settle(&claim.lease, &settled).await, 0);
    assert_eq!([testbed.state("a").await, testbed.state("b").await, testbed.state("c").await], states);
}

/// Each operation is one commit; what is not committed did not happen, and what a dead process had claimed comes back.
async fn crash_between_operations(testbed: Testbed) {
    testbed.create("a", "https://example.com/").await.unwrap();
    let mut lost = testbed.store.begin("t").await.unwrap();
    lost.advance_sync(KV, 10).await.unwrap();
    drop(lost);
    assert_eq!(testbed.state("a").await, None);
    testbed.advance_all().await;
    let mut lost = testbed.store.begin("t").await.unwrap();
    keys_of(lost.claim_sync(KV, 10, LEASE_MS).await.unwrap());
    drop(lost);
    assert_eq!(testbed.state("a").await.unwrap().status, SyncStatus::Pending);
    let claim = testbed.claim_keys(10).await;
    let mut lost = testbed.store.begin("t").await.unwrap();
    lost.settle_sync(KV, &claim.lease, &[synced(&claim.keys[0], 1)]).await.unwrap();
    drop(lost);
    assert_eq!(testbed.state("a").await.unwrap().status, SyncStatus::Syncing);
    testbed.advance_us(LEASE_MS as i64 * 1_000);
    let store = testbed.second_store().await.unwrap();
    let claim = keys_of(super::claim(&store, 10).await);
    assert_eq!(settle(&store, &claim.lease, &[synced(&claim.keys[0], 1)]).await, 0);
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 1, Some(1))));
}

async fn faults_and_releases(testbed: Testbed) {
    testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    let began = testbed.now();
    for attempts in 1..=SYNC_ATTEMPTS_MAX {
        let claim = testbed.claim_keys(1).await;
        assert_eq!(
            (claim.keys[0].attempts, claim.keys[0].first_fault_at),
            match attempts {
                1 => (0, None),
                _ => (attempts - 1, Some(began)),
            }
        );
        let failed = faulted(&claim.keys[0], testbed.now(), Some(testbed.at(2 * SECOND_US)));
        testbed.settle(&claim.lease, &[failed]).await;
        let state = testbed.state("a").await.unwrap();
        assert_eq!((state.attempts, state.error), (attempts, Some(format!("fault {attempts}"))));
        assert_eq!((state.pending_since, state.next_attempt_at), (Some(began), Some(testbed.at(2 * SECOND_US))));
        testbed.advance_us(2 * SECOND_US);
    }
    // It is still tried, and still shown as failed where an attempt came to nothing.
    let claim = testbed.claim_keys(1).await;
    let released = |at, error: Option<&str>| Settled {
        key: testbed.key("a"),
        version: 1,
        outcome: Outcome::Released { next_attempt_at: at, error: error.map(str::to_owned) },
    };
    testbed.settle(&claim.lease, &[released(testbed.now(), None)]).await;
    let state = testbed.state("a").await.unwrap();
    assert_eq!((state.status, state.attempts, state.error.as_deref()), (SyncStatus::Failed, 5, Some("fault 5")));
    // Times beyond all reason are cut, and errors that no database takes are kept as far as possible.
    let claim = testbed.claim_keys(1).await;
    let error = format!("a\0b{}", "é".repeat(5_000));
    testbed.settle(&claim.lease, &[released(testbed.at(1_000_000 * SECOND_US), Some(&error))]).await;
    let state = testbed.state("a").await.unwrap();
    assert_eq!(state.next_attempt_at, Some(testbed.at(3_600 * SECOND_US)));
    let kept = state.error.unwrap();
    assert!(kept.starts_with("a b") && kept.chars().count() == 1_000);
}

/// Several processes claim at once: no key is given to two of them, and each is given once.
async fn one_key_one_claim(testbed: Testbed) {
    const KEYS: usize = 200;
    fill(&testbed, KEYS).await;
    testbed.advance_all().await;
    let stores = [testbed.store.clone(), testbed.second_store().await.unwrap()];
    let workers = (0..6).map(|number| {
        let store = &stores[number % 2];
        async move {
            let mut slugs = Vec::new();
            while let Claimed::Keys(claimed) = claim(store, 7).await {
                let settled: Vec<_> = claimed.keys.iter().map(|claimed| synced(claimed, 1)).collect();
                slugs.extend(slugs_of(&claimed));
                assert_eq!(settle(store, &claimed.lease, &settled).await, 0);
            }
            slugs
        }
    });
    let slugs = join_all(workers).await.concat();
    assert_eq!(slugs.len(), KEYS);
    assert_eq!(slugs.into_iter().collect::<HashSet<_>>().len(), KEYS);
    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!(tx.count_sync_states(KV, true).await.unwrap().synced, KEYS as u64);
}

/// Makes so many links.
async fn fill(testbed: &Testbed, links: usize) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let new: Vec<_> =
        (0..links).map(|number| testbed.new_link(&format!("n{number:05}"), "https://example.com/")).collect();
    for new in new.chunks(1_000) {
        let outcomes = tx.create_links(new, None).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, CreateOutcome::Created { .. })));
    }
    tx.commit().await.unwrap();
}

async fn ten_thousand_keys(testbed: Testbed) {
    fill(&testbed, 10_000).await;
    testbed.advance_all().await;
    let claim = testbed.claim_keys(10_000).await;
    assert_eq!(claim.keys.len(), 10_000);
    assert!(claim.keys.is_sorted_by_key(|claimed| &claimed.key.slug));
    let settled: Vec<_> = claim.keys.iter().map(|claimed| synced(claimed, 1)).collect();
    assert_eq!(testbed.settle(&claim.lease, &settled).await, 0);
    let mut tx = testbed.store.read("t").await.unwrap();
    let counts = tx.count_sync_states(KV, true).await.unwrap();
    assert_eq!((counts.pending, counts.syncing, counts.synced, counts.failed), (0, 0, 10_000, 0));
    assert_eq!(counts.oldest_pending_since, None);
}

async fn clock_that_was_set_back(testbed: Testbed) {
    const DAY_US: i64 = 86_400 * SECOND_US;
    testbed.create("a", "https://example.com/").await.unwrap();
    testbed.create("b", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    let slow = testbed.claim_keys(1).await;
    testbed.advance_us(-DAY_US);
    // The lease's end and the other key's attempt are a day ahead: both are due.
    let claim = testbed.claim_keys(10).await;
    assert_eq!(slugs_of(&claim), ["b", "a"]);
    assert_eq!(claim.lease_until, testbed.at(LEASE_MS as i64 * 1_000));
    assert_eq!(testbed.settle(&slow.lease, &[synced(&slow.keys[0], 1)]).await, 1);
    assert_eq!(testbed.acknowledge(&claim).await, 0);
    assert_eq!(testbed.standing("b").await, Some((SyncStatus::Synced, 1, Some(1))));
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.push_all().await, ["a"]);
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 1, Some(1))));
}
