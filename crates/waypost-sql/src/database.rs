//! A database of ours, whichever it is: how it is opened, its connections, and the transactions that are begun on it.

use std::fmt::Display;
use std::ops::DerefMut;
use std::time::Duration;

use sqlx::AnyPool;
use tokio::time::Instant;
use waypost_core::Timestamp;

use crate::dialect::{self, Address, Engine};
use crate::error::SqlError;
use crate::options::{Clock, StoreOptions, Wait, busy_step, millis, within};
use crate::schema::Schema;
use crate::tx::{ReadTx, Tx};
use crate::write_health::{Known, WriteHealth};

/// An open database. Cloning is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct Database {
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

/// How long a close waits for transactions that are under way on PostgreSQL.
const CLOSE_MAX: Duration = Duration::from_secs(2);

impl Database {
    /// Opens the database at `address`, which is checked to be ours, and brings its schema up to date. See
    /// [`Self::revert_schema`] for the way back.
    ///
    /// The address is `sqlite:///path/waypost.db`, a plain path, or `postgres://user@host/database`. A missing SQLite
    /// file is created, readable by its owner only; its folder must exist. Any number of processes may start on one
    /// database at once; one migrates, the others wait.
    ///
    /// # Errors
    /// Where the address has no known form, the database cannot be reached, is not ours, is damaged, or has a newer
    /// schema. A refused database is left as it is.
    pub async fn open(address: &str, schema: &'static Schema, options: StoreOptions) -> Result<Self, SqlError> {
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

    /// Takes a database's schema back to an earlier release's, so that this release can be started on it. What only
    /// newer schemas hold is lost.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn revert_schema(
        address: &str,
        schema: &'static Schema,
        options: &StoreOptions,
        version: i64,
    ) -> Result<(), SqlError> {
        schema.prepare(&Address::parse(address)?, options, version.clamp(0, schema.newest())).await
    }

    /// Which engine holds the data.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The time as transactions would see it now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Begins a write transaction under this name (for logs and errors), waiting for its turn. Dropping it undoes it.
    ///
    /// # Errors
    /// [`SqlError::Unavailable`] where the turn does not come in time or the database cannot be reached.
    pub async fn begin<R: From<ReadTx> + DerefMut<Target = ReadTx>>(
        &self,
        name: &'static str,
    ) -> Result<Tx<R>, SqlError> {
        self.begin_since(name, Instant::now()).await
    }

    /// Begins a write transaction for whoever has waited for it since then: the wait ends as much earlier.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn begin_since<R: From<ReadTx> + DerefMut<Target = ReadTx>>(
        &self,
        name: &'static str,
        since: Instant,
    ) -> Result<Tx<R>, SqlError> {
        let turn = (self.engine, self.schema.write_lock, self.wait_since(since));
        Tx::begin(&self.writers, turn, &self.health, (name, self.clock.now())).await
    }

    /// Begins a read transaction: all its reads see the database as it is at its first read.
    ///
    /// # Errors
    /// [`SqlError::Unavailable`] where no connection is free in time or the database cannot be reached.
    pub async fn read(&self, name: &'static str) -> Result<ReadTx, SqlError> {
        ReadTx::begin(&self.readers, (self.engine, self.wait_since(Instant::now())), name, self.clock.now()).await
    }

    fn wait_since(&self, since: Instant) -> Wait {
        Wait { deadline: since + self.wait, busy_step: busy_step(self.wait), statement_max: self.statement_max }
    }

    /// Whether the database takes writes: as the last one says, where that is enough, else as `probe` says, which commits one.
    pub async fn is_writable<E: Display>(&self, probe: impl Future<Output = Result<(), E>>) -> bool {
        let _turn = match self.health.ask() {
            Known::Writable(is_writable) => return is_writable,
            Known::Try(turn) => turn,
        };
        probe.await.inspect_err(|error| tracing::debug!(%error, "the database takes no writes")).is_ok()
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// [`SqlError::Unavailable`] where it does not.
    pub async fn ping(&self) -> Result<(), SqlError> {
        self.read("ping").await?.ping().await
    }

    /// Moves the log into the file and empties it, as far as no reader is in the way: what was erased is still in it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn settle_erasure(&self) -> Result<(), SqlError> {
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
    pub async fn close(&self) {
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
