//! Batches: counted once whatever is repeated, whoever races and whoever dies.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use waypost_clicks::{ClickBatch, ClickPosition, ClickStore, ClicksError, LossCause, StoreOptions};
use waypost_rollup::{ClickFacts, Dimension};

use super::{DAY, DAY_US, all_pages, at, batch, click, of_account, of_link, raw_query, report};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    counted_once,
    all_or_nothing,
    losses_are_part_of_the_count,
    two_writers_race,
    any_order_gives_the_same,
    many_links_and_accounts,
    absurd_times,
    what_says_nothing_is_lost,
    killed_writers_leave_totals_and_positions,
}

async fn counted_once(testbed: Testbed) {
    let store = &testbed.store;
    assert!(store.positions("edge").await.unwrap().is_empty());
    store.ingest(batch((1..=10).map(|sequence| click(sequence, "link_1")))).await.unwrap();
    assert_eq!(store.positions("edge").await.unwrap(), [ClickPosition { epoch: 1, next_sequence: 11 }]);
    for first in [1, 5, 10, 12] {
        let again = store.ingest(batch((first..=20).map(|sequence| click(sequence, "link_1")))).await.unwrap_err();
        assert!(matches!(again, ClicksError::ClicksMoved { counted: 10, begins, .. } if begins == first), "{again:?}");
    }
    store.ingest(batch((11..=20).map(|sequence| click(sequence, "link_2")))).await.unwrap();
    // Another epoch and another edge stand by themselves.
    store
        .ingest(batch((1..=3).map(|sequence| ClickFacts { epoch: u64::MAX, ..click(sequence, "link_1") })))
        .await
        .unwrap();
    store
        .ingest(batch((1..=4).map(|sequence| ClickFacts { edge_id: "b", ..click(sequence, "link_1") })))
        .await
        .unwrap();
    assert_eq!(report(store, of_account(), None).await.clicks, 27);
    assert_eq!(report(store, of_link("link_2"), None).await.clicks, 10);
    let by_link = report(store, of_account(), Some(Dimension::Link)).await;
    let rows: Vec<_> = by_link.rows.iter().map(|row| (row.group.as_deref().unwrap(), row.clicks)).collect();
    assert_eq!(rows, [("link_1", 17), ("link_2", 10)]);
    let audit = store.audit().await.unwrap();
    let summary: Vec<_> =
        audit.iter().map(|row| (row.edge_id.as_str(), row.epoch, row.received.clone(), row.stored)).collect();
    assert_eq!(
        summary,
        [("b", 1, vec![(1, 4)], 4), ("edge", u64::MAX, vec![(1, 3)], 3), ("edge", 1, vec![(1, 20)], 20)]
    );
}

/// A part that does not fit keeps the whole batch out, also the parts that fit.
async fn all_or_nothing(testbed: Testbed) {
    let store = &testbed.store;
    store.ingest(batch([click(1, "link_1")])).await.unwrap();
    let other_edge = ClickFacts { edge_id: "b", ..click(1, "link_2") };
    let error = store.ingest(batch([other_edge, click(1, "link_1")])).await.unwrap_err();
    assert!(matches!(error, ClicksError::ClicksMoved { .. }), "{error:?}");
    assert!(store.positions("b").await.unwrap().is_empty());
    assert_eq!(report(store, of_account(), None).await.clicks, 1);
    assert_eq!(all_pages(store, raw_query(100)).await.events.len(), 1);
    store.ingest(batch([other_edge, click(2, "link_1")])).await.unwrap();
    assert_eq!(report(store, of_account(), None).await.clicks, 3);
}

async fn losses_are_part_of_the_count(testbed: Testbed) {
    let mut batch = batch([click(1, "link_1")]);
    batch.push_lost("edge", 1, 2, 10, LossCause::Full);
    batch.push(&click(12, "link_1"));
    batch.push(&click(12, "link_1"));
    batch.push_lost("edge", 1, 13, 5, LossCause::Damaged);
    batch.push_lost("edge", 1, 13, 5, LossCause::Damaged);
    batch.push(&click(20, "link_1"));
    assert_eq!(batch.clicks(), 3);
    testbed.store.ingest(batch).await.unwrap();
    let audit = testbed.store.audit().await.unwrap().remove(0);
    assert_eq!((audit.stored, audit.lost_full, audit.lost_damaged, audit.missing), (3, 10, 5, 2));
    assert_eq!(audit.received, [(1, 17), (20, 20)]);
    let mut only_lost = ClickBatch::new();
    only_lost.push_lost("edge", 1, 21, 1, LossCause::Full);
    assert!(!only_lost.is_empty());
    testbed.store.ingest(only_lost).await.unwrap();
    assert_eq!(testbed.store.positions("edge").await.unwrap()[0].next_sequence, 22);
}

