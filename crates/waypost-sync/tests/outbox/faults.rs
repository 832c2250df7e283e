//! Cloudflare fails, limits, refuses and lies (F15 to F20): nothing is lost, nothing is sent without need, and it is
//! over soon after it is over.

use waypost_core::sync::{RestReason, SyncStatus};
use waypost_sync::OutboxWorker;
use waypost_testkit::kv_api::Fault;

use crate::testbed::{BRIEF, Testbed};

/// A testbed with so many links that KV is to be told of.
async fn with_links(count: usize) -> (Testbed, OutboxWorker) {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker();
    testbed.create_many("a", count).await;
    (testbed, worker)
}

async fn check_rate_limit(retry_after: Option<&str>, rest_s: u64) {
    let (testbed, worker) = with_links(50).await;
    testbed.api.set_fault(Some(Fault::rate_limited(retry_after)));
    testbed.run_for(&worker, rest_s * 1_000 - 500).await;
    assert_eq!(testbed.api.call_count(), 1, "{retry_after:?}");
    let health = testbed.health().await;
    assert_eq!(health.rest_reason, Some(RestReason::RateLimited));
    let state = testbed.state("a-1").await.unwrap();
    assert_eq!((state.status, state.attempts), (SyncStatus::Pending, 1));
    // The others of an instance do not come all at once either.
    testbed.api.heal();
    testbed.create_many("b", 50).await;
    assert!(testbed.run_until_synced(&worker, 10_000).await >= 500);
    assert_eq!(testbed.api.call_count(), 2, "{retry_after:?}");
    testbed.assert_converged().await;
}

#[tokio::test]
async fn f15_a_rate_limit_pauses_everything() {
    check_rate_limit(None, 300).await;
    check_rate_limit(Some("17"), 17).await;
    // The testbed's clock begins at 10:30:00.
    check_rate_limit(Some("Thu, 15 Jan 2026 10:30:40 GMT"), 40).await;
    check_rate_limit(Some("tomorrow"), 300).await;
}

#[tokio::test]
async fn f15_five_refusals_show_as_failed_and_go_on() {
    let (testbed, worker) = with_links(3).await;
    testbed.api.set_fault(Some(Fault::rate_limited(Some("10"))));
    testbed.run_for(&worker, 45_000).await;
    let state = testbed.state("a-1").await.unwrap();
    assert_eq!((state.status, state.attempts), (SyncStatus::Failed, 5));
    assert!(state.next_attempt_at.is_some());
    testbed.api.heal();
    testbed.run_until_synced(&worker, 15_000).await;
    testbed.assert_converged().await;
}

#[tokio::test]
async fn f16_a_spent_quota_is_looked_at_once_an_hour() {
    let (testbed, worker) = with_links(500).await;
    testbed.api.set_fault(Some(Fault::code(429, 10_048)));
    testbed.run_for(&worker, 60_000).await;
    testbed.edit("a-7", "https://example.com/coalesced").await;
    testbed.edit("a-7", "https://example.com/coalesced-too").await;
    // It is 10:31, so that there are fourteen more looks until midnight.
    testbed.run_for(&worker, 13 * 3_600_000 + 28 * 60_000).await;
    assert_eq!(testbed.api.call_count(), 14);
    assert_eq!(testbed.health().await.rest_reason, Some(RestReason::Quota));
    let state = testbed.state("a-1").await.unwrap();
    assert_eq!((state.status, state.attempts), (SyncStatus::Pending, 0));
    assert!(state.error.unwrap().contains("used up"));
    testbed.api.heal();
    testbed.run_until_synced(&worker, 120_000).await;
    assert_eq!(testbed.api.call_count(), 15);
    testbed.assert_converged().await;
}

/// So many links while every call fails for a minute: they are there soon after it is over, and it has not cost many
/// calls.
async fn check_outage(fault: Fault, links: usize) {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker_with(testbed.store.clone(), BRIEF);
    testbed.create_many("warm", 1).await;
    testbed.run_until_synced(&testbed.worker(), 5_000).await;
    testbed.create_many("a", links).await;
    testbed.api.forget_calls();
    testbed.api.set_fault(Some(fault.clone()));
    testbed.run_for(&worker, 60_000).await;
    let calls = testbed.api.call_count();
    assert!(calls <= 20, "{fault:?}: {calls} calls in a minute");
    let health = testbed.health().await;
    assert_eq!((health.rest_reason, health.faults), (Some(RestReason::Fault), 7), "{fault:?}");
    testbed.api.heal();
    let took_ms = testbed.run_until_synced(&testbed.worker(), 10_000).await;
    assert!(took_ms <= 10_000, "{fault:?}: {took_ms} ms");
    testbed.assert_converged().await;
    assert_eq!(testbed.health().await.error, None);
}

#[tokio::test]
async fn f17_what_failed_is_pushed_soon_after_health_returns() {
    check_outage(Fault::status(503), 10_000).await;
    check_outage(Fault::Page(502), 100).await;
    check_outage(Fault::Reset, 100).await;
    check_outage(Fault::Truncated, 100).await;
}

#[tokio::test]
async fn f17_a_page_in_place_of_an_answer_is_no_success() {
    check_outage(Fault::Page(200), 100).await;
}

#[tokio::test]
async fn f17_answers_that_are_lost_cost_a_repetition_and_nothing_else() {
    let testbed = Testbed::sqlite().await;
    let worker = testbed.worker();
    testbed.create_many("a", 1_000).await;
    testbed.api.fail_next([Fault::LostAnswer]);
    let _ = worker.round().await.unwrap();
    assert_eq!(testbed.api.count(), 1_000);
    // Changed between the two: what arrived late is not what stays.
    testbed.edit("a-7", "https://example.com/newer").await;
    testbed.run_until_synced(&testbed.worker(), 10_000).await;
    testbed.assert_converged().await;
}

