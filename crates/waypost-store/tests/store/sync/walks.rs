//! How keys become pending: a new target, the outbox, gaps in it, a target that is filled anew.

use waypost_core::Hostname;
use waypost_core::sync::SyncStatus;
use waypost_store::{NewDomain, NewLink, Outcome, Settled, SyncWork};

use super::{KV, SECOND_US, WAIT_US, faulted, key_on, slugs_of, synced};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    new_target_is_filled,
    entries_coalesce,
    fill_goes_on_after_a_restart,
    changes_during_a_walk,
    gap_begins_a_walk,
    refill_pushes_all,
    known_entries_change_nothing,
    edits_wait_a_second,
    deleted_slugs_come_and_go,
}

async fn work(testbed: &Testbed) -> SyncWork {
    testbed.store.read("t").await.unwrap().sync_work(KV).await.unwrap()
}

async fn new_target_is_filled(testbed: Testbed) {
    assert!(work(&testbed).await.is_behind);
    for slug in ["b", "a", "é"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    let gone = testbed.create("gone", "https://example.com/").await.unwrap();
    testbed.delete(&gone).await.unwrap();
    assert_eq!(testbed.advance_all().await, 3);
    let expect = SyncWork {
        is_behind: false,
        due_at: Some(testbed.now()),
        rests_until: waypost_core::Timestamp::from_micros(0),
    };
    assert_eq!(work(&testbed).await, expect);
    let state = testbed.state("a").await.unwrap();
    assert_eq!((state.status, state.version, state.synced_version), (SyncStatus::Pending, 1, None));
    assert_eq!((state.pending_since, state.next_attempt_at), (Some(testbed.now()), Some(testbed.now())));
    assert!(state.link_id.is_some());
    assert_eq!(testbed.push_all().await, ["a", "b", "é"]);
    let state = testbed.state("a").await.unwrap();
    assert_eq!((state.status, state.version, state.synced_version), (SyncStatus::Synced, 1, Some(1)));
    assert_eq!((state.pending_since, state.next_attempt_at), (None, None));
    assert_eq!(state.synced_at, Some(testbed.now()));
    assert_eq!(work(&testbed).await.due_at, None);
    assert_eq!(testbed.advance(10).await.keys, 0);
    testbed.create("c", "https://example.com/").await.unwrap();
    assert!(work(&testbed).await.is_behind);
    assert_eq!(testbed.advance_all().await, 1);
    assert_eq!(testbed.push_all().await, ["c"]);
}

async fn entries_coalesce(testbed: Testbed) {
    testbed.advance_all().await;
    let mut link = testbed.create("a", "https://example.com/").await.unwrap();
    for _ in 0..4 {
        link = testbed.edit(&link).await;
    }
    testbed.create("b", "https://example.com/").await.unwrap();
    let advance = testbed.advance(5).await;
    assert_eq!((advance.keys, advance.is_current), (1, false));
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Pending, 5, None)));
    let advance = testbed.advance(5).await;
    assert_eq!((advance.keys, advance.is_current), (1, true));
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.push_all().await, ["b", "a"]);
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 5, Some(5))));
}

async fn fill_goes_on_after_a_restart(testbed: Testbed) {
    let mut tx = testbed.store.begin("t").await.unwrap();
    let host = Hostname::parse("a.example").unwrap();
    let new = NewDomain { account_id: None, host, case_insensitive: false, root_url: None };
    let domain_id = tx.create_domain(&new).await.unwrap().domain_id;
    for number in 0..7 {
        let new =
            NewLink { domain_id: domain_id.clone(), ..testbed.new_link(&format!("o{number}"), "https://a.example/") };
        tx.create_link(&new, None).await.unwrap();
        tx.create_link(&testbed.new_link(&format!("s{number}"), "https://a.example/"), None).await.unwrap();
    }
    tx.commit().await.unwrap();
    for limit in 1..=15 {
        let mut keys = 0;
        loop {
            // A process of its own for each page; and one that dies before its commit.
            let store = testbed.second_store().await.unwrap();
            let mut lost = store.begin("t").await.unwrap();
            lost.advance_sync(KV, limit).await.unwrap();
            drop(lost);
            let advance = super::advance(&store, limit).await;
            store.close().await;
            assert!(advance.keys <= u64::from(limit));
            keys += advance.keys;
            if advance.is_current {
                break;
            }
        }
        // The second walk over the rows takes all of those whose slug leads nowhere: none.
        assert_eq!(keys, 14, "limit {limit}");
        let mut tx = testbed.store.begin("t").await.unwrap();
        assert!(tx.sync_state(KV, &key_on(&domain_id, "o6")).await.unwrap().is_some());
        tx.refill_sync(KV).await.unwrap();
        tx.commit().await.unwrap();
    }
}

