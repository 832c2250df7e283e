//! The text and plan of every statement, as a snapshot: a query that begins to walk through a whole table is seen in
//! review.
//!
//! A run through all operations records what was executed; SQLite then says how it goes about each.

mod every_operation;

use std::cell::RefCell;
use std::collections::BTreeSet;

use sqlx::{Connection, Row, SqliteConnection};

use crate::{ClickStore, StoreOptions};

thread_local! {
    /// What this thread executed so far; other tests of this binary have threads of their own.
    static RECORDED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Tables with as many rows as there are links or clicks, by the names they have in statements.
const LARGE_TABLES: &[&str] = &[
    "click_scopes",
    "s",
    "d",
    "click_days",
    "click_link_days",
    "click_months",
    "c",
    "click_blocks",
    "click_event_ids",
    "click_policies",
    "p",
];

fn record(text: &str) {
    for statement in text.split(';') {
        let one_line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        RECORDED.with_borrow_mut(|recorded| recorded.insert(one_line));
    }
}

#[tokio::test]
async fn every_statement_has_its_plan() {
    waypost_sql::watch_statements(record);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = folder.path().join("clicks.db").display().to_string();
    let store = ClickStore::open(&address, StoreOptions::default()).await.expect("a new database");
    RECORDED.take();
    every_operation::run(&store).await.expect("every operation succeeds");
    store.close().await;
    insta::assert_snapshot!(plans(&address).await);
}

/// What was executed, and how SQLite goes about it.
async fn plans(address: &str) -> String {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{address}")).await.expect("the same database");
    let mut report = String::new();
    let statements = RECORDED.take();
    for text in statements {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let plan = sqlx::query(explain).fetch_all(&mut connection).await.expect("a plan");
        report.push_str(&format!("{text}\n"));
        for step in plan.iter().map(|row| row.get::<String, _>("detail")) {
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            let is_large = scanned.is_some_and(|table| LARGE_TABLES.contains(&table));
            assert!(!is_large, "{text}\n{step}");
            report.push_str(&format!("    {step}\n"));
        }
    }
    report
}
