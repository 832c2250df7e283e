//! Months: made where reports missed them, thrown away with every change of their days, and never needed.

use jiff::tz::TimeZone;
use waypost_clicks::{ClickStore, StoreOptions};
use waypost_core::Timestamp;
use waypost_rollup::{ClickFacts, Dimension, Interval, Report, ReportQuery};

use super::{DAY, DAY_US, account, at, batch, click, link, of_account, of_link, query};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    reports_say_the_same,
    a_late_click_is_in_the_next_report,
    what_is_erased_leaves_the_months,
    a_damaged_month_is_made_again,
    small_months_and_the_last_are_not_made,
    older_databases_have_no_months,
}

/// 1 January 2026, and the days that clicks are made for: two months, and a little of the third.
const FIRST_DAY: i64 = DAY - 14;
const DAYS: i64 = 66;
const OF_A_DAY: u64 = 150;
/// So many of the days are in the range of [`query`].
const ASKED: u64 = DAYS as u64 - 4;

/// Clicks of two links; so different that a month of them is worth making.
async fn fill(store: &ClickStore) {
    let hosts: Vec<String> = (0..97).map(|number| format!("a-host-with-a-long-name-{number}.example")).collect();
    let languages = ["", "de", "en", "fr", "it"];
    for day in 0..DAYS {
        let clicks = (0..OF_A_DAY).map(|number| {
            let sequence = day as u64 * OF_A_DAY + number + 1;
            let mixed = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let name = if number % 10 == 0 { "link_2" } else { "link_1" };
            let click = ClickFacts {
                referrer_host: &hosts[mixed as usize % 97],
                language: languages[(mixed >> 20) as usize % 5],
                country: [None, Some(*b"DE"), Some(*b"AT")][(mixed >> 30) as usize % 3],
                utm: [&hosts[(mixed >> 9) as usize % 50], "", &hosts[(mixed >> 11) as usize % 60], "", ""],
                visitor: Some(((mixed >> 17) % 100) << 50),
                ..click(sequence, name)
            };
            at(click, (FIRST_DAY + day) * DAY_US + (mixed % 24) as i64 * 3_600_000_000)
        });
        store.ingest(batch(clicks)).await.unwrap();
    }
}

/// Questions that use every part of a month, whole days and parts of days.
fn questions() -> Vec<ReportQuery> {
    let range =
        [(FIRST_DAY * DAY_US, (FIRST_DAY + DAYS) * DAY_US), ((FIRST_DAY + 9) * DAY_US + 1, (DAY + 25) * DAY_US)];
    let zones = ["UTC", "Europe/Berlin"].map(|zone| TimeZone::get(zone).unwrap());
    let groups = [None, Some(Dimension::Country), Some(Dimension::ReferrerHost), Some(Dimension::Class)];
    let mut questions = Vec::new();
    for (from, to) in range {
        for interval in [Interval::None, Interval::Day, Interval::Month] {
            for (zone, group_by) in zones.iter().flat_map(|zone| groups.map(|group| (zone, group))) {
                for scope in [of_account(), of_link("link_1")] {
                    let (from, to) = (Timestamp::from_micros(from), Timestamp::from_micros(to));
                    questions.push(ReportQuery {
                        from,
                        to,
                        interval,
                        time_zone: zone.clone(),
                        ..query(scope, group_by)
                    });
                }
            }
        }
    }
    questions
}

async fn answers(store: &ClickStore) -> Vec<Report> {
    let mut answers = Vec::new();
    for question in questions() {
        answers.push(store.report(&question).await.unwrap());
    }
    answers
}

async fn months_made(testbed: &Testbed) -> String {
    testbed.db_execute("SELECT count(*) FROM click_months").await
}

