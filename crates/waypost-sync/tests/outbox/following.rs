//! What is changed reaches KV: made, edited, deleted, made again, on other domains, all at once, from the beginning.

use std::sync::Arc;
use std::time::Duration;

use waypost_core::sync::SyncStatus;
use waypost_core::{LinkRecord, Slug};
use waypost_store::{NewLink, SlugChoice};
use waypost_sync::{KvClient, OutboxOptions, OutboxWorker};
use waypost_testkit::kv_api::CallKind;

use crate::testbed::{PATIENT, TARGET, Testbed, kv_settings};

#[tokio::test]
async fn a_link_is_written_changed_deleted_and_made_again() {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker();
    let kinds = || testbed.api.calls().iter().map(|call| call.kind).collect::<Vec<_>>();
    testbed.create("a").await;
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.assert_converged().await;
    assert_eq!(kinds(), [CallKind::Put]);
    let state = testbed.state("a").await.unwrap();
    assert_eq!((state.status, state.version, state.synced_version), (SyncStatus::Synced, 1, Some(1)));

    testbed.edit("a", "https://example.com/new").await;
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.assert_converged().await;

    testbed.delete("a").await;
    testbed.run_until_synced(&worker, 5_000).await;
    assert_eq!((testbed.api.count(), testbed.state("a").await), (0, None));
    assert_eq!(kinds(), [CallKind::Put, CallKind::Put, CallKind::Delete]);

    testbed.create("a").await;
    testbed.delete("a").await;
    testbed.create("a").await;
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.assert_converged().await;
    assert_eq!(testbed.held()["a"].1, 6);
    assert_eq!(testbed.api.call_count(), 4);
}

#[tokio::test]
async fn changes_of_one_link_are_one_write_and_many_links_one_call() {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker();
    testbed.create_many("a", 300).await;
    testbed.run_until_synced(&worker, 5_000).await;
    assert_eq!(testbed.api.call_count(), 1);
    for number in 0..20 {
        testbed.edit("a-7", &format!("https://example.com/{number}")).await;
    }
    testbed.delete("a-8").await;
    testbed.delete("a-9").await;
    testbed.edit("a-10", "https://example.com/ten").await;
    testbed.clock.advance_ms(1_000);
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.assert_converged().await;
    let calls = testbed.api.calls();
    assert_eq!(calls.len(), 3);
    assert_eq!((calls[1].kind, calls[1].keys.len()), (CallKind::BulkPut, 2));
    assert_eq!((calls[2].kind, calls[2].keys.len()), (CallKind::BulkDelete, 2));
}

#[tokio::test]
async fn other_domains_have_keys_of_their_own_and_ambiguous_ones_fail() {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker();
    testbed.create("b.example/x").await;
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.add_domain("b.example").await;
    let mut tx = testbed.store.begin("create").await.unwrap();
    let domains = tx.list_all_domains().await.unwrap();
    let other = domains.iter().find(|domain| !domain.is_default).unwrap().domain_id.clone();
    let new = NewLink {
        domain_id: other,
        slug: SlugChoice::Chosen(Slug::parse("x").unwrap()),
        record: LinkRecord::from_url("https://example.com/other"),
        ..testbed.new_link("x", "")
    };
    tx.create_link(&new, None).await.unwrap();
    tx.commit().await.unwrap();
    testbed.edit("b.example/x", "https://example.com/changed").await;
    testbed.clock.advance_ms(1_000);
    testbed.run_for(&worker, 5_000).await;
    assert_eq!(testbed.held()["b.example/x"].0, "https://example.com/other");
    let state = testbed.state("b.example/x").await.unwrap();
    assert_eq!((state.status, state.next_attempt_at, state.attempts), (SyncStatus::Failed, None, 1));
    assert!(state.error.unwrap().contains("domain b.example"));
    // Deleting it must not take the other link's key away.
    testbed.delete("b.example/x").await;
    testbed.run_until_synced(&worker, 5_000).await;
    assert_eq!(testbed.state("b.example/x").await, None);
    assert_eq!(testbed.held()["b.example/x"].0, "https://example.com/other");
}