async fn changes_during_a_walk(testbed: Testbed) {
    let mut links = Vec::new();
    for slug in ["a", "b", "c", "d"] {
        links.push(testbed.create(slug, "https://example.com/").await.unwrap());
    }
    assert_eq!(testbed.advance(2).await.keys, 2);
    testbed.edit(&links[0]).await;
    testbed.delete(&links[1]).await.unwrap();
    testbed.delete(&links[3]).await.unwrap();
    testbed.create("aa", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    for (slug, version) in [("a", 2), ("aa", 1), ("b", 2), ("c", 1), ("d", 2)] {
        assert_eq!(testbed.standing(slug).await, Some((SyncStatus::Pending, version, None)), "{slug}");
    }
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.push_all().await.len(), 5);
    for (slug, version) in [("a", Some(2)), ("aa", Some(1)), ("b", None), ("c", Some(1)), ("d", None)] {
        assert_eq!(testbed.state(slug).await.and_then(|state| state.synced_version), version, "{slug}");
    }
}

async fn gap_begins_a_walk(testbed: Testbed) {
    let a = testbed.create("a", "https://example.com/").await.unwrap();
    let b = testbed.create("b", "https://example.com/").await.unwrap();
    testbed.create("c", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    testbed.push_all().await;
    testbed.edit(&a).await;
    testbed.delete(&b).await.unwrap();
    testbed.create("d", "https://example.com/").await.unwrap();
    let last = testbed.outbox().await.last().unwrap().sequence;
    assert_eq!(testbed.store.write("t", async |tx| tx.outbox_trim(last).await).await.unwrap(), 5);
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.advance_all().await, 3, "c was acknowledged as it is");
    assert_eq!(testbed.standing("b").await, Some((SyncStatus::Pending, 2, Some(1))));
    assert_eq!(testbed.push_all().await, ["a", "b", "d"]);
    assert_eq!(testbed.state("b").await, None);
    // A cursor beyond the newest entry was made on other data.
    testbed.db_execute("UPDATE sync_targets SET cursor = 1000").await;
    assert!(work(&testbed).await.is_behind);
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.advance_all().await, 3);
    assert_eq!(testbed.push_all().await, ["a", "c", "d"]);
}

async fn refill_pushes_all(testbed: Testbed) {
    for slug in ["a", "b", "c", "d"] {
        testbed.create(slug, "https://example.com/").await.unwrap();
    }
    testbed.advance_all().await;
    let claim = testbed.claim_keys(1).await;
    let failed = faulted(&claim.keys[0], testbed.now(), None);
    testbed.settle(&claim.lease, &[failed]).await;
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Failed, 1, None)));
    assert_eq!(testbed.push_all().await, ["b", "c", "d"]);
    testbed.advance_us(WAIT_US);
    let edited = testbed.edit(&testbed.get("b").await).await;
    testbed.advance_all().await;
    let claim = testbed.claim_keys(1).await;
    assert_eq!(slugs_of(&claim), ["b"]);
    testbed.store.write("t", async |tx| tx.refill_sync(KV).await).await.unwrap();
    assert_eq!(testbed.advance_all().await, 4);
    let state = testbed.state("a").await.unwrap();
    assert_eq!((state.status, state.attempts, state.error), (SyncStatus::Pending, 0, None));
    assert_eq!(testbed.push_all().await, ["a", "c", "d"], "b is being pushed");
    testbed.settle(&claim.lease, &[synced(&claim.keys[0], edited.version)]).await;
    assert_eq!(testbed.standing("b").await, Some((SyncStatus::Pending, 2, Some(2))), "and is pushed again");
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.push_all().await, ["b"]);
    assert_eq!(testbed.standing("b").await, Some((SyncStatus::Synced, 2, Some(2))));
}

