//! Rests and the allowance of calls.

use waypost_core::Timestamp;
use waypost_core::sync::RestReason;
use waypost_store::{CALLS_BURST, CALLS_PER_PERIOD, CALLS_PERIOD_S, Claimed, SyncHealth};
use waypost_testkit::random::Random;

use super::{KV, SECOND_US};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! { health_is_kept, rests, calls_in_any_period, spent_allowance, }

const HOUR_US: i64 = 3_600 * SECOND_US;

async fn set(testbed: &Testbed, health: &SyncHealth) {
    testbed.store.write("t", async |tx| tx.set_sync_health(KV, health).await).await.unwrap();
}

async fn health(testbed: &Testbed) -> SyncHealth {
    testbed.store.read("t").await.unwrap().sync_health(KV).await.unwrap()
}

fn resting(until: Timestamp) -> SyncHealth {
    SyncHealth {
        rests_until: until,
        rest_reason: Some(RestReason::Quota),
        error: Some("code 10048".to_owned()),
        faults: 3,
        last_success_at: None,
    }
}

async fn health_is_kept(testbed: Testbed) {
    let well = health(&testbed).await;
    assert_eq!((well.rest_reason, well.faults, well.error.as_ref()), (None, 0, None));
    assert!(well.rests_until < testbed.now());
    for (_, reason) in RestReason::NAMES {
        let mut wanted = resting(testbed.at(5));
        wanted.rest_reason = Some(reason);
        wanted.last_success_at = Some(testbed.now());
        set(&testbed, &wanted).await;
        assert_eq!(health(&testbed).await, wanted);
    }
    set(&testbed, &well).await;
    assert_eq!(health(&testbed).await, well);
}

async fn rests(testbed: Testbed) {
    testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    let until = testbed.at(24 * HOUR_US);
    set(&testbed, &resting(until)).await;
    assert_eq!(testbed.claim(1).await, Claimed::Wait { until });
    let work = testbed.store.read("t").await.unwrap().sync_work(KV).await.unwrap();
    assert_eq!((work.rests_until, work.due_at), (until, Some(testbed.now())));
    // Longer than any rest: the clock was set back.
    testbed.advance_us(-2 * HOUR_US);
    let work = testbed.store.read("t").await.unwrap().sync_work(KV).await.unwrap();
    assert!(work.rests_until <= testbed.now() && work.due_at == Some(testbed.now()));
    assert_eq!(testbed.claim_keys(1).await.health, resting(until));
}

/// Under a clock that is moved forward, and now and then back, no period has more calls than its average and one burst. Time passes
/// for the target whatever the clock shows.
async fn calls_in_any_period(testbed: Testbed) {
    const MOST: usize = (CALLS_PER_PERIOD + CALLS_BURST) as usize;
    let mut random = Random::new(4);
    let (mut real_us, mut calls) = (0_i64, Vec::new());
    let mut tx = testbed.store.begin("t").await.unwrap();
    for round in 0..90 {
        // A transaction has one time, in which a burst is spent to its end.
        let mut taken = 0;
        while tx.take_sync_call(KV).await.unwrap().is_none() {
            calls.push(real_us);
            taken += 1;
            assert!(taken <= CALLS_BURST);
        }
        let passed = random.below(12 * SECOND_US as u64) as i64;
        real_us += passed;
        testbed.advance_us(passed);
        if round % 9 == 8 {
            testbed.advance_us(-(random.below(30 * HOUR_US as u64) as i64));
        }
        tx.commit().await.unwrap();
        tx = testbed.store.begin("t").await.unwrap();
    }
    let period_us = i64::from(CALLS_PERIOD_S) * SECOND_US;
    for (first, begin) in calls.iter().enumerate() {
        let within = calls[first..].iter().take_while(|at| **at <= begin + period_us).count();
        assert!(within <= MOST, "{within} calls from {begin}");
    }
    assert!(calls.len() > 1_000, "{}", calls.len());
}

async fn spent_allowance(testbed: Testbed) {
    testbed.create("a", "https://example.com/").await.unwrap();
    testbed.advance_all().await;
    let mut tx = testbed.store.begin("t").await.unwrap();
    for _ in 0..CALLS_BURST {
        assert_eq!(tx.take_sync_call(KV).await.unwrap(), None);
    }
    let until = tx.take_sync_call(KV).await.unwrap().unwrap();
    assert_eq!(tx.take_sync_call(KV).await.unwrap(), Some(until), "asking takes nothing");
    tx.commit().await.unwrap();
    assert_eq!(testbed.claim(1).await, Claimed::Wait { until });
    testbed.advance_us(until.as_micros() - testbed.now().as_micros());
    let claim = testbed.claim_keys(1).await;
    testbed.acknowledge(&claim).await;
    assert_eq!(testbed.claim(1).await, Claimed::Nothing { due_at: None }, "nothing due costs no call");
}
