//! Events from elsewhere: each counted once, in any order.

use waypost_clicks::EventOutcome::{Counted, Duplicate, Rejected};
use waypost_rollup::ClickFacts;

use super::{batch, click, of_account, report};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    event_ids_tell_repeats,
    sequences_tell_repeats,
    event_ids_are_forgotten_after_a_week,
    two_senders_of_the_same,
    spools_are_known,
}

/// An event that only its id tells.
fn event(id: u8) -> ClickFacts<'static> {
    ClickFacts { event_id: [id; 16], edge_id: "worker", epoch: 0, sequence: 0, ..click(1, "link_1") }
}

async fn event_ids_tell_repeats(testbed: Testbed) {
    let store = &testbed.store;
    let bad = ClickFacts { link_id: "x", ..event(9) };
    let outcomes = store.ingest_events(&[event(1), event(2), event(1), bad]).await.unwrap();
    assert_eq!(outcomes, [Counted, Counted, Duplicate, Rejected]);
    let outcomes = store.ingest_events(&[event(3), event(2), bad]).await.unwrap();
    assert_eq!(outcomes, [Counted, Duplicate, Rejected]);
    // Without any id each is an event of its own.
    assert_eq!(store.ingest_events(&[event(0), event(0)]).await.unwrap(), [Counted, Counted]);
    assert!(store.ingest_events(&[]).await.unwrap().is_empty());
    assert_eq!(report(store, of_account(), None).await.clicks, 5);
    assert!(store.audit().await.unwrap().is_empty());
}

async fn sequences_tell_repeats(testbed: Testbed) {
    let store = &testbed.store;
    let numbered = |sequence: u64, id: u8| ClickFacts { event_id: [id; 16], ..click(sequence, "link_1") };
    let outcomes = store.ingest_events(&[numbered(5, 1), numbered(2, 2), numbered(5, 3)]).await.unwrap();
    assert_eq!(outcomes, [Counted, Counted, Duplicate]);
    let outcomes =
        store.ingest_events(&[numbered(3, 4), numbered(4, 5), numbered(1, 6), numbered(2, 7)]).await.unwrap();
    assert_eq!(outcomes, [Counted, Counted, Counted, Duplicate]);
    let audit = store.audit().await.unwrap().remove(0);
    assert_eq!((audit.received, audit.stored, audit.missing), (vec![(1, 5)], 5, 0));
    // What came in batches counts as received too, and the other way round.
    store.ingest(batch([click(6, "link_1"), click(7, "link_1")])).await.unwrap();
    assert_eq!(store.ingest_events(&[numbered(7, 8), numbered(8, 9)]).await.unwrap(), [Duplicate, Counted]);
    assert_eq!(store.positions("edge").await.unwrap()[0].next_sequence, 9);
    assert_eq!(report(store, of_account(), None).await.clicks, 8);
}

async fn event_ids_are_forgotten_after_a_week(testbed: Testbed) {
    let store = &testbed.store;
    store.ingest_events(&[event(1)]).await.unwrap();
    testbed.advance_days(8);
    store.prune(1_000, testbed.now()).await.unwrap();
    assert_eq!(store.ingest_events(&[event(1)]).await.unwrap(), [Duplicate]);
    testbed.advance_days(1);
    store.prune(1_000, testbed.now()).await.unwrap();
    assert_eq!(testbed.db_execute("SELECT count(*) FROM click_event_ids").await, "0");
}

async fn two_senders_of_the_same(testbed: Testbed) {
    let events: Vec<_> = (1..=100).map(event).collect();
    let other = testbed.second_store().await.unwrap();
    let send = async |store: &waypost_clicks::ClickStore| {
        let mut counted = 0;
        for events in events.chunks(9) {
            let outcomes = store.ingest_events(events).await.unwrap();
            counted += outcomes.iter().filter(|outcome| **outcome == Counted).count();
        }
        counted
    };
    let (first, second) = tokio::join!(send(&testbed.store), send(&other));
    assert_eq!(first + second, 100);
    assert_eq!(report(&other, of_account(), None).await.clicks, 100);
}

async fn spools_are_known(testbed: Testbed) {
    let store = &testbed.store;
    for edge_id in ["edge", "other", "edge"] {
        store.add_spool(edge_id).await.unwrap();
    }
    let spools = store.spools_among(&["worker", "edge", "edg", ""]).await.unwrap();
    assert_eq!(spools.into_iter().collect::<Vec<_>>(), ["edge"]);
    assert!(store.spools_among(&[]).await.unwrap().is_empty());
}