#[tokio::test]
async fn a_large_value_is_written_and_too_much_for_one_call_is_parted() {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker();
    let mut tx = testbed.store.begin("create").await.unwrap();
    let long = "x".repeat(900 << 10);
    for number in 0..37 {
        let new = testbed.new_link(&format!("large-{number}"), &format!("https://example.com/{long}"));
        tx.create_links(&[new], None).await.unwrap();
    }
    tx.commit().await.unwrap();
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.assert_converged().await;
    assert_eq!(testbed.api.call_count(), 2);
    assert!(testbed.api.write_counts().values().all(|count| *count == 1));
}

#[tokio::test]
async fn the_initial_fill_goes_on_after_a_restart() {
    let testbed = Testbed::sqlite().await;
    testbed.create_many("fill", 12_000).await;
    let mut tx = testbed.store.begin("db_trim").await.unwrap();
    let last = tx.outbox_last().await.unwrap();
    // The target is new, and the outbox does not tell of all links.
    tx.outbox_trim(last).await.unwrap();
    tx.commit().await.unwrap();
    let worker = testbed.worker();
    let _ = worker.round().await.unwrap();
    let begun = testbed.api.count();
    assert!(begun > 0 && begun < 12_000, "{begun}");
    drop(worker);
    let worker = testbed.worker();
    testbed.run_until_synced(&worker, 60_000).await;
    testbed.assert_converged().await;
    assert!(testbed.api.call_count() <= 4, "{}", testbed.api.call_count());
    assert!(testbed.api.write_counts().values().all(|count| *count == 1));

    let mut tx = testbed.store.begin("refill").await.unwrap();
    tx.refill_sync(TARGET).await.unwrap();
    tx.commit().await.unwrap();
    testbed.clock.advance_ms(1_000);
    testbed.run_until_synced(&worker, 60_000).await;
    assert!(testbed.api.write_counts().values().all(|count| *count == 2));
}

#[tokio::test]
async fn steady_edits_make_three_calls_a_second() {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker();
    testbed.create_many("a", 100).await;
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.api.forget_calls();
    let began_ms = testbed.clock.elapsed_ms();
    let mut number = 0;
    // Twenty edits a second for half a minute.
    let mut next_ms = began_ms;
    while testbed.clock.elapsed_ms() < began_ms + 30_000 {
        testbed.edit(&format!("a-{}", number % 100), &format!("https://example.com/{number}")).await;
        number += 1;
        testbed.clock.advance_ms(50);
        if testbed.clock.elapsed_ms() >= next_ms {
            // As the job does: a wake ends only a pause that waits for one, and is followed by a short wait for more.
            let pause = worker.round().await.unwrap();
            next_ms = testbed.clock.elapsed_ms() + if pause.ends_by_wake { 100 } else { pause.ms };
        }
    }
    let calls = testbed.api.call_count();
    assert!((20..=90).contains(&calls), "{calls} calls in 30 s");
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.assert_converged().await;
}

/// The job as it runs in a server: woken, on the machine's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_job_is_woken_and_ends_when_told_to() {
    let testbed = Testbed::sqlite().await;
    let kv = Arc::new(KvClient::with_limits(&kv_settings(&testbed.api), PATIENT).unwrap());
    let worker = Arc::new(OutboxWorker::new(testbed.store.clone(), kv, OutboxOptions::new(60_000)));
    let job = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run().await }
    });
    testbed.create("woken").await;
    worker.wake();
    let is_there = || testbed.api.get("woken").is_some();
    tokio::task::block_in_place(|| waypost_testkit::wait_until(Duration::from_secs(10), "the link", is_there)).unwrap();
    worker.stop();
    tokio::time::timeout(Duration::from_secs(5), job).await.unwrap().unwrap();
    assert_eq!(worker.status().calls, 1);
}
