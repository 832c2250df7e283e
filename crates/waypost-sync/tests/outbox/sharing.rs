//! Several processes on one database: they share the work, and a late one does no lasting harm (F21).

use std::sync::Arc;
use std::time::Duration;

use waypost_core::sync::SyncStatus;
use waypost_sync::KvLimits;
use waypost_testkit::kv_api::{CallKind, Fault};

use crate::testbed::{PATIENT, TARGET, Testbed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_the_work_and_send_nothing_twice() {
    let Some(testbed) = Testbed::postgres().await else { return };
    testbed.create_many("a", 2_000).await;
    testbed.api.set_latency(Duration::from_millis(30));
    // As after faults: small batches, so that both find work.
    let mut tx = testbed.store.begin("db_faults").await.unwrap();
    let health = tx.sync_health(TARGET).await.unwrap();
    tx.set_sync_health(TARGET, &waypost_store::SyncHealth { faults: 3, ..health }).await.unwrap();
    tx.commit().await.unwrap();
    let first = Arc::new(testbed.worker());
    let second = Arc::new(testbed.worker_with(testbed.second_store().await, PATIENT));
    let run = |worker: Arc<waypost_sync::OutboxWorker>| async move {
        for _ in 0..10 {
            let _ = worker.round().await.unwrap();
        }
    };
    let jobs = [tokio::spawn(run(Arc::clone(&first))), tokio::spawn(run(Arc::clone(&second)))];
    for job in jobs {
        job.await.unwrap();
    }
    testbed.run_until_synced(&first, 10_000).await;
    testbed.assert_converged().await;
    assert!(testbed.api.write_counts().values().all(|count| *count == 1));
    let (first, second) = (first.status(), second.status());
    assert!(first.pushed_keys > 0 && second.pushed_keys > 0, "{first:?} {second:?}");
    assert_eq!(first.pushed_keys + second.pushed_keys, 2_000);
}

/// What one process sends takes effect after its lease: it is older than what the other sent meanwhile, and does not
/// stay.
async fn check_late(testbed: Testbed) {
    testbed.create("a").await;
    let slow = Arc::new(testbed.worker());
    testbed.api.hold_next_call();
    let job = tokio::spawn({
        let slow = Arc::clone(&slow);
        async move { slow.round().await.unwrap() }
    });
    let is_sent = || testbed.api.holds_call();
    tokio::task::block_in_place(|| waypost_testkit::wait_until(Duration::from_secs(30), "the call", is_sent)).unwrap();
    testbed.clock.advance_ms(61_000);
    testbed.edit("a", "https://example.com/newer").await;
    let quick = testbed.worker_with(testbed.second_store().await, PATIENT);
    let _ = quick.round().await.unwrap();
    assert_eq!(testbed.api.call_count(), 1);
    testbed.assert_converged().await;
    testbed.clock.advance_ms(2_000);
    testbed.api.release_call();
    let _ = job.await.unwrap();
    assert_eq!(slow.status().late_keys, 1);
    assert_ne!(testbed.held(), testbed.truth().await, "the late writing took effect");
    testbed.run_until_synced(&quick, 10_000).await;
    testbed.assert_converged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f21_what_is_sent_after_the_lease_is_sent_again() {
    check_late(Testbed::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f21_what_is_sent_after_the_lease_is_sent_again_on_postgres() {
    if let Some(testbed) = Testbed::postgres().await {
        check_late(testbed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_is_told_binds_the_other() {
    let Some(testbed) = Testbed::postgres().await else { return };
    testbed.create_many("a", 10).await;
    let first = testbed.worker_with(testbed.store.clone(), PATIENT);
    let second = testbed.worker_with(testbed.second_store().await, PATIENT);
    testbed.api.fail_next([Fault::rate_limited(Some("60"))]);
    let _ = first.round().await.unwrap();
    testbed.create_many("b", 10).await;
    testbed.run_for(&second, 59_000).await;
    assert_eq!(testbed.api.call_count(), 1);
    testbed.run_until_synced(&second, 10_000).await;
    testbed.assert_converged().await;
    assert_eq!(testbed.api.calls().last().unwrap().kind, CallKind::BulkPut);
}

/// What a stopped process finds when it goes on: a lease that a call might outlast.
#[tokio::test]
async fn no_call_is_begun_that_the_lease_may_not_outlast() {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker_with(testbed.store.clone(), KvLimits { call_ms: 59_001, ..PATIENT });
    testbed.create_many("a", 3).await;
    testbed.run_for(&worker, 10_000).await;
    assert_eq!(testbed.api.call_count(), 0);
    let state = testbed.state("a-1").await.unwrap();
    assert_eq!((state.status, state.attempts), (SyncStatus::Pending, 0));
    testbed.run_until_synced(&testbed.worker(), 10_000).await;
    testbed.assert_converged().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_holds_nobody_up() {
    let Some(testbed) = Testbed::postgres().await else { return };
    testbed.create_many("a", 50).await;
    testbed.db_execute("UPDATE links SET record = '{' WHERE slug = 'a-7'").await;
    let worker = testbed.worker();
    testbed.run_for(&worker, 5_000).await;
    assert_eq!(testbed.api.count(), 49);
    let state = testbed.state("a-7").await.unwrap();
    assert_eq!((state.status, state.next_attempt_at), (SyncStatus::Failed, None));
    assert!(state.error.unwrap().contains("cannot be read"));
}

#[tokio::test]
async fn a_job_whose_database_is_gone_says_so_and_ends_when_told_to() {
    let testbed = Testbed::sqlite().await;
    let worker = Arc::new(testbed.worker());
    testbed.store.close().await;
    let job = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run().await }
    });
    let is_failing = || worker.status().last_error.is_some();
    while !is_failing() {
        tokio::task::yield_now().await;
    }
    assert!(!job.is_finished());
    worker.stop();
    tokio::time::timeout(Duration::from_secs(5), job).await.unwrap().unwrap();
}
