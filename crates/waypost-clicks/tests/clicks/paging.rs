//! Raw clicks come back whole, in pages, also while others come in.

use waypost_clicks::{ClicksError, RawQuery};
use waypost_core::channel::Channel;
use waypost_core::class::Class;
use waypost_core::device::{Device, Os};
use waypost_core::{Source, Timestamp};
use waypost_rollup::ClickFacts;

use super::{DAY, DAY_US, all_pages, at, batch, click, link, raw_query};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    everything_comes_back,
    pages_by_link_and_time,
    pages_go_on_while_clicks_come_in,
    many_small_batches_leave_few_rows,
    cursors_are_checked,
}

async fn everything_comes_back(testbed: Testbed) {
    let full = ClickFacts {
        event_id: *b"0123456789abcdef",
        domain: "go.example",
        slug: "größe",
        status: 308,
        class: Class::Bot,
        class_reason: "curl/",
        classifier: 3,
        country: None,
        device: Device::Tablet,
        os: Os::Other,
        browser: "Ünknown",
        channel: Channel::Paid,
        referrer_host: "t.co",
        referrer: "https://t.co/x",
        user_agent: "curl/8",
        language: "",
        source: Source::AbTest,
        rule_id: "r",
        ab_test_id: "42",
        variant_id: "v",
        utm: ["a", "b", "c", "d", "e"],
        visitor: Some(u64::MAX),
        address: Some("2001:db8:1::".parse().unwrap()),
        ..click(1, "link_1")
    };
    let plain = ClickFacts { address: Some("192.0.2.0".parse().unwrap()), visitor: None, ..click(2, "link_2") };
    testbed.store.ingest(batch([full, plain])).await.unwrap();
    let events = all_pages(&testbed.store, raw_query(100)).await.events;
    insta::assert_json_snapshot!("raw_clicks_as_events", events);
}

async fn pages_by_link_and_time(testbed: Testbed) {
    let store = &testbed.store;
    let clicks = (1..=3_000).map(|sequence| {
        let name = if sequence % 10 == 0 { "link_10" } else { "link_1" };
        at(click(sequence, name), (DAY + sequence as i64 / 1_000) * DAY_US + sequence as i64)
    });
    store.ingest(batch(clicks)).await.unwrap();
    let of_link = RawQuery { link_id: Some(link("link_10")), ..raw_query(70) };
    let sequences = |page: waypost_clicks::ClickPage| page.events.into_iter().map(|event| event.sequence.unwrap());
    assert!(sequences(all_pages(store, of_link.clone()).await).eq((1..=300).map(|number| number * 10)));
    assert!(all_pages(store, RawQuery { link_id: Some(link("link_2")), ..of_link }).await.events.is_empty());
    let time = |micros| Some(Timestamp::from_micros(micros));
    let (from, to) = (time((DAY + 1) * DAY_US + 1_500), time((DAY + 2) * DAY_US + 2_500));
    let in_range = RawQuery { from, to, ..raw_query(333) };
    assert!(sequences(all_pages(store, in_range.clone()).await).eq(1_500..2_500));
    assert!(all_pages(store, RawQuery { from: to, to: from, ..in_range }).await.events.is_empty());
}

async fn pages_go_on_while_clicks_come_in(testbed: Testbed) {
    let store = &testbed.store;
    let mut next = 1;
    let mut grow = async |clicks: u64| {
        let clicks: Vec<_> = (next..next + clicks)
            .map(|sequence| at(click(sequence, "link_1"), (DAY + sequence as i64 % 2) * DAY_US))
            .collect();
        next += clicks.len() as u64;
        store.ingest(batch(clicks)).await.unwrap();
    };
    grow(200).await;
    let mut query = raw_query(17);
    let mut seen = Vec::new();
    for round in 0.. {
        if round < 30 {
            grow(round % 9 + 1).await;
        }
        let page = store.raw_clicks(&query).await.unwrap();
        seen.extend(page.events.iter().map(|event| event.sequence.unwrap()));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), seen.len(), "a click came twice");
    assert!((1..=200).all(|sequence| sorted.binary_search(&sequence).is_ok()), "a click is missing");
}

async fn many_small_batches_leave_few_rows(testbed: Testbed) {
    for sequence in 1..=300 {
        testbed.store.ingest(batch([click(sequence, "link_1")])).await.unwrap();
    }
    let rows: usize = testbed.db_execute("SELECT count(*) FROM click_blocks").await.parse().unwrap();
    assert!(rows <= 9, "{rows} rows");
    let sequences = all_pages(&testbed.store, raw_query(7)).await.events.into_iter().map(|event| event.sequence);
    assert!(sequences.eq((1..=300).map(Some)));
}

async fn cursors_are_checked(testbed: Testbed) {
    testbed.store.ingest(batch([click(1, "link_1")])).await.unwrap();
    for cursor in ["", "x", "c1.1", "c1.1.x", "c1.1.-1", "c1.+1.1", "c1.01.1", "c1.1.99999999999999999999"] {
        let query = RawQuery { cursor: Some(cursor.to_owned()), ..raw_query(1) };
        let error = testbed.store.raw_clicks(&query).await.unwrap_err();
        assert!(matches!(error, ClicksError::CursorInvalid), "{cursor:?}: {error:?}");
    }
    for cursor in [format!("c1.{}.0", i64::MIN), format!("c1.{}.{}", i64::MAX, i64::MAX)] {
        let query = RawQuery { cursor: Some(cursor), ..raw_query(1) };
        testbed.store.raw_clicks(&query).await.unwrap();
    }
}
