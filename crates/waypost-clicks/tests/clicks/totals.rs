//! Totals: made where reports missed them, thrown away with every change of their days, and never needed.

use waypost_clicks::{ClickStore, StoreOptions};
use waypost_core::Timestamp;
use waypost_core::class::Class;
use waypost_rollup::{ClickFacts, Dimension, Interval, Report, ReportQuery, Scope};

use super::{DAY, DAY_US, account, at, batch, click, link, of_account, of_link, query};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    a_total_says_what_the_days_say,
    a_late_click_is_in_the_next_total,
    what_is_erased_leaves_the_totals,
    a_damaged_total_is_passed_over,
    ranges_within_are_read_by_days,
    older_databases_get_totals_of_what_they_have,
}

/// So that all of them are over.
const FIRST_DAY: i64 = DAY - 40;
const DAYS: i64 = 20;
const OF_A_DAY: u64 = 60;
const ALL: u64 = DAYS as u64 * OF_A_DAY;

/// Clicks of two links, a third of them by bots; a visitor comes on every day.
async fn fill(store: &ClickStore) {
    for day in 0..DAYS {
        let clicks = (0..OF_A_DAY).map(|number| {
            let name = if number % 10 == 0 { "link_2" } else { "link_1" };
            let click = ClickFacts {
                class: if number % 3 == 0 { Class::Bot } else { Class::Human },
                visitor: Some((number % 25) << 50),
                ..click(day as u64 * OF_A_DAY + number + 1, name)
            };
            at(click, (FIRST_DAY + day) * DAY_US + (number % 24) as i64 * 3_600_000_000)
        });
        store.ingest(batch(clicks)).await.unwrap();
    }
}

/// How often at all.
fn ever(scope: Scope, classes: &[Class]) -> ReportQuery {
    let from = Timestamp::from_micros((FIRST_DAY - 400) * DAY_US);
    ReportQuery { from, classes: classes.to_vec(), ..query(scope, None) }
}

fn questions() -> Vec<ReportQuery> {
    let class_sets: [&[Class]; 3] = [&[], &[Class::Human], &[Class::Human, Class::Bot]];
    let scopes = || [of_account(), of_link("link_1"), of_link("link_2")];
    scopes().into_iter().flat_map(|scope| class_sets.map(|classes| ever(scope.clone(), classes))).collect()
}

async fn answers(store: &ClickStore) -> Vec<Report> {
    let mut answers = Vec::new();
    for question in questions() {
        answers.push(store.report(&question).await.unwrap());
    }
    answers
}

/// Rows that are totals.
async fn totals(testbed: &Testbed) -> String {
    testbed.db_execute("SELECT count(*) FROM click_totals WHERE length(total) > 30").await
}

async fn clicks(store: &ClickStore, scope: Scope) -> u64 {
    store.report(&ever(scope, &[])).await.unwrap().clicks
}

async fn a_total_says_what_the_days_say(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    let by_days = answers(store).await;
    assert_eq!((by_days[0].clicks, by_days[1].clicks), (ALL, ALL / 3 * 2));
    assert_eq!(store.make_totals().await.unwrap(), 9);
    assert_eq!(totals(&testbed).await, "9");
    assert_eq!(answers(store).await, by_days);
    assert_eq!(store.make_totals().await.unwrap(), 0);
    // They are really read: without any day they say what they said. What asks for more than a number finds nothing.
    testbed.db_execute("DELETE FROM click_days").await;
    assert_eq!(answers(store).await, by_days);
    let by_day = ReportQuery { interval: Interval::Day, ..ever(of_account(), &[]) };
    assert_eq!(store.report(&by_day).await.unwrap().clicks, 0);
    let by_country = ReportQuery { group_by: Some(Dimension::Country), ..ever(of_account(), &[]) };
    assert_eq!(store.report(&by_country).await.unwrap().clicks, 0);
}

async fn a_late_click_is_in_the_next_total(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    answers(store).await;
    store.make_totals().await.unwrap();
    store.ingest(batch([at(click(ALL + 1, "link_1"), (FIRST_DAY + 3) * DAY_US)])).await.unwrap();
    // Those of link_2 stay.
    assert_eq!(totals(&testbed).await, "3");
    assert_eq!(clicks(store, of_account()).await, ALL + 1);
    assert_eq!(clicks(store, of_link("link_1")).await, ALL / 10 * 9 + 1);
    let by_days = answers(store).await;
    assert_eq!(store.make_totals().await.unwrap(), 6);
    assert_eq!(answers(store).await, by_days);
}

async fn what_is_erased_leaves_the_totals(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    answers(store).await;
    store.make_totals().await.unwrap();
    store.erase_link(&account(), &link("link_2")).await.unwrap();
    assert_eq!(clicks(store, of_account()).await, ALL / 10 * 9);
    assert_eq!(clicks(store, of_link("link_2")).await, 0);
    answers(store).await;
    store.make_totals().await.unwrap();
    let erased = store.erase_visitor(&account(), 7 << 50).await.unwrap();
    assert!(erased > 0);
    assert_eq!(clicks(store, of_account()).await, ALL / 10 * 9 - erased);
    store.erase_link(&account(), &link("link_1")).await.unwrap();
    assert_eq!((clicks(store, of_account()).await, totals(&testbed).await.as_str()), (0, "0"));
}

async fn a_damaged_total_is_passed_over(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    let right = answers(store).await;
    store.make_totals().await.unwrap();
    testbed.db_execute("UPDATE click_totals SET total = substr(total, 1, 35)").await;
    assert_eq!(answers(store).await, right);
    assert_eq!(store.make_totals().await.unwrap(), 9);
    testbed.db_execute("DELETE FROM click_days").await;
    assert_eq!(answers(store).await, right);
}

async fn ranges_within_are_read_by_days(testbed: Testbed) {
    let store = &testbed.store;
    fill(store).await;
    answers(store).await;
    store.make_totals().await.unwrap();
    let instant = |day: i64, micros: i64| Timestamp::from_micros((FIRST_DAY + day) * DAY_US + micros);
    for (from, to, expect) in [
        (instant(0, 0), instant(DAYS, 0), ALL),
        (instant(1, 0), instant(DAYS, 0), ALL - OF_A_DAY),
        (instant(0, 1), instant(DAYS, 0), ALL - 3),
        (instant(-90, 0), instant(DAYS - 1, 0), ALL - OF_A_DAY),
        (instant(-90, 0), instant(DAYS, -3_600_000_000), ALL - 2),
        (instant(-90, 0), instant(-50, 0), 0),
    ] {
        let report = store.report(&ReportQuery { from, to, ..ever(of_account(), &[]) }).await.unwrap();
        assert_eq!(report.clicks, expect, "{from} {to}");
    }
}

/// The schema before knows no totals, and this one makes them of what it finds.
async fn older_databases_get_totals_of_what_they_have(testbed: Testbed) {
    fill(&testbed.store).await;
    let by_days = answers(&testbed.store).await;
    testbed.store.make_totals().await.unwrap();
    testbed.store.close().await;
    ClickStore::revert_schema(&testbed.address, &StoreOptions::default(), 5).await.unwrap();
    let store = testbed.second_store().await.unwrap();
    assert_eq!(totals(&testbed).await, "0");
    assert_eq!(answers(&store).await, by_days);
    assert_eq!(store.make_totals().await.unwrap(), 9);
    assert_eq!(answers(&store).await, by_days);
}