/// The truth is read when a key is pushed, so the outbox may lag behind what was acknowledged.
async fn known_entries_change_nothing(testbed: Testbed) {
    testbed.advance_all().await;
    let link = testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    testbed.edit(&link).await;
    let claim = testbed.claim_keys(1).await;
    assert_eq!(claim.keys[0].version, 1);
    testbed.acknowledge(&claim).await;
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 2, Some(2))));
    assert_eq!(testbed.advance_all().await, 0);
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 2, Some(2))));
    // One that was given up is revived by an edit, and by nothing less.
    testbed.edit(&link).await;
    testbed.advance_all().await;
    testbed.advance_us(WAIT_US);
    let claim = testbed.claim_keys(1).await;
    testbed.settle(&claim.lease, &[faulted(&claim.keys[0], testbed.now(), None)]).await;
    testbed.db_execute("UPDATE sync_targets SET cursor = cursor - 1").await;
    assert_eq!(testbed.advance_all().await, 0);
    assert_eq!(testbed.state("a").await.unwrap().next_attempt_at, None);
    testbed.edit(&link).await;
    assert_eq!(testbed.advance_all().await, 1);
    let state = testbed.state("a").await.unwrap();
    assert_eq!((state.status, state.attempts, state.error), (SyncStatus::Pending, 0, None));
    assert_eq!(state.pending_since, Some(testbed.now()));
}

/// The target takes one write of a key a second.
async fn edits_wait_a_second(testbed: Testbed) {
    testbed.advance_all().await;
    let link = testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    testbed.push_all().await;
    testbed.advance_us(SECOND_US / 4);
    testbed.edit(&link).await;
    testbed.advance_all().await;
    assert_eq!(testbed.state("a").await.unwrap().next_attempt_at, Some(testbed.at(SECOND_US * 3 / 4)));
    testbed.advance_us(SECOND_US * 3 / 4);
    let claim = testbed.claim_keys(1).await;
    // Also after an attempt that failed, or was not of this key, but may have been sent.
    testbed.settle(&claim.lease, &[faulted(&claim.keys[0], testbed.now(), Some(testbed.at(5 * SECOND_US)))]).await;
    assert_eq!(testbed.state("a").await.unwrap().next_attempt_at, Some(testbed.at(5 * SECOND_US)));
    testbed.edit(&link).await;
    testbed.advance_all().await;
    assert_eq!(testbed.state("a").await.unwrap().next_attempt_at, Some(testbed.at(SECOND_US)));
    testbed.advance_us(SECOND_US);
    let claim = testbed.claim_keys(1).await;
    let outcome = Outcome::Released { next_attempt_at: testbed.at(1), error: None };
    testbed.settle(&claim.lease, &[Settled { key: testbed.key("a"), version: 3, outcome }]).await;
    assert_eq!(testbed.state("a").await.unwrap().next_attempt_at, Some(testbed.at(SECOND_US)));
    testbed.advance_us(SECOND_US);
    let claim = testbed.claim_keys(1).await;
    let outcome = Outcome::Released { next_attempt_at: testbed.now(), error: None };
    testbed.settle(&claim.lease, &[Settled { key: testbed.key("a"), version: 3, outcome }]).await;
    assert_eq!(testbed.state("a").await.unwrap().next_attempt_at, Some(testbed.now()), "it was not sent");
    testbed.push_all().await;
    // A clock that was set back by an hour: the wait is a second, not an hour.
    testbed.advance_us(-3_600 * SECOND_US);
    testbed.edit(&link).await;
    testbed.advance_all().await;
    assert_eq!(testbed.state("a").await.unwrap().next_attempt_at, Some(testbed.at(SECOND_US)));
}

async fn deleted_slugs_come_and_go(testbed: Testbed) {
    testbed.advance_all().await;
    let link = testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    testbed.push_all().await;
    testbed.delete(&link).await.unwrap();
    testbed.advance_all().await;
    testbed.advance_us(WAIT_US);
    let claim = testbed.claim_keys(1).await;
    assert_eq!(claim.keys[0].version, 2);
    // Made again while the target is told of the deletion: the version goes on.
    let deletion = testbed.truth(&claim.keys).await;
    assert_eq!(deletion[0].outcome, Outcome::Synced { is_deleted: true });
    testbed.create("a", "https://example.com/again").await.unwrap();
    testbed.advance_all().await;
    testbed.settle(&claim.lease, &deletion).await;
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Pending, 3, Some(2))));
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.push_all().await, ["a"]);
    assert_eq!(testbed.standing("a").await, Some((SyncStatus::Synced, 3, Some(3))));
    // Deleted for good, acknowledged, and made again: the row goes and comes, no sooner than a second after the deletion.
    testbed.delete(&testbed.get("a").await).await.unwrap();
    testbed.advance_all().await;
    testbed.advance_us(WAIT_US);
    assert_eq!(testbed.push_all().await, ["a"]);
    assert_eq!(testbed.standing("a").await, None);
    testbed.create("a", "https://example.com/last").await.unwrap();
    testbed.advance_all().await;
    let state = testbed.state("a").await.unwrap();
    assert_eq!((state.version, state.next_attempt_at), (5, Some(testbed.at(SECOND_US))));
}
