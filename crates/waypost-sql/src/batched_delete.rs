//! Deletes of what had its time, cut into transactions of bounded size.
//!
//! One statement over all of it would keep every other writer waiting, and on PostgreSQL meet the deadline of statements: where there
//! is once more than can be deleted in that time, nothing would be deleted ever again. Between two batches others have their turn. What
//! stops in between has deleted whole batches, and goes on another time.

use std::ops::DerefMut;

use crate::columns::Columns;
use crate::database::Database;
use crate::error::SqlError;
use crate::statement::Statement;
use crate::tx::{ReadTx, Tx};

/// The most rows of a batch, of a table whose rows are short.
pub const SHORT_ROWS_MAX: u32 = 10_000;

/// A delete that takes at most so many rows at once.
#[derive(Debug)]
pub struct BatchedDelete<S> {
    /// The name of its transactions.
    pub name: &'static str,
    /// The most rows of a batch.
    pub rows_max: u32,
    /// Gives the statement without its last parameter, which is the most rows that it deletes. It returns a column `deleted` for each of
    /// them: what it counts for.
    pub statement: S,
}

/// What a batch deleted.
#[derive(Debug)]
pub struct Batch {
    /// The sum of what the rows count for.
    pub deleted: u64,
    /// Whether there may be more.
    is_full: bool,
}

impl<S: Fn() -> Statement> BatchedDelete<S> {
    /// Deletes one batch within a transaction.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn run_once<R: DerefMut<Target = ReadTx>>(&self, tx: &mut Tx<R>) -> Result<Batch, SqlError> {
        let rows = tx.fetch_all((self.statement)().bind(i64::from(self.rows_max))).await?;
        let count = |row| Columns::new(row, "deleted row").count("deleted");
        let deleted = rows.iter().map(count).sum::<Result<u64, _>>()?;
        Ok(Batch { deleted, is_full: rows.len() >= self.rows_max as usize })
    }
}

impl Database {
    /// Deletes batch after batch until there is nothing left to delete, or `goes_on`, which is asked in between, says no. Gives the sum
    /// of what the deleted rows count for. The transactions read by an `R`.
    ///
    /// # Errors
    /// Where the database fails; what was deleted before stays deleted.
    pub async fn delete_in_batches<R: From<ReadTx> + DerefMut<Target = ReadTx>>(
        &self,
        delete: &BatchedDelete<impl Fn() -> Statement>,
        goes_on: impl Fn() -> bool,
    ) -> Result<u64, SqlError> {
        let mut deleted = 0;
        loop {
            let mut tx = self.begin::<R>(delete.name).await?;
            let batch = delete.run_once(&mut tx).await?;
            tx.commit().await?;
            deleted += batch.deleted;
            if !batch.is_full || !goes_on() {
                return Ok(deleted);
            }
            // Whoever waits for the only connection of an SQLite file is served in the order of asking.
            tokio::task::yield_now().await;
        }
    }
}