async fn reports_say_the_same(testbed: Testbed) {
    fill(&testbed.store).await;
    let by_days = answers(&testbed.store).await;
    // Of the account and of link_1; January and February, three parts each.
    assert_eq!(testbed.store.make_months().await.unwrap(), 4);
    assert_eq!(months_made(&testbed).await, "12");
    assert_eq!(answers(&testbed.store).await, by_days);
    assert_eq!(testbed.store.make_months().await.unwrap(), 0);
    // They are really read: without any day they say what they said (the question begins on the fifth).
    testbed.db_execute("DELETE FROM click_days").await;
    assert_eq!(testbed.store.report(&query(of_account(), None)).await.unwrap().clicks, (ASKED - 7) * OF_A_DAY);
}

async fn make(store: &ClickStore) {
    answers(store).await;
    store.make_months().await.unwrap();
}

async fn a_late_click_is_in_the_next_report(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    make(store).await;
    let sequence = DAYS as u64 * OF_A_DAY + 1;
    let late = ClickFacts { country: Some(*b"CH"), ..click(sequence, "link_1") };
    let count = async |country: &str| {
        let rows = store.report(&query(of_link("link_1"), Some(Dimension::Country))).await.unwrap().rows;
        rows.iter().find(|row| row.group.as_deref() == Some(country)).map_or(0, |row| row.clicks)
    };
    assert_eq!(count("CH").await, 0);
    store.ingest(batch([at(late, (FIRST_DAY + 40) * DAY_US)])).await.unwrap();
    assert_eq!(count("CH").await, 1);
    // Of January nothing has changed.
    assert_eq!(months_made(&testbed).await, "6");
    let by_days = answers(store).await;
    assert_eq!(store.make_months().await.unwrap(), 2);
    assert_eq!(answers(store).await, by_days);
    store.ingest_events(&[ClickFacts { edge_id: "b", ..late }]).await.unwrap();
    assert_eq!(count("CH").await, 2);
}

async fn what_is_erased_leaves_the_months(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    make(store).await;
    let everything = async || {
        let from = Timestamp::from_micros(FIRST_DAY * DAY_US);
        store.report(&ReportQuery { from, ..query(of_account(), None) }).await.unwrap().clicks
    };
    let all = DAYS as u64 * OF_A_DAY;
    assert_eq!(everything().await, all);
    store.erase_link(&account(), &link("link_2")).await.unwrap();
    assert_eq!(everything().await, all - all / 10);
    assert_eq!(months_made(&testbed).await, "6");
    let erased = store.erase_visitor(&account(), 7 << 50).await.unwrap();
    assert!(erased > 0);
    assert_eq!(everything().await, all - all / 10 - erased);
    assert_eq!(months_made(&testbed).await, "0");
    store.erase_link(&account(), &link("link_1")).await.unwrap();
    assert_eq!(everything().await, 0);
}

async fn a_damaged_month_is_made_again(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    make(store).await;
    let right = answers(store).await;
    testbed.db_execute("UPDATE click_months SET rollup = substr(rollup, 1, 70)").await;
    assert_eq!(answers(store).await, right);
    assert_eq!(store.make_months().await.unwrap(), 4);
    testbed.db_execute("DELETE FROM click_days WHERE cell < 20513 * 4294967296").await;
    assert_eq!(store.report(&query(of_account(), None)).await.unwrap().clicks, ASKED * OF_A_DAY);
}

async fn small_months_and_the_last_are_not_made(testbed: Testbed) {
    let store = &testbed.store;
    store.ingest(batch((1..=300).map(|sequence| click(sequence, "link_1")))).await.unwrap();
    make(store).await;
    assert_eq!(months_made(&testbed).await, "0");
}

/// The schema before knows no months, and this one makes them of what it finds.
async fn older_databases_have_no_months(testbed: Testbed) {
    fill(&testbed.store).await;
    let by_days = answers(&testbed.store).await;
    testbed.store.make_months().await.unwrap();
    testbed.store.close().await;
    ClickStore::revert_schema(&testbed.address, &StoreOptions::default(), 3).await.unwrap();
    let store = testbed.second_store().await.unwrap();
    assert_eq!(months_made(&testbed).await, "0");
    assert_eq!(answers(&store).await, by_days);
    assert_eq!(store.make_months().await.unwrap(), 4);
    assert_eq!(answers(&store).await, by_days);
}