#[tokio::test]
async fn f17_a_day_of_faults_fails_for_good_and_an_edit_revives() {
    let (testbed, worker) = with_links(1).await;
    testbed.api.set_fault(Some(Fault::status(500)));
    testbed.run_for(&worker, 60_000).await;
    let state = testbed.state("a-0").await.unwrap();
    assert_eq!(state.status, SyncStatus::Failed);
    assert!(state.attempts >= 5 && state.next_attempt_at.is_some());
    testbed.clock.advance_ms(24 * 3_600_000);
    testbed.run_for(&worker, 1_000).await;
    let state = testbed.state("a-0").await.unwrap();
    assert_eq!((state.status, state.next_attempt_at), (SyncStatus::Failed, None));
    testbed.api.heal();
    let calls = testbed.api.call_count();
    testbed.run_for(&worker, 3_600_000).await;
    assert_eq!(testbed.api.call_count(), calls);
    testbed.edit("a-0", "https://example.com/revived").await;
    testbed.run_until_synced(&worker, 10_000).await;
    testbed.assert_converged().await;
}

#[tokio::test]
async fn f18_calls_that_hang_or_drip_end_and_do_not_hold_others_up() {
    check_outage(Fault::Hang, 100).await;
    check_outage(Fault::Drip, 100).await;
}

#[tokio::test]
async fn f19_only_what_was_left_undone_is_sent_again() {
    let (testbed, worker) = with_links(200).await;
    testbed.api.refuse_in_bulk(&["a-3", "a-77"]);
    testbed.run_for(&worker, 200).await;
    assert_eq!(testbed.api.count(), 198);
    let state = testbed.state("a-77").await.unwrap();
    assert_eq!((state.status, state.attempts), (SyncStatus::Pending, 1));
    assert_eq!(testbed.counts().await.synced, 198);
    testbed.api.heal();
    assert!((800..3_000).contains(&testbed.run_until_synced(&worker, 5_000).await));
    testbed.assert_converged().await;
    let calls = testbed.api.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].keys, ["a-3", "a-77"]);
}

async fn check_configuration(fault: Fault) {
    let (testbed, worker) = with_links(20).await;
    testbed.api.set_fault(Some(fault.clone()));
    testbed.run_for(&worker, 10 * 60_000 - 500).await;
    assert_eq!(testbed.api.call_count(), 10, "{fault:?}");
    assert_eq!(testbed.health().await.rest_reason, Some(RestReason::Configuration), "{fault:?}");
    let state = testbed.state("a-1").await.unwrap();
    assert_eq!((state.status, state.attempts), (SyncStatus::Pending, 0), "{fault:?}");
    testbed.api.heal();
    testbed.run_until_synced(&worker, 61_000).await;
    testbed.assert_converged().await;
}

#[tokio::test]
async fn f20_a_wrong_configuration_is_tried_once_a_minute() {
    for (status, code) in [(401, 10_000), (403, 10_037), (404, 10_013), (400, 7_003), (403, 1), (400, 6_003)] {
        check_configuration(Fault::code(status, code)).await;
    }
}

/// One key among 10,000 that is refused, whatever else is in the call.
#[tokio::test]
async fn a_refused_key_is_singled_out() {
    let (testbed, worker) = with_links(10_000).await;
    testbed.api.poison("a-6789", Fault::code(400, 10_033));
    testbed.run_for(&worker, 10_000).await;
    let state = testbed.state("a-6789").await.unwrap();
    assert_eq!((state.status, state.attempts, state.next_attempt_at), (SyncStatus::Failed, 1, None));
    assert!(state.error.unwrap().contains("code 10033"));
    assert_eq!(testbed.api.count(), 9_999);
    assert!(testbed.api.write_counts().values().all(|count| *count == 1));
    let calls = testbed.api.call_count();
    assert!(calls <= 30, "{calls} calls");
    assert_eq!(testbed.counts().await.failed, 1);
}

#[tokio::test]
async fn a_call_that_is_too_large_is_halved() {
    let (testbed, worker) = with_links(1_000).await;
    testbed.api.set_body_bytes_max(100_000);
    testbed.run_until_synced(&worker, 5_000).await;
    testbed.assert_converged().await;
    assert!(testbed.api.write_counts().values().all(|count| *count == 1));
}

/// One key among 2,000 that makes every call fail as if the target were down.
#[tokio::test]
async fn a_key_that_breaks_calls_is_singled_out_and_given_up() {
    let (testbed, worker) = with_links(2_000).await;
    testbed.api.poison("a-678", Fault::status(500));
    testbed.run_for(&worker, 10 * 60_000).await;
    assert_eq!(testbed.api.count(), 1_999);
    let counts = testbed.counts().await;
    assert_eq!((counts.pending, counts.syncing, counts.failed, counts.synced), (0, 0, 1, 1_999));
    // It was alone, so as long as nobody else gets through nobody knows whose fault it is.
    for number in 0..6 {
        testbed.edit("a-1", &format!("https://example.com/{number}")).await;
        testbed.run_for(&worker, 20_000).await;
    }
    let state = testbed.state("a-678").await.unwrap();
    assert_eq!((state.status, state.next_attempt_at), (SyncStatus::Failed, None), "{state:?}");
    let calls = testbed.api.call_count();
    testbed.run_for(&worker, 3_600_000).await;
    assert_eq!(testbed.api.call_count(), calls);
}
