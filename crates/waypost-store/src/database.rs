//! A database of ours, whichever it is: how it is opened, its connections, and the transactions that are begun on it.
//!
//! [`crate::Store`] and [`crate::ClickStore`] are the two kinds, told apart by their [`Schema`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::AnyPool;
use waypost_core::Timestamp;

use crate::dialect::{self, Address, Engine};
use crate::error::StoreError;
use crate::migrate::Schema;
use crate::tx::{ReadTx, Tx};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Connections that read side by side (SQLite), or connections in all (PostgreSQL).
    pub connections_max: u32,
    /// How long a transaction waits for its turn before it fails as [`StoreError::Unavailable`], in milliseconds.
    pub wait_ms: u64,
    /// How long the start waits for another process that is migrating the same database, in milliseconds.
    pub migration_wait_ms: u64,
    /// Where the time comes from; tests move it.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { connections_max: 8, wait_ms: 5_000, migration_wait_ms: 60_000, clock: Clock::system() }
    }
}

/// Where a store reads the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
        })
    }

    /// A clock that shows what this function gives.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// An open database. Cloning is cheap and shares the connections.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    engine: Engine,
    schema: &'static Schema,
    /// SQLite: one connection, so that writers of this process queue here and not on the file lock.
    writers: AnyPool,
    /// SQLite: connections that refuse to write. PostgreSQL: the same pool as `writers`.
    readers: AnyPool,
    clock: Clock,
}

impl Database {
    pub(crate) async fn open(
        address: &str,
        schema: &'static Schema,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let address = Address::parse(address)?;
        schema.prepare(&address, &options, schema.newest()).await?;
        let (writers, readers) = address.connect(&schema.file, &options).await?;
        Ok(Self { engine: address.engine(), schema, writers, readers, clock: options.clock })
    }

    pub(crate) const fn engine(&self) -> Engine {
        self.engine
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::begin(&self.writers, (self.engine, self.schema.write_lock), name, self.clock.now()).await
    }

    pub(crate) async fn read(&self, name: &'static str) -> Result<ReadTx, StoreError> {
        ReadTx::begin(&self.readers, self.engine, name, self.clock.now()).await
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping").await?.ping().await
    }

    /// Moves the log into the file and empties it, as far as no reader is in the way: what was erased is still in it.
    pub(crate) async fn settle_erasure(&self) -> Result<(), StoreError> {
        let Some(sql) = self.engine.settle_erasure_sql() else { return Ok(()) };
        let settled = sqlx::query(sql).fetch_all(&self.writers).await;
        settled.map(drop).map_err(|error| dialect::failure("settle_erasure", error))
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

pub(crate) const fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
