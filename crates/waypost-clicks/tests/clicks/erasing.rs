//! What is erased is gone everywhere; what is pruned is gone from the raw clicks only.

use std::time::Duration;

use waypost_clicks::{ClickStore, RetentionClock};
use waypost_core::Timestamp;
use waypost_rollup::{ClickFacts, Dimension, Report};

use super::{DAY, DAY_US, account, all_pages, at, batch, click, link, of_account, of_link, raw_query, report};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    a_link_is_erased,
    a_link_is_erased_when_its_raw_clicks_are_gone,
    a_visitor_is_erased,
    nothing_to_erase,
    counting_goes_on_after_erasure,
    pruning_keeps_totals,
    clicks_that_claim_the_future_are_pruned_too,
    a_clock_that_jumped_deletes_nothing, a_clock_that_was_too_early_holds_nothing_back,
}

const LINKS: [&str; 3] = ["link_1", "link_2", "link_3"];

/// Clicks of three links on two domains over three days; every fifth of the same visitor.
async fn fill(store: &ClickStore) {
    let clicks = (1..=300_u64).map(|sequence| {
        let name = LINKS[sequence as usize % 3];
        let domain = ["", "b.example"][sequence as usize % 2];
        let visitor = if sequence.is_multiple_of(5) { Some(u64::MAX) } else { Some(sequence << 40) };
        let click = ClickFacts { domain, visitor, ..click(sequence, name) };
        at(click, (DAY + sequence as i64 % 3) * DAY_US + sequence as i64)
    });
    let clicks: Vec<_> = clicks.collect();
    for clicks in clicks.chunks(90) {
        store.ingest(batch(clicks.iter().copied())).await.unwrap();
    }
}

/// The account is the sum of its links, in every way it can be asked.
async fn check_sums(store: &ClickStore, clicks: u64) {
    let mut sum = 0;
    for link in LINKS {
        sum += report(store, of_link(link), None).await.clicks;
    }
    let domains = ["", "b.example"].map(|host| waypost_rollup::Scope::Domain(account(), host.to_owned()));
    let mut of_domains = 0;
    let mut links_of_domains = 0;
    for domain in domains {
        of_domains += report(store, domain.clone(), None).await.clicks;
        links_of_domains += sum_of(&report(store, domain, Some(Dimension::Link)).await);
    }
    let by_link = sum_of(&report(store, of_account(), Some(Dimension::Link)).await);
    let by_country = sum_of(&report(store, of_account(), Some(Dimension::Country)).await);
    let total = report(store, of_account(), None).await.clicks;
    assert_eq!([total, sum, of_domains, links_of_domains, by_link, by_country], [clicks; 6]);
}

fn sum_of(report: &Report) -> u64 {
    report.rows.iter().map(|row| row.clicks).sum()
}

async fn a_link_is_erased(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    check_sums(store, 300).await;
    assert_eq!(store.erase_link(&account(), &link("link_1")).await.unwrap(), 100);
    check_sums(store, 200).await;
    assert_eq!(report(store, of_link("link_1"), None).await.clicks, 0);
    let left = all_pages(store, raw_query(13)).await;
    assert_eq!(left.events.len(), 200);
    assert!(left.events.iter().all(|event| event.link_id != "link_1"));
    assert_eq!(store.erase_link(&account(), &link("link_1")).await.unwrap(), 0);
    // What was received stays received: an erased click is not counted again.
    assert_eq!(store.positions("edge").await.unwrap()[0].next_sequence, 301);
}

async fn a_link_is_erased_when_its_raw_clicks_are_gone(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    testbed.advance_days(100);
    assert_eq!(store.prune(30, testbed.now()).await.unwrap(), 300);
    assert_eq!(store.erase_link(&account(), &link("link_2")).await.unwrap(), 0);
    check_sums(store, 200).await;
}

async fn a_visitor_is_erased(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    let before = report(store, of_account(), None).await;
    assert_eq!(store.erase_visitor(&account(), u64::MAX).await.unwrap(), 60);
    check_sums(store, 240).await;
    let after = report(store, of_account(), None).await;
    assert!(after.visitors < before.visitors, "{before:?} {after:?}");
    let left = all_pages(store, raw_query(50)).await;
    assert_eq!(left.events.len(), 240);
    assert!(left.events.iter().all(|event| event.visitor.as_deref() != Some("ffffffffffffffff")));
    assert_eq!(store.erase_visitor(&account(), u64::MAX).await.unwrap(), 0);
}

async fn nothing_to_erase(testbed: Testbed) {
    let store = &testbed.store;
    assert_eq!(store.erase_link(&account(), &link("link_1")).await.unwrap(), 0);
    fill(store).await;
    assert_eq!(store.erase_link(&account(), &link("link_9")).await.unwrap(), 0);
    assert_eq!(store.erase_link(&"acc_2".parse().unwrap(), &link("link_1")).await.unwrap(), 0, "not theirs");
    assert_eq!(store.erase_visitor(&account(), 12_345).await.unwrap(), 0);
    check_sums(store, 300).await;
}

