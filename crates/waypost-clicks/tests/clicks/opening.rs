//! Opening: beside the links or alone, newer and foreign databases, back and forth.

use waypost_clicks::{ClickStore, ClicksError, SqlError, StoreOptions};
use waypost_core::Hostname;
use waypost_store::{Store, StoreError};

use super::{batch, click, of_account, report};
use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    newer_schema_is_refused,
    back_and_forth,
    several_starters,
}

async fn newer_schema_is_refused(testbed: Testbed) {
    testbed.db_execute("INSERT INTO waypost_click_migrations (version, name) VALUES (1000, 'from the future')").await;
    let error = testbed.second_store().await.unwrap_err();
    assert!(matches!(error, ClicksError::Sql(SqlError::NewerSchema { found: 1000, .. })), "{error:?}");
}

async fn back_and_forth(testbed: Testbed) {
    testbed.store.ingest(batch([click(1, "link_1")])).await.unwrap();
    testbed.store.close().await;
    ClickStore::revert_schema(&testbed.address, &StoreOptions::default(), 0).await.unwrap();
    let store = testbed.second_store().await.unwrap();
    assert!(store.audit().await.unwrap().is_empty());
    store.ingest(batch([click(1, "link_1")])).await.unwrap();
    assert_eq!(report(&store, of_account(), None).await.clicks, 1);
}

async fn several_starters(testbed: Testbed) {
    ClickStore::revert_schema(&testbed.address, &StoreOptions::default(), 0).await.unwrap();
    let stores = futures_util::future::join_all((0..4).map(|_| testbed.second_store())).await;
    assert!(stores.iter().all(Result::is_ok), "{stores:?}");
    assert_eq!(testbed.db_execute("SELECT count(*) FROM waypost_click_migrations").await, "6");
}

/// One PostgreSQL database holds both, whichever comes first, and neither waits for the other's writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn side_by_side_on_postgres() {
    let Some(database) = waypost_testkit::postgres::test_database() else { return };
    let links = links_at(database.url()).await;
    let clicks = ClickStore::open(database.url(), StoreOptions::default()).await.unwrap();
    let held = links.begin("long").await.unwrap();
    clicks.ingest(batch([click(1, "link_1")])).await.unwrap();
    drop(held);
    assert_eq!(report(&clicks, of_account(), None).await.clicks, 1);
    Store::open(database.url(), StoreOptions::default()).await.unwrap();
    ClickStore::open(database.url(), StoreOptions::default()).await.unwrap();

    let Some(first) = Testbed::postgres().await else { return };
    links_at(&first.address).await;
}

/// The links' database with what every instance has.
async fn links_at(address: &str) -> Store {
    let links = Store::open(address, StoreOptions::default()).await.unwrap();
    let host = Hostname::parse("go.example").unwrap();
    links.write("init", async |tx| tx.init(&host).await).await.unwrap();
    links
}

/// On SQLite each has a file of its own, and neither takes the other's.
#[tokio::test]
async fn files_are_not_mixed_up() {
    let clicks = Testbed::sqlite().await;
    clicks.store.close().await;
    let error = Store::open(&clicks.address, StoreOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Sql(SqlError::Refused { .. })), "{error:?}");
    assert!(error.to_string().contains("a file each"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("waypost.db").display().to_string();
    links_at(&address).await.close().await;
    let error = ClickStore::open(&address, StoreOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("a file each"), "{error}");
}

#[tokio::test]
async fn foreign_postgres_database_is_refused() {
    let Some(database) = waypost_testkit::postgres::test_database() else { return };
    database.execute("CREATE TABLE somebody_elses (id BIGINT)").unwrap();
    let error = ClickStore::open(database.url(), StoreOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("somebody_elses"), "{error}");
}