/// Two processes count the same clicks: whoever comes second is told so and goes on from there.
async fn two_writers_race(testbed: Testbed) {
    let other = testbed.second_store().await.unwrap();
    let writer = async |store: &ClickStore, size: u64| {
        loop {
            let next = store.positions("edge").await.unwrap().first().map_or(1, |position| position.next_sequence);
            if next > 200 {
                return;
            }
            let clicks = (next..(next + size).min(201)).map(|sequence| click(sequence, "link_1"));
            match store.ingest(batch(clicks)).await {
                Ok(()) | Err(ClicksError::ClicksMoved { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    tokio::join!(writer(&testbed.store, 7), writer(&other, 11));
    assert_eq!(report(&testbed.store, of_account(), None).await.clicks, 200);
    assert_eq!(testbed.store.audit().await.unwrap()[0].received, [(1, 200)]);
    let sequences: Vec<_> = all_pages(&other, raw_query(50)).await.events.iter().map(|event| event.sequence).collect();
    assert!(sequences.into_iter().eq((1..=200).map(Some)));
}

/// Epochs in any order and batches of any size give the same reports.
async fn any_order_gives_the_same(testbed: Testbed) {
    let epochs: Vec<Vec<ClickFacts<'_>>> = (1..=6)
        .map(|epoch| {
            (1..=40)
                .map(|sequence| {
                    let name = ["link_1", "link_2", "link_3"][(sequence * epoch % 3) as usize];
                    let click =
                        ClickFacts { epoch, domain: ["", "b.example"][sequence as usize % 2], ..click(sequence, name) };
                    at(click, (DAY + epoch as i64 % 2) * DAY_US + 3_600_000_000 * sequence as i64 % DAY_US)
                })
                .collect()
        })
        .collect();
    for epoch in &epochs {
        testbed.store.ingest(batch(epoch.iter().copied())).await.unwrap();
    }
    let second = testbed.another().await;
    for epoch in epochs.iter().rev() {
        for clicks in epoch.chunks(7) {
            second.store.ingest(batch(clicks.iter().copied())).await.unwrap();
        }
    }
    for scope in [of_account(), of_link("link_1"), of_link("link_3")] {
        for group_by in [None, Some(Dimension::Country), Some(Dimension::Language)] {
            let first = report(&testbed.store, scope.clone(), group_by).await;
            assert!(first.clicks > 0);
            assert_eq!(first, report(&second.store, scope.clone(), group_by).await);
        }
    }
    let by_link = report(&testbed.store, of_account(), Some(Dimension::Link)).await;
    assert_eq!(by_link, report(&second.store, of_account(), Some(Dimension::Link)).await);
    assert_eq!(by_link.rows.len(), 3, "a link on two domains is one: {by_link:?}");
}

async fn many_links_and_accounts(testbed: Testbed) {
    let links: Vec<String> = (0..1_500).map(|number| format!("link_{number}")).collect();
    let accounts: Vec<String> = (1..=30).map(|number| format!("acc_{number}")).collect();
    for round in 0..2 {
        let clicks = links.iter().enumerate().map(|(number, link)| {
            let sequence = (round * links.len() + number) as u64 + 1;
            ClickFacts { account_id: &accounts[number % 30], ..click(sequence, link) }
        });
        // Another process does the second round: nothing of the first is remembered there.
        let other = testbed.second_store().await.unwrap();
        other.ingest(batch(clicks)).await.unwrap();
    }
    assert_eq!(report(&testbed.store, of_account(), None).await.clicks, 100);
    assert_eq!(report(&testbed.store, of_link("link_30"), None).await.clicks, 2);
    assert_eq!(report(&testbed.store, of_link("link_31"), None).await.clicks, 0, "of another account");
    let by_link = report(&testbed.store, of_account(), Some(Dimension::Link)).await;
    assert_eq!(by_link.rows.len(), 50);
    assert!(by_link.rows.iter().all(|row| row.clicks == 2 && row.group.as_ref().unwrap().starts_with("link_")));
}

async fn absurd_times(testbed: Testbed) {
    let times = [i64::MIN, -62_135_596_800_000_000, -1, 0, DAY * DAY_US, 253_402_300_799_999_999, i64::MAX];
    let clicks = times.iter().zip(1..).map(|(&micros, sequence)| at(click(sequence, "link_1"), micros));
    testbed.store.ingest(batch(clicks)).await.unwrap();
    let page = all_pages(&testbed.store, raw_query(2)).await;
    let found: Vec<i64> = page.events.iter().map(|event| event.clicked_at.unwrap().as_micros()).collect();
    assert_eq!(found, times);
    assert_eq!(report(&testbed.store, of_account(), None).await.clicks, 1, "the one in the range");
}

async fn what_says_nothing_is_lost(testbed: Testbed) {
    let clicks = [
        ClickFacts { link_id: "", ..click(1, "link_1") },
        ClickFacts { account_id: "nobody", ..click(2, "link_1") },
        click(3, "link_1"),
    ];
    testbed.store.ingest(batch(clicks)).await.unwrap();
    let audit = testbed.store.audit().await.unwrap().remove(0);
    assert_eq!((audit.stored, audit.lost_unreadable, audit.received), (1, 2, vec![(1, 3)]));
}

/// Makes this test binary a writer on the database at this address.
const WRITER_VARIABLE: &str = "WAYPOST_TEST_CLICK_WRITER";
const ROUNDS: u64 = 6;

async fn killed_writers_leave_totals_and_positions(testbed: Testbed) {
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        acknowledged = acknowledged.max(kill_a_writer(&testbed.address, acknowledged + 20 + round * 37));
        let store = &testbed.second_store().await.unwrap();
        let next = store.positions("edge").await.unwrap()[0].next_sequence;
        assert!(next > acknowledged, "{acknowledged} were acknowledged and {next} is next");
        assert_eq!(report(store, of_account(), None).await.clicks, next - 1);
        let links = ["link_0", "link_1", "link_2"];
        let mut sum = 0;
        for link in links {
            sum += report(store, of_link(link), None).await.clicks;
        }
        assert_eq!(sum, next - 1);
        let raw = all_pages(store, raw_query(1_000)).await;
        assert!(raw.events.iter().map(|event| event.sequence.unwrap()).eq(1..next));
        assert_eq!(store.audit().await.unwrap()[0].stored, next - 1);
        store.close().await;
    }
}

/// Runs a writer until it has acknowledged sequences up to this one, kills it, and gives the last that it acknowledged.
fn kill_a_writer(address: &str, sequence: u64) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "counting::writer", "--nocapture"])
        .env(WRITER_VARIABLE, address)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    for line in lines {
        let Some(last) = line.unwrap().strip_prefix("counted ").map(|last| last.parse().unwrap()) else { continue };
        acknowledged = last;
        if acknowledged >= sequence {
            writer.kill().unwrap();
        }
    }
    writer.wait().unwrap();
    acknowledged
}

/// Not a test of its own: the process that [`kill_a_writer`] starts.
#[test]
fn writer() {
    let Ok(address) = std::env::var(WRITER_VARIABLE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(count_for_ever(&address));
}

#[allow(clippy::print_stdout)] // How it acknowledges.
async fn count_for_ever(address: &str) {
    let store = ClickStore::open(address, StoreOptions::default()).await.unwrap();
    let mut next = store.positions("edge").await.unwrap().first().map_or(1, |position| position.next_sequence);
    loop {
        let last = next + next % 13;
        let links = ["link_0", "link_1", "link_2"];
        let clicks = (next..=last).map(|sequence| {
            let micros = DAY * DAY_US + sequence as i64;
            at(click(sequence, links[sequence as usize % 3]), micros)
        });
        store.ingest(batch(clicks)).await.unwrap();
        println!("counted {last}");
        next = last + 1;
    }
}
