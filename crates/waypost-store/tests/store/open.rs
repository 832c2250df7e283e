//! Opening: several starters, newer and foreign databases, schemas forward and back, a database that is busy or gone.

use futures_util::future::join_all;
use waypost_core::Hostname;
use waypost_store::{Engine, SqlError, Store, StoreError, StoreOptions};

use crate::testbed::{Testbed, on_both_engines};

on_both_engines! {
    several_starters,
    newer_schema_is_refused,
    back_and_forth,
    busy_is_unavailable,
    read_transactions_do_not_write,
    undone_unless_committed,
}

async fn several_starters(testbed: Testbed) {
    Store::revert_schema(&testbed.address, &StoreOptions::default(), 0).await.unwrap();
    let start = async || {
        let store = testbed.second_store().await?;
        let host = Hostname::parse("go.example").unwrap();
        store.write("init", async |tx| tx.init(&host).await).await
    };
    let setups = join_all((0..4).map(|_| start())).await;
    for setup in &setups {
        assert_eq!(setup.as_ref().unwrap(), setups[0].as_ref().unwrap());
    }
    assert_eq!(testbed.db_execute("SELECT count(*) FROM waypost_migrations").await.trim(), "9");
}

async fn newer_schema_is_refused(testbed: Testbed) {
    testbed.db_execute("INSERT INTO waypost_migrations (version, name) VALUES (1000, 'from the future')").await;
    let error = testbed.second_store().await.unwrap_err();
    assert!(matches!(error, StoreError::Sql(SqlError::NewerSchema { found: 1000, .. })), "{error:?}");
}

/// The schema as the database describes it.
async fn schema(testbed: &Testbed) -> String {
    testbed
        .db_execute(match testbed.store.engine() {
            Engine::Sqlite => "SELECT type, name, sql FROM sqlite_master ORDER BY name",
            Engine::Postgres => {
                "SELECT table_name, column_name, data_type, collation_name, is_nullable FROM information_schema.columns
               WHERE table_schema = 'public' ORDER BY 1, 2;
             SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1;
             SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
               ORDER BY 1"
            }
        })
        .await
}

async fn back_and_forth(testbed: Testbed) {
    let full = schema(&testbed).await;
    testbed.store.close().await;
    for version in (0..=9).rev() {
        Store::revert_schema(&testbed.address, &StoreOptions::default(), version).await.unwrap();
        let tables = schema(&testbed).await;
        assert_eq!(tables.contains("qr_logos"), version >= 9);
        assert_eq!(tables.contains("sync_states"), version >= 5);
        assert_eq!(tables.contains("settings"), version >= 4);
        assert_eq!(tables.contains("outbox"), version >= 3);
        assert_eq!(tables.contains("links"), version >= 2);
        assert_eq!(tables.contains("accounts"), version >= 1);
    }
    let store = testbed.second_store().await.unwrap();
    assert_eq!(schema(&testbed).await, full);
    store.close().await;
}

async fn busy_is_unavailable(testbed: Testbed) {
    let options = StoreOptions { wait_ms: 1_500, ..StoreOptions::default() };
    let other = Store::open(&testbed.address, options).await.unwrap();
    let held = testbed.store.begin("long").await.unwrap();
    let error = other.begin("create_link").await.unwrap_err();
    assert!(matches!(error, StoreError::Sql(SqlError::Unavailable { operation: "create_link", .. })), "{error:?}");
    assert!(error.is_unavailable());
    // The same within one store, where the turn is waited for in another place.
    let held_here = async {
        drop(held);
        let _held = other.begin("long").await.unwrap();
        other.begin("create_link").await.unwrap_err()
    };
    assert!(held_here.await.is_unavailable());
    // Readers never wait for the writer.
    let _held = testbed.store.begin("long").await.unwrap();
    other.ping().await.unwrap();
    other.close().await;
    assert!(other.ping().await.unwrap_err().is_unavailable());
}

/// Reading transactions cannot write: that is in the types. This is the belt: the database would refuse.
async fn read_transactions_do_not_write(testbed: Testbed) {
    let mut tx = testbed.store.read("t").await.unwrap();
    let before = tx.outbox_last().await.unwrap();
    testbed.create("abc", "https://example.com/").await.unwrap();
    assert_eq!(tx.outbox_last().await.unwrap(), before, "one view for the whole transaction");
    drop(tx);
    assert_eq!(testbed.store.read("t").await.unwrap().outbox_last().await.unwrap(), before + 1);
}

async fn undone_unless_committed(testbed: Testbed) {
    let new = testbed.new_link("abc", "https://example.com/");
    let mut tx = testbed.store.begin("t").await.unwrap();
    tx.create_link(&new, None).await.unwrap();
    drop(tx);
    assert!(testbed.outbox().await.is_empty());
    let outcome = testbed.store.write("t", async |tx| {
        tx.create_link(&new, None).await?;
        Err::<(), _>(StoreError::KeyIdTaken)
    });
    assert!(matches!(outcome.await, Err(StoreError::KeyIdTaken)));
    assert!(testbed.outbox().await.is_empty());
    testbed.create("abc", "https://example.com/").await.unwrap();
}

#[tokio::test]
async fn foreign_postgres_database_is_refused() {
    let Some(database) = waypost_testkit::postgres::test_database() else { return };
    database.execute("CREATE TABLE somebody_elses (id BIGINT)").unwrap();
    let error = Store::open(database.url(), StoreOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Sql(SqlError::Refused { .. })), "{error:?}");
    assert!(error.to_string().contains("somebody_elses"), "{error}");
    assert_eq!(database.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").unwrap().trim(), "1");
}

#[tokio::test]
async fn unreachable_server_is_unavailable() {
    let port = waypost_testkit::port::ReservedPort::new().unwrap();
    let address = format!("postgres://nobody@{}/none", port.address());
    let error = Store::open(&address, StoreOptions::default()).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

/// It says so each time until a person changes something, so it is not waited for.
#[tokio::test]
async fn a_server_that_does_not_let_us_in_is_a_refusal() {
    let Some(database) = waypost_testkit::postgres::test_database() else { return };
    let (before, name) = database.url().rsplit_once('/').unwrap();
    let (scheme, place) = before.split_once("://").unwrap();
    let server = place.rsplit_once('@').unwrap().1;
    for (url, said) in [
        (format!("{before}/nothing_here"), "nothing_here"),
        (format!("{scheme}://nobody_here:secret@{server}/{name}"), "nobody_here"),
    ] {
        let error = Store::open(&url, StoreOptions::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Sql(SqlError::Refused { .. })), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(said) && !text.contains("secret"), "{text}");
    }
}
