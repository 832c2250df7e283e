//! Lists, counts, retries and repairs; and that no account sees another's keys.

use waypost_core::id::AccountId;
use waypost_core::sync::SyncStatus;
use waypost_store::{NewLink, SyncCounts, SyncSelection, SyncState};

use super::{KV, SECOND_US, WAIT_US, faulted, slugs_of, synced};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! { lists_and_counts, what_was_not_read_yet_waits, accounts_are_apart, retries, marks, }

async fn list(testbed: &Testbed, account: Option<&AccountId>, status: SyncStatus) -> Vec<String> {
    let mut tx = testbed.store.read("t").await.unwrap();
    let (mut slugs, mut after) = (Vec::new(), None);
    loop {
        let page: Vec<SyncState> = tx.list_sync_states(KV, account, status, after.as_ref(), 2).await.unwrap();
        assert!(page.len() <= 2 && page.iter().all(|state| state.status == status));
        slugs.extend(page.iter().map(|state| state.key.slug.clone()));
        match page.last() {
            Some(last) => after = Some(last.key.clone()),
            None => return slugs,
        }
    }
}

async fn lists_and_counts(testbed: Testbed) {
    let mut tx = testbed.store.read("t").await.unwrap();
    assert_eq!(tx.count_sync_states(KV, true).await.unwrap(), SyncCounts::default());
    drop(tx);
    for slug in ["f", "e", "d", "c", "b", "a"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    testbed.advance_all().await;
    let began = testbed.now();
    let claim = testbed.claim_keys(3).await;
    assert_eq!(slugs_of(&claim), ["a", "b", "c"]);
    testbed.advance_us(1);
    let settled = [synced(&claim.keys[0], 1), faulted(&claim.keys[1], testbed.now(), None)];
    testbed.settle(&claim.lease, &settled).await;
    assert_eq!(list(&testbed, None, SyncStatus::Pending).await, ["d", "e", "f"]);
    assert_eq!(list(&testbed, None, SyncStatus::Syncing).await, ["c"]);
    assert_eq!(list(&testbed, None, SyncStatus::Failed).await, ["b"]);
    assert_eq!(list(&testbed, None, SyncStatus::Synced).await, Vec::<String>::new());
    let mut tx = testbed.store.read("t").await.unwrap();
    let mut expect = SyncCounts { pending: 3, syncing: 1, synced: 0, failed: 1, oldest_pending_since: Some(began) };
    assert_eq!(tx.count_sync_states(KV, false).await.unwrap(), expect);
    expect.synced = 1;
    assert_eq!(tx.count_sync_states(KV, true).await.unwrap(), expect);
}

async fn what_was_not_read_yet_waits(testbed: Testbed) {
    let waiting = async |with_unread: bool| {
        let mut tx = testbed.store.read("t").await.unwrap();
        let mut counts = tx.count_sync_states(KV, false).await.unwrap();
        if with_unread {
            tx.add_unread_sync(KV, &mut counts).await.unwrap();
        }
        (counts.pending, counts.oldest_pending_since.is_some())
    };
    // A target that has read nothing at all is behind with every link.
    let first = testbed.create("a", "https://example.com/").await.unwrap();
    assert_eq!((waiting(false).await, waiting(true).await), ((0, false), (1, false)));
    testbed.advance_all().await;
    testbed.push_all().await;
    assert_eq!(waiting(true).await, (0, false));
    // Right after many creates and an edit of one that is there.
    for number in 0..30 {
        testbed.create(&format!("b{number}"), "https://example.com/").await.unwrap();
    }
    testbed.edit(&first).await;
    assert_eq!((waiting(false).await, waiting(true).await), ((0, false), (31, true)));
    // A part of them was read; a key is not counted for each of its changes.
    testbed.advance(10).await;
    assert_eq!((waiting(false).await.0, waiting(true).await), (10, (31, true)));
    let link = testbed.create("c", "https://example.com/").await.unwrap();
    testbed.edit(&link).await;
    assert_eq!(waiting(true).await.0, 32);
    testbed.advance_all().await;
    assert_eq!((waiting(false).await, waiting(true).await), ((32, true), (32, true)));
    // Filled anew, everything waits, read or not.
    testbed.push_all().await;
    testbed.store.write("t", async |tx| tx.refill_sync(KV).await).await.unwrap();
    assert_eq!(waiting(true).await.0, 32);
    testbed.advance(10).await;
    assert_eq!(waiting(true).await.0, 32);
}

async fn accounts_are_apart(testbed: Testbed) {
    let other = testbed.store.write("t", async |tx| tx.create_account("Other").await).await.unwrap().account_id;
    let foreign = |slug: &str| NewLink { account_id: other.clone(), ..testbed.new_link(slug, "https://example.com/") };
    for slug in ["a", "c", "e"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    for slug in ["b", "d"] {
        testbed.store.write("t", async |tx| tx.create_link(&foreign(slug), None).await).await.unwrap();
    }
    testbed.advance_all().await;
    assert_eq!(list(&testbed, Some(testbed.account()), SyncStatus::Pending).await, ["a", "c", "e"]);
    assert_eq!(list(&testbed, Some(&other), SyncStatus::Pending).await, ["b", "d"]);
    let claim = testbed.claim_keys(10).await;
    let failed: Vec<_> = claim.keys.iter().map(|claimed| faulted(claimed, testbed.now(), None)).collect();
    testbed.settle(&claim.lease, &failed).await;
    assert_eq!(list(&testbed, Some(&other), SyncStatus::Failed).await, ["b", "d"]);
    testbed.advance_us(WAIT_US);
    let retry = SyncSelection::FailedOf(other.clone());
    assert_eq!(testbed.store.write("t", async |tx| tx.retry_sync(KV, &retry).await).await.unwrap(), 2);
    assert_eq!(list(&testbed, None, SyncStatus::Failed).await, ["a", "c", "e"]);
    // A deleted link's key is still its account's, until another account has the slug.
    testbed.delete(&testbed.get("a").await).await.unwrap();
    testbed.advance_all().await;
    assert_eq!(list(&testbed, Some(testbed.account()), SyncStatus::Pending).await, ["a"]);
    testbed.store.write("t", async |tx| tx.create_link(&foreign("a"), None).await).await.unwrap();
    testbed.advance_all().await;
    assert_eq!(list(&testbed, Some(testbed.account()), SyncStatus::Pending).await, Vec::<String>::new());
    assert_eq!(list(&testbed, Some(&other), SyncStatus::Pending).await, ["a", "b", "d"]);
}

async fn retries(testbed: Testbed) {
    for slug in ["a", "b", "c", "d", "e"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    testbed.advance_all().await;
    let claim = testbed.claim_keys(4).await;
    let later = testbed.at(60 * SECOND_US);
    let settled = [
        synced(&claim.keys[0], 1),
        faulted(&claim.keys[1], testbed.now(), Some(later)),
        faulted(&claim.keys[2], testbed.now(), None),
    ];
    testbed.settle(&claim.lease, &settled).await;
    testbed.advance_us(WAIT_US);
    let retry = async |selection: SyncSelection| {
        testbed.store.write("t", async |tx| tx.retry_sync(KV, &selection).await).await.unwrap()
    };
    assert_eq!(testbed.state("c").await.unwrap().pending_since, None);
    assert_eq!(retry(SyncSelection::Failed).await, 1);
    let state = testbed.state("c").await.unwrap();
    assert_eq!((state.status, state.attempts, state.error), (SyncStatus::Pending, 0, None));
    assert_eq!((state.pending_since, state.next_attempt_at), (Some(testbed.now()), Some(testbed.now())));
    assert_eq!(retry(SyncSelection::Failed).await, 0);
    // Acknowledged, pending, being pushed, unknown.
    for (slug, expect) in [("a", 0), ("b", 1), ("d", 0), ("none", 0)] {
        assert_eq!(retry(SyncSelection::Key(testbed.key(slug))).await, expect, "{slug}");
    }
    let state = testbed.state("b").await.unwrap();
    assert_eq!((state.attempts, state.error, state.next_attempt_at), (0, None, Some(testbed.now())));
}

async fn marks(testbed: Testbed) {
    for slug in ["a", "b"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    let gone = testbed.create("gone", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    testbed.push_all().await;
    testbed.delete(&gone).await.unwrap();
    testbed.advance_all().await;
    testbed.advance_us(WAIT_US);
    testbed.push_all().await;
    testbed.advance_us(WAIT_US);
    let mark = async |slugs: &[&str]| {
        let keys: Vec<_> = slugs.iter().map(|slug| testbed.key(slug)).collect();
        testbed.store.write("t", async |tx| tx.mark_sync(KV, &keys).await).await.unwrap();
    };
    mark(&[]).await;
    // One that is acknowledged, one that is gone, one that never was; one of them twice.
    mark(&["a", "gone", "stray", "a"]).await;
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Pending, 1, Some(1))));
    assert_eq!(testbed.standing("gone").await, Some((SyncStatus::Pending, 2, None)));
    assert_eq!(testbed.standing("stray").await, Some((SyncStatus::Pending, 0, None)));
    let claim = testbed.claim_keys(10).await;
    assert_eq!(slugs_of(&claim), ["a", "gone", "stray"]);
    // Marked while it is being pushed: what is sent may be what was found wrong.
    mark(&["a"]).await;
    testbed.acknowledge(&claim).await;
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Pending, 1, Some(1))));
    assert_eq!((testbed.standing("gone").await, testbed.standing("stray").await), (None, None));
    assert_eq!(testbed.standing("b").await, Some((SyncStatus::Synced, 1, Some(1))));
}
