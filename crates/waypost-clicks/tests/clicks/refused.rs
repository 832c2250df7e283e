//! Refused events: kept once, with those that came with them or not at all, and only so many.

use waypost_clicks::EventOutcome::Counted;
use waypost_clicks::{ClicksError, RefusedEvent};

use super::{click, of_account, report};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    each_is_kept_once,
    pages_go_from_the_newest_on,
    the_oldest_go_first,
    a_month_is_enough,
}

fn refused(number: usize) -> RefusedEvent {
    let event = format!("{{\"event_id\":\"{number}\"}}");
    RefusedEvent { edge_id: "cf-VIE".to_owned(), reason: "link unknown here".to_owned(), event }
}

async fn each_is_kept_once(testbed: Testbed) {
    let store = &testbed.store;
    let delivery = [refused(1), refused(2), refused(1)];
    for _ in 0..3 {
        store.ingest_delivery(&[click(1, "link_1")], &delivery).await.unwrap();
    }
    let page = store.refused_events(None, 10).await.unwrap();
    assert_eq!((page.next, page.events.len()), (None, 2));
    assert_eq!([&page.events[0].refused, &page.events[1].refused], [&refused(2), &refused(1)]);
    assert_eq!(report(store, of_account(), None).await.clicks, 1);
    assert_eq!(store.ingest_delivery(&[], &[refused(3)]).await.unwrap(), []);
    assert_eq!(store.refused_events(None, 10).await.unwrap().events.len(), 3);
    assert_eq!(store.ingest_delivery(&[click(2, "link_1")], &[]).await.unwrap(), [Counted]);
}

async fn pages_go_from_the_newest_on(testbed: Testbed) {
    let store = &testbed.store;
    let all: Vec<_> = (0..25).map(refused).collect();
    store.ingest_delivery(&[], &all).await.unwrap();
    let mut cursor = None;
    let mut seen = Vec::new();
    for expected in [10, 10, 5] {
        let page = store.refused_events(cursor.as_deref(), 10).await.unwrap();
        assert_eq!(page.events.len(), expected);
        seen.extend(page.events.into_iter().map(|event| event.refused));
        cursor = page.next;
    }
    seen.reverse();
    assert_eq!((cursor, seen), (None, all));
    let wrong = store.refused_events(Some("r1.x"), 10).await;
    assert!(matches!(wrong, Err(ClicksError::CursorInvalid)), "{wrong:?}");
}

async fn the_oldest_go_first(testbed: Testbed) {
    let all: Vec<_> = (0..10_300).map(refused).collect();
    for delivery in all.chunks(1_000) {
        testbed.store.ingest_delivery(&[], delivery).await.unwrap();
    }
    let counted = "SELECT count(*) FROM click_refused";
    assert_eq!(testbed.db_execute(counted).await, "10000");
    let page = testbed.store.refused_events(None, 1).await.unwrap();
    assert_eq!(page.events[0].refused, refused(10_299));
    let page = testbed.store.refused_events(Some("r1.302"), 10).await.unwrap();
    assert_eq!((page.events.len(), page.events[0].refused.clone()), (1, refused(300)));
}

async fn a_month_is_enough(testbed: Testbed) {
    testbed.store.ingest_delivery(&[], &[refused(1)]).await.unwrap();
    testbed.advance_days(30);
    testbed.store.prune(1_000, testbed.now()).await.unwrap();
    assert_eq!(testbed.store.refused_events(None, 1).await.unwrap().events.len(), 1);
    testbed.advance_days(1);
    testbed.store.prune(1_000, testbed.now()).await.unwrap();
    assert_eq!(testbed.store.refused_events(None, 1).await.unwrap().events.len(), 0);
}
