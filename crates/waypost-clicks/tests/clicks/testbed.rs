//! A clicks database of its own for each test, and a clock that tests move.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{Connection, Row, SqliteConnection};
use waypost_clicks::{ClickStore, ClicksError, Clock, StoreOptions};
use waypost_core::Timestamp;
use waypost_testkit::postgres::{Proxy, TestDatabase};

/// When a testbed's clock begins, in microseconds.
const BEGIN_US: i64 = 1_768_473_000_000_000;

/// What keeps the database there while the test runs.
enum Place {
    Folder(#[allow(dead_code)] tempfile::TempDir),
    Database(TestDatabase),
}

/// A clicks database of its own.
pub(crate) struct Testbed {
    pub(crate) store: ClickStore,
    pub(crate) address: String,
    clock_us: Arc<AtomicI64>,
    place: Place,
}

impl Testbed {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("clicks.db").display().to_string();
        Self::open(address, Place::Folder(folder)).await
    }

    /// `None` where the run was told to skip PostgreSQL.
    pub(crate) async fn postgres() -> Option<Self> {
        let database = waypost_testkit::postgres::test_database()?;
        Some(Self::open(database.url().to_owned(), Place::Database(database)).await)
    }

    /// A clicks database on PostgreSQL, and the proxy through which the store reaches it.
    pub(crate) async fn postgres_behind_proxy() -> Option<(Self, Proxy)> {
        let database = waypost_testkit::postgres::test_database()?;
        let (proxy, url) = Proxy::start(database.url()).unwrap();
        Some((Self::open(url, Place::Database(database)).await, proxy))
    }

    async fn open(address: String, place: Place) -> Self {
        let clock_us = Arc::new(AtomicI64::new(BEGIN_US));
        let store = ClickStore::open(&address, options(&clock_us)).await.unwrap();
        Self { store, address, clock_us, place }
    }

    /// Another database on the same engine.
    pub(crate) async fn another(&self) -> Self {
        match &self.place {
            Place::Folder(_) => Self::sqlite().await,
            Place::Database(_) => Self::postgres().await.unwrap(),
        }
    }

    /// A second store on the same database, as another process would have.
    pub(crate) async fn second_store(&self) -> Result<ClickStore, ClicksError> {
        ClickStore::open(&self.address, options(&self.clock_us)).await
    }

    /// Runs SQL text past the store; gives one line a row, columns parted by `|`.
    pub(crate) async fn db_execute(&self, sql: &'static str) -> String {
        match &self.place {
            Place::Folder(_) => sqlite_execute(self.address.as_ref(), sql).await.trim().to_owned(),
            Place::Database(database) => database.execute(sql).unwrap().trim().to_owned(),
        }
    }

    pub(crate) fn advance_days(&self, days: i64) {
        self.clock_us.fetch_add(days * 86_400_000_000, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock_us.load(Ordering::Relaxed))
    }
}

/// Runs SQL text on an SQLite file, made where it is missing; gives one line a row, columns parted by `|`.
async fn sqlite_execute(path: &Path, sql: &'static str) -> String {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::raw_sql(sql).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let text = |row: &SqliteRow, column| match row.try_get::<Option<String>, _>(column) {
        Ok(text) => text.unwrap_or_default(),
        Err(_) => row.get::<i64, _>(column).to_string(),
    };
    let line = |row: &SqliteRow| (0..row.len()).map(|column| text(row, column)).collect::<Vec<_>>().join("|");
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn options(clock_us: &Arc<AtomicI64>) -> StoreOptions {
    let clock_us = Arc::clone(clock_us);
    let clock = Clock::new(move || Timestamp::from_micros(clock_us.load(Ordering::Relaxed)));
    // Longer than a loaded machine makes a test's transactions queue.
    StoreOptions { clock, wait_ms: 30_000, ..StoreOptions::default() }
}

/// Runs each case on a clicks database of SQLite and of PostgreSQL.
macro_rules! on_both_engines {
    ($($case:ident,)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(crate::testbed::Testbed::sqlite().await).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    if let Some(testbed) = crate::testbed::Testbed::postgres().await {
                        super::$case(testbed).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_both_engines;
