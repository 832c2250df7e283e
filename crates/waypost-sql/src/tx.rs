//! Transactions: what every operation on a database takes.
//!
//! A [`ReadTx`] reads; a [`Tx`] reads and can also write. Dropping either without [`Tx::commit`] undoes it.

use std::ops::{Deref, DerefMut};

use sqlx::AnyPool;
use sqlx::any::AnyRow;
use tokio::time::{Instant, timeout_at};
use waypost_core::Timestamp;

use crate::dialect::{self, Constraint, Engine};
use crate::error::SqlError;
use crate::options::Wait;
use crate::statement::Statement;
use crate::tx_connection::TxConnection;
use crate::write_health::WriteHealth;

/// A view of the database that does not change while it is held.
#[derive(Debug)]
pub struct ReadTx {
    connection: TxConnection,
    engine: Engine,
    name: &'static str,
    now: Timestamp,
}

/// A write transaction. No other one runs on the database at the same time. It reads by an `R`, which is the [`ReadTx`]
/// with the operations that a crate of tables has added.
#[derive(Debug)]
pub struct Tx<R> {
    read: R,
    began: Instant,
}

impl ReadTx {
    pub(crate) async fn begin(
        pool: &AnyPool,
        (engine, wait): (Engine, Wait),
        name: &'static str,
        now: Timestamp,
    ) -> Result<Self, SqlError> {
        let begun = TxConnection::begin(pool, engine.begin_read(), wait, None).await;
        let connection = begun.map_err(|error| dialect::failure(name, error))?;
        Ok(Self { connection, engine, name, now })
    }

    /// The time at which the transaction began: the `created_at` and `updated_at` of all it writes.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The engine that it runs on.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Moves the transaction's time, so that a test can live through days in one.
    pub const fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    pub(crate) async fn ping(&mut self) -> Result<(), SqlError> {
        self.fetch_all(Statement::new("SELECT 1")).await.map(drop)
    }

    /// The rows of a statement.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fetch_all(&mut self, statement: Statement) -> Result<Vec<AnyRow>, SqlError> {
        let name = self.name;
        self.fetch_all_raw(statement).await.map_err(|error| dialect::failure(name, error))
    }

    async fn fetch_all_raw(&mut self, statement: Statement) -> Result<Vec<AnyRow>, sqlx::Error> {
        self.connection.run(async |connection| statement.into_query().fetch_all(connection).await).await
    }

    /// The first row of a statement, if it has any.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn fetch_optional(&mut self, statement: Statement) -> Result<Option<AnyRow>, SqlError> {
        // Not the driver's `fetch_optional`, which leaves a statement with RETURNING half run.
        Ok(self.fetch_all(statement).await?.into_iter().next())
    }
}

impl<R: From<ReadTx> + DerefMut<Target = ReadTx>> Tx<R> {
    pub(crate) async fn begin(
        pool: &AnyPool,
        (engine, write_lock, wait): (Engine, i64, Wait),
        health: &WriteHealth,
        (name, now): (&'static str, Timestamp),
    ) -> Result<Self, SqlError> {
        let began = Instant::now();
        let begun = TxConnection::begin(pool, engine.begin_write(), wait, Some(health.clone())).await;
        let connection = begun.map_err(|error| dialect::failure(name, error))?;
        let mut read = ReadTx { connection, engine, name, now };
        if let Some(statement) = engine.take_turn(write_lock) {
            let turn = timeout_at(wait.deadline, read.fetch_all(Statement::new(statement))).await;
            turn.unwrap_or_else(|_| Err(dialect::failure(name, sqlx::Error::PoolTimedOut)))?;
        }
        Ok(Self { read: read.into(), began })
    }

    /// Makes everything durable and visible.
    ///
    /// # Errors
    /// [`SqlError::CommitUnknown`] where the connection was lost or the disk failed: whether the transaction took place
    /// is then not known. After any other error it did not.
    pub async fn commit(mut self) -> Result<(), SqlError> {
        let (name, began) = (self.read.name, self.began);
        let committed = self.read.connection.commit(name).await;
        // Notes how it ended and gives the connection back.
        drop(self);
        committed?;
        tracing::debug!(tx.name = name, took_us = began.elapsed().as_micros(), "transaction {name} committed");
        Ok(())
    }

    /// Runs a statement; gives the number of rows that it changed.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn execute(&mut self, statement: Statement) -> Result<u64, SqlError> {
        let name = self.read.name;
        let run = self.read.connection.run(async |connection| statement.into_query().execute(connection).await);
        Ok(run.await.map_err(|error| dialect::failure(name, error))?.rows_affected())
    }

    /// Runs an insert or update that gives one row, saying what a broken constraint means for it.
    ///
    /// # Errors
    /// The one that `meaning` gives; and where the database fails.
    pub async fn insert_row<E: From<SqlError>>(
        &mut self,
        statement: Statement,
        meaning: impl FnOnce(Constraint) -> E,
    ) -> Result<AnyRow, E> {
        let operation = self.read.name;
        let rows = self.read.fetch_all_raw(statement).await.map_err(|error| match dialect::broken_constraint(&error) {
            Some(constraint) => meaning(constraint),
            None => dialect::failure(operation, error).into(),
        });
        rows?
            .into_iter()
            .next()
            .ok_or_else(|| SqlError::Database { operation, source: Box::new(sqlx::Error::RowNotFound) }.into())
    }
}

impl<R> Deref for Tx<R> {
    type Target = R;
    fn deref(&self) -> &R {
        &self.read
    }
}

impl<R> DerefMut for Tx<R> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.read
    }
}
