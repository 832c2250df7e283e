//! A database of ours, whichever it is: how it is opened, its connections, and the transactions that are begun on it.
//!
//! [`crate::Store`] and [`crate::ClickStore`] are the two kinds, told apart by their [`Schema`].

use std::time::Duration;

use sqlx::AnyPool;
use tokio::time::Instant;
use waypost_core::Timestamp;

use crate::dialect::{self, Address, Engine};
use crate::error::StoreError;
use crate::migrate::Schema;
use crate::options::{Clock, StoreOptions, Wait, busy_step, millis, within};
use crate::tx::{ReadTx, Tx};
use crate::write_health::{Known, WriteHealth};

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

/// How long a close waits for transactions that are under way on PostgreSQL.
const CLOSE_MAX: Duration = Duration::from_secs(2);

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
