//! The store itself: opening a database and handing out transactions.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::AnyPool;
use waypost_core::Timestamp;

use crate::dialect::{Address, Engine};
use crate::error::StoreError;
use crate::migrate;
use crate::tx::{ReadTx, Tx};

/// How often [`Store::write`] runs its work before it gives up on conflicts.
const WRITE_ATTEMPTS_MAX: u32 = 5;

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
pub struct Store {
    engine: Engine,
    /// SQLite: one connection, so that writers of this process queue here and not on the file lock.
    writers: AnyPool,
    /// SQLite: connections that refuse to write. PostgreSQL: the same pool as `writers`.
    readers: AnyPool,
    clock: Clock,
}

impl Store {
    /// Opens the database at `address` and brings its schema up to date.
    ///
    /// The address is `sqlite:///path/waypost.db`, a plain path, or `postgres://user@host/database`. A missing SQLite
    /// file is created, readable by its owner only; its folder must exist. Any number of processes may start on one
    /// database at once; one migrates, the others wait.
    ///
    /// # Errors
    /// Where the address has no known form, the database cannot be reached, is not ours, is damaged, or has a newer schema. A
    /// refused database is left as it is.
    pub async fn open(address: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let address = Address::parse(address)?;
        address.prepare(&options, migrate::NEWEST).await?;
        let (writers, readers) = address.connect(&options).await?;
        let store = Self { engine: address.engine(), writers, readers, clock: options.clock };
        Ok(store)
    }

    /// Takes a database's schema back to an earlier release's, so that this release can be started on it. What only
    /// newer schemas hold is lost.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn revert_schema(address: &str, options: &StoreOptions, schema: i64) -> Result<(), StoreError> {
        Address::parse(address)?.prepare(options, schema.clamp(0, migrate::NEWEST)).await
    }

    /// Which engine holds the data.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Begins a write transaction under this name (for logs and errors), waiting for its turn. Dropping it undoes it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the turn does not come in time or the database cannot be reached.
    pub async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        Tx::begin(&self.writers, self.engine, name, self.clock.now()).await
    }

    /// Begins a read transaction: all its reads see the database as it is at its first read.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no connection is free in time or the database cannot be reached.
    pub async fn read(&self, name: &'static str) -> Result<ReadTx, StoreError> {
        ReadTx::begin(&self.readers, self.engine, name, self.clock.now()).await
    }

    /// Runs `work` in a write transaction and commits it, again (at most five times) where transactions conflict.
    ///
    /// Writers take turns, so a conflict means that something else than this store writes to the database. The future
    /// cannot be moved between threads (the compiler cannot see yet that an asynchronous closure allows it): what is
    /// spawned on a work-stealing runtime uses [`Store::begin`].
    ///
    /// # Errors
    /// Whatever `work` fails with, having undone it; and what beginning and committing fail with.
    pub async fn write<T, F>(&self, name: &'static str, mut work: F) -> Result<T, StoreError>
    where
        F: AsyncFnMut(&mut Tx) -> Result<T, StoreError>,
    {
        let mut attempts = 1;
        loop {
            let mut tx = self.begin(name).await?;
            let outcome = match work(&mut tx).await {
                Ok(value) => tx.commit().await.map(|()| value),
                Err(error) => Err(error),
            };
            match outcome {
                Err(StoreError::Conflict { .. }) if attempts < WRITE_ATTEMPTS_MAX => attempts += 1,
                other => return other,
            }
        }
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping").await?.ping().await
    }

    /// Waits for the running transactions, then closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

pub(crate) const fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
