//! Transactions: what every operation of the store takes.
//!
//! A [`ReadTx`] reads; a [`Tx`] is a `ReadTx` that can also write. Dropping either without [`Tx::commit`] undoes it.

use std::ops::{Deref, DerefMut};

use sqlx::AnyPool;
use sqlx::any::AnyRow;
use tokio::time::{Instant, timeout_at};
use waypost_core::Timestamp;

use crate::dialect::{self, Constraint, Engine};
use crate::error::StoreError;
use crate::options::Wait;
use crate::statement::Statement;
use crate::tx_connection::TxConnection;
use crate::write_health::WriteHealth;

/// A view of the database that does not change while it is held.
#[derive(Debug)]
pub struct ReadTx {
    connection: TxConnection,
    pub(crate) engine: Engine,
    name: &'static str,
    now: Timestamp,
}

/// A write transaction. No other one runs on the database at the same time.
#[derive(Debug)]
pub struct Tx {
    read: ReadTx,
    began: Instant,
}

impl ReadTx {
    pub(crate) async fn begin(
        pool: &AnyPool,
        (engine, wait): (Engine, Wait),
        name: &'static str,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let begun = TxConnection::begin(pool, engine.begin_read(), wait, None).await;
        let connection = begun.map_err(|error| dialect::failure(name, error))?;
        Ok(Self { connection, engine, name, now })
    }

    /// The time at which the transaction began: the `created_at` and `updated_at` of all it writes.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Moves the transaction's time, so that a test can live through days in one.
    #[cfg(test)]
    pub(crate) const fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    pub(crate) async fn ping(&mut self) -> Result<(), StoreError> {
        self.fetch_all(Statement::new("SELECT 1")).await.map(drop)
    }

    pub(crate) async fn fetch_all(&mut self, statement: Statement) -> Result<Vec<AnyRow>, StoreError> {
        let name = self.name;
        self.fetch_all_raw(statement).await.map_err(|error| dialect::failure(name, error))
    }

    async fn fetch_all_raw(&mut self, statement: Statement) -> Result<Vec<AnyRow>, sqlx::Error> {
        self.connection.run(async |connection| statement.into_query().fetch_all(connection).await).await
    }

    pub(crate) async fn fetch_optional(&mut self, statement: Statement) -> Result<Option<AnyRow>, StoreError> {
        // Not the driver's `fetch_optional`, which leaves a statement with RETURNING half run.
        Ok(self.fetch_all(statement).await?.into_iter().next())
    }
}

impl Tx {
    pub(crate) async fn begin(
        pool: &AnyPool,
        (engine, write_lock, wait): (Engine, i64, Wait),
        health: &WriteHealth,
        (name, now): (&'static str, Timestamp),
    ) -> Result<Self, StoreError> {
        let began = Instant::now();
        let begun = TxConnection::begin(pool, engine.begin_write(), wait, Some(health.clone())).await;
        let connection = begun.map_err(|error| dialect::failure(name, error))?;
        let mut read = ReadTx { connection, engine, name, now };
        if let Some(statement) = engine.take_turn(write_lock) {
            let turn = timeout_at(wait.deadline, read.fetch_all(Statement::new(statement))).await;
            turn.unwrap_or_else(|_| Err(dialect::failure(name, sqlx::Error::PoolTimedOut)))?;
        }
        Ok(Self { read, began })
    }

    /// Makes everything durable and visible.
    ///
    /// # Errors
    /// [`StoreError::CommitUnknown`] where the connection was lost or the disk failed: whether the transaction took place is then
    /// not known. After any other error it did not.
    pub async fn commit(self) -> Result<(), StoreError> {
        let Self { read: ReadTx { connection, name, .. }, began } = self;
        connection.commit(name).await?;
        tracing::debug!(tx.name = name, took_us = began.elapsed().as_micros(), "transaction {name} committed");
        Ok(())
    }

    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let name = self.read.name;
        let run = self.read.connection.run(async |connection| statement.into_query().execute(connection).await);
        Ok(run.await.map_err(|error| dialect::failure(name, error))?.rows_affected())
    }

    /// Runs an insert or update that gives one row, saying what a broken constraint means for it.
    pub(crate) async fn insert_row(
        &mut self,
        statement: Statement,
        meaning: impl FnOnce(Constraint) -> StoreError,
    ) -> Result<AnyRow, StoreError> {
        let operation = self.read.name;
        let rows = self.read.fetch_all_raw(statement).await.map_err(|error| match dialect::broken_constraint(&error) {
            Some(constraint) => meaning(constraint),
            None => dialect::failure(operation, error),
        });
        rows?
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::Database { operation, source: Box::new(sqlx::Error::RowNotFound) })
    }
}

impl Deref for Tx {
    type Target = ReadTx;
    fn deref(&self) -> &ReadTx {
        &self.read
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut ReadTx {
        &mut self.read
    }
}