/// A reader in the middle of an export neither loses nor doubles a click when others are erased and new ones come.
async fn counting_goes_on_after_erasure(testbed: Testbed) {
    let store = &testbed.store;
    let clicks = (1..=20).map(|sequence| click(sequence, LINKS[sequence as usize % 2]));
    store.ingest(batch(clicks)).await.unwrap();
    let mut query = raw_query(10);
    let page = store.raw_clicks(&query).await.unwrap();
    query.cursor = page.next;
    store.erase_link(&account(), &link("link_1")).await.unwrap();
    store.erase_link(&account(), &link("link_2")).await.unwrap();
    store.ingest(batch((21..=25).map(|sequence| click(sequence, "link_3")))).await.unwrap();
    let rest = all_pages(store, query).await;
    assert!(rest.events.iter().map(|event| event.sequence.unwrap()).eq(21..=25), "{rest:?}");
    check_sums(store, 5).await;
}

async fn pruning_keeps_totals(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    let other = ClickFacts { account_id: "acc_2", edge_id: "b", ..click(1, "link_1") };
    store.ingest(batch([other])).await.unwrap();
    assert_eq!(store.retention_days(&account()).await.unwrap(), None);
    store.set_retention_days(&account(), Some(10)).await.unwrap();
    assert_eq!(store.retention_days(&account()).await.unwrap(), Some(10));
    let ask = async || {
        let mut reports = vec![report(store, of_link("link_2"), None).await];
        for group_by in [None, Some(Dimension::Country), Some(Dimension::Link), Some(Dimension::Browser)] {
            reports.push(report(store, of_account(), group_by).await);
        }
        reports
    };
    let before = ask().await;
    assert_eq!(store.prune(365, testbed.now()).await.unwrap(), 0);
    testbed.advance_days(11);
    assert_eq!(store.prune(365, testbed.now()).await.unwrap(), 300, "stored eleven days ago, whatever day they are of");
    assert_eq!(all_pages(store, raw_query(100)).await.events.len(), 0);
    assert_eq!(ask().await, before);
    check_sums(store, 300).await;
    assert_eq!(testbed.db_execute("SELECT sum(clicks) FROM click_blocks").await, "1", "the other account's stays");
    store.set_retention_days(&account(), None).await.unwrap();
    assert_eq!(store.retention_days(&account()).await.unwrap(), None);
}

async fn clicks_that_claim_the_future_are_pruned_too(testbed: Testbed) {
    let store = &testbed.store;
    store.ingest(batch([at(click(1, "link_1"), (DAY + 3_000_000) * DAY_US), click(2, "link_1")])).await.unwrap();
    testbed.advance_days(30);
    assert_eq!(store.prune(30, testbed.now()).await.unwrap(), 0);
    testbed.advance_days(1);
    assert_eq!(store.prune(30, testbed.now()).await.unwrap(), 2);
}

/// A start with a clock that is half a year too early, as before the machine has set it.
async fn a_clock_that_was_too_early_holds_nothing_back(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    let look = async |ran: u64| store.retention_clock(Duration::from_secs(ran)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(look(3_600).await.held, None);
    }
    testbed.advance_days(-180);
    assert_eq!(look(0).await, RetentionClock { now: testbed.now(), held: None });
    testbed.advance_days(181);
    assert_eq!(look(0).await, RetentionClock { now: testbed.now(), held: None });
    // Which is no way to get far ahead.
    testbed.advance_days(-180);
    assert_eq!(look(0).await.held, None);
    testbed.advance_days(5_000);
    assert_eq!(look(0).await.held, Some(testbed.now()));
}

/// A start in 2039 with a click in it, retention, and back.
async fn a_clock_that_jumped_deletes_nothing(testbed: Testbed) {
    let store = &testbed.store;
    let prune = async |ran: Duration| {
        let clock = store.retention_clock(ran).await.unwrap();
        (store.prune(760, clock.now).await.unwrap(), clock)
    };
    fill(store).await;
    let event = ClickFacts { event_id: [7; 16], edge_id: "worker", epoch: 0, sequence: 0, ..click(1, "link_1") };
    store.ingest_events(&[event]).await.unwrap();
    let right = testbed.now();
    // The newest batch says what time it is where nobody has looked before.
    testbed.advance_days(5_000);
    let ahead = testbed.now();
    for ran in [0, 3_600, 3_600] {
        let (pruned, clock) = prune(Duration::from_secs(ran)).await;
        assert_eq!((pruned, clock.held), (0, Some(ahead)));
    }
    store.ingest(batch([at(click(301, "link_1"), (DAY + 5_000) * DAY_US)])).await.unwrap();
    let another = testbed.second_store().await.unwrap();
    let clock = another.retention_clock(Duration::ZERO).await.unwrap();
    assert_eq!((clock.now, clock.held), (Timestamp::from_micros(right.as_micros() + 2 * 3_600_000_000), Some(ahead)));
    assert_eq!(another.prune(760, clock.now).await.unwrap(), 0, "a restart changes nothing");
    assert_eq!(all_pages(store, raw_query(400)).await.events.len(), 302);
    assert_eq!(testbed.db_execute("SELECT count(*) FROM click_event_ids").await, "1");
    // The clock is set right, and days pass.
    testbed.advance_days(-5_000);
    assert_eq!(prune(Duration::ZERO).await, (0, RetentionClock { now: right, held: None }));
    for _ in 0..110 {
        testbed.advance_days(7);
        assert_eq!(prune(Duration::ZERO).await.1.held, None);
    }
    // What was stored while the clock was ahead stays until that day comes: rather too long than too short.
    assert_eq!(all_pages(store, raw_query(400)).await.events.len(), 1);
}
