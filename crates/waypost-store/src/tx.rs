//! Transactions: what every operation of the store takes.
//!
//! A [`ReadTx`] reads; a [`Tx`] is a `ReadTx` that can also write. Dropping either without [`Tx::commit`] undoes it.

use std::ops::{Deref, DerefMut};

use sqlx::any::AnyRow;
use waypost_sql::{Constraint, Statement};

use crate::error::StoreError;

/// A view of the database that does not change while it is held.
#[derive(Debug)]
pub struct ReadTx(pub(crate) waypost_sql::ReadTx);

/// A write transaction. No other one runs on the database at the same time.
#[derive(Debug)]
pub struct Tx(pub(crate) waypost_sql::Tx<ReadTx>);

impl ReadTx {
    pub(crate) async fn fetch_all(&mut self, statement: Statement) -> Result<Vec<AnyRow>, StoreError> {
        Ok(self.0.fetch_all(statement).await?)
    }

    pub(crate) async fn fetch_optional(&mut self, statement: Statement) -> Result<Option<AnyRow>, StoreError> {
        Ok(self.0.fetch_optional(statement).await?)
    }
}

impl Tx {
    /// Makes everything durable and visible.
    ///
    /// # Errors
    /// [`SqlError::CommitUnknown`](waypost_sql::SqlError::CommitUnknown) where the connection was lost or the disk
    /// failed: whether the transaction took place is then not known. After any other error it did not.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }

    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        Ok(self.0.execute(statement).await?)
    }

    /// Runs an insert or update that gives one row, saying what a broken constraint means for it.
    pub(crate) async fn insert_row(
        &mut self,
        statement: Statement,
        meaning: impl FnOnce(Constraint) -> StoreError,
    ) -> Result<AnyRow, StoreError> {
        self.0.insert_row(statement, meaning).await
    }
}

impl From<waypost_sql::ReadTx> for ReadTx {
    fn from(tx: waypost_sql::ReadTx) -> Self {
        Self(tx)
    }
}

impl Deref for ReadTx {
    type Target = waypost_sql::ReadTx;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for ReadTx {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Deref for Tx {
    type Target = waypost_sql::Tx<ReadTx>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
