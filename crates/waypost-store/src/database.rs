//! A database of ours, whichever it is: how it is opened, its connections, and the transactions that are begun on it.
//!
//! [`crate::Store`] and [`crate::ClickStore`] are the two kinds, told apart by their [`Schema`].

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::AnyPool;
use tokio::time::{Instant, timeout};
use waypost_core::Timestamp;

use crate::dialect::{self, Address, Engine};
use crate::error::StoreError;
use crate::migrate::Schema;
use crate::tx::{ReadTx, Tx};
use crate::write_health::{Known, WriteHealth};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Connections that read side by side (SQLite), or connections in all (PostgreSQL).
    pub connections_max: u32,
    /// How long a transaction waits before it fails as [`StoreError::Unavailable`], in milliseconds: for a connection and for its
    /// turn together.
    pub wait_ms: u64,
    /// How long one statement, or a commit, may take on PostgreSQL before it fails as [`StoreError::Unavailable`], in milliseconds:
    /// a server, or the network to it, may hang.
    pub statement_ms_max: u64,
    /// How long the start waits for another process that is migrating the same database, in milliseconds.
    pub migration_wait_ms: u64,
    /// Where the time comes from; tests move it.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            connections_max: 8,
            wait_ms: 4_500,
            statement_ms_max: 30_000,
            migration_wait_ms: 60_000,
            clock: Clock::system(),
        }
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
    wait: Duration,
    /// How long a statement may take.
    statement_max: Option<Duration>,
    health: WriteHealth,
    clock: Clock,
}

/// Until when a transaction waits for its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) deadline: Instant,
    /// How long the engine waits by itself for another process's lock before it says so.
    pub(crate) busy_step: Duration,
    /// How long each statement may take after that. `None`: as long as it does.
    pub(crate) statement_max: Option<Duration>,
}

/// How long a close waits for transactions that are under way on PostgreSQL.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// How long an SQLite connection that writes waits by itself for another process. Short, so that a deadline is kept.
const BUSY_STEP: Duration = Duration::from_millis(200);

impl Database {
    pub(crate) async fn open(
        address: &str,
        schema: &'static Schema,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let address = Address::parse(address)?;
        schema.prepare(&address, &options, schema.newest()).await?;
        let (writers, readers) = address.connect(&schema.file, &options).await?;
        let wait = millis(options.wait_ms);
        let engine = address.engine();
        // A file's engine is this process: nothing is between the two that could fall silent.
        let statement_max = (engine == Engine::Postgres).then(|| millis(options.statement_ms_max));
        let health = WriteHealth::default();
        Ok(Self { engine, schema, writers, readers, wait, statement_max, health, clock: options.clock })
    }

    pub(crate) const fn engine(&self) -> Engine {
        self.engine
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        self.begin_since(name, Instant::now()).await
    }

    /// Begins a write transaction for whoever has waited for it since then.
    pub(crate) async fn begin_since(&self, name: &'static str, since: Instant) -> Result<Tx, StoreError> {
        let turn = (self.engine, self.schema.write_lock, self.wait_since(since));
        Tx::begin(&self.writers, turn, &self.health, (name, self.clock.now())).await
    }

    pub(crate) async fn read(&self, name: &'static str) -> Result<ReadTx, StoreError> {
        ReadTx::begin(&self.readers, (self.engine, self.wait_since(Instant::now())), name, self.clock.now()).await
    }

    fn wait_since(&self, since: Instant) -> Wait {
        Wait { deadline: since + self.wait, busy_step: busy_step(self.wait), statement_max: self.statement_max }
    }

    /// Whether the database takes writes: as the last one says, where that is enough, else as `probe` says, which commits one.
    pub(crate) async fn is_writable(&self, probe: impl Future<Output = Result<(), StoreError>>) -> bool {
        let _turn = match self.health.ask() {
            Known::Writable(is_writable) => return is_writable,
            Known::Try(turn) => turn,
        };
        probe.await.inspect_err(|error| tracing::debug!(%error, "the database takes no writes")).is_ok()
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping").await?.ping().await
    }

    /// Moves the log into the file and empties it, as far as no reader is in the way: what was erased is still in it.
    pub(crate) async fn settle_erasure(&self) -> Result<(), StoreError> {
        let Some(sql) = self.engine.settle_erasure_sql() else { return Ok(()) };
        let failed = |error| dialect::failure("settle_erasure", error);
        let mut connection = self.writers.acquire().await.map_err(failed)?;
        // It is told to wait longer for readers than a connection that writes should, so it does not go back.
        connection.close_on_drop();
        let patience = format!("PRAGMA busy_timeout = {}", self.wait.as_millis());
        sqlx::raw_sql(sqlx::AssertSqlSafe(patience)).execute(&mut *connection).await.map_err(failed)?;
        let settled = sqlx::query(sql).fetch_all(&mut *connection).await;
        settled.map(drop).map_err(failed)
    }

    /// Closes every connection, once its transaction has ended. On PostgreSQL those that have not ended by then are left to
    /// themselves: a network that has fallen silent would keep a stop from coming to its end.
    pub(crate) async fn close(&self) {
        let closed = async {
            self.readers.close().await;
            self.writers.close().await;
            Ok(())
        };
        let limit = (self.engine == Engine::Postgres).then_some(CLOSE_MAX);
        if within(limit, closed).await.is_err() {
            tracing::warn!("the database does not answer: its connections are dropped as they are");
        }
    }
}

pub(crate) const fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn busy_step(wait: Duration) -> Duration {
    wait.min(BUSY_STEP)
}

/// The outcome of this, or that it took too long.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Some(limit) = limit else { return work.await };
    let late = || sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"));
    timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}
