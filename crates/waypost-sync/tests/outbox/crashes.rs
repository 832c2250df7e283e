//! The process ends anywhere between a change and its acknowledgement (a future that is dropped at each of its waits
//! stands for that): the next one finishes the work.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use waypost_sync::OutboxWorker;

use crate::testbed::Testbed;

/// Polls a future until it has waited so often, then drops it. `None` where it was dropped.
async fn polled<T>(future: impl Future<Output = T>, waits: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = waits;
    std::future::poll_fn(|context: &mut Context<'_>| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

async fn change(testbed: &Testbed, round: usize) {
    testbed.edit("kept", &format!("https://example.com/{round}")).await;
    testbed.create(&format!("new-{round}")).await;
    testbed.create(&format!("gone-{round}")).await;
    if round > 0 {
        testbed.delete(&format!("gone-{}", round - 1)).await;
    }
}

async fn check(testbed: Testbed) {
    testbed.create("kept").await;
    let worker: OutboxWorker = testbed.worker();
    testbed.run_until_synced(&worker, 5_000).await;
    let mut waits = 0;
    let mut ended = 0;
    // Wakes depend on other threads, so a round that got through at once proves nothing: several must.
    while ended < 3 {
        change(&testbed, waits).await;
        let is_done = polled(testbed.worker().round(), waits).await.is_some();
        ended = if is_done { ended + 1 } else { 0 };
        waits += 1;
        assert!(waits < 500, "a round has no end");
        // Leases end.
        testbed.clock.advance_ms(61_000);
        testbed.run_until_synced(&testbed.worker(), 120_000).await;
        testbed.assert_converged().await;
    }
    assert!(waits > 10, "only {waits} waits");
}

#[tokio::test]
async fn a_process_that_ends_anywhere_leaves_nothing_behind() {
    check(Testbed::sqlite().await).await;
}

#[tokio::test]
async fn a_process_that_ends_anywhere_leaves_nothing_behind_on_postgres() {
    if let Some(testbed) = Testbed::postgres().await {
        check(testbed).await;
    }
}
