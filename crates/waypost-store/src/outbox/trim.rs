//! Trimming the outbox: what every target has dealt with is deleted, oldest first.

use waypost_sql::{BatchedDelete, SHORT_ROWS_MAX, Statement, as_bigint};

use crate::error::StoreError;
use crate::store::Store;
use crate::tx::{ReadTx, Tx};

/// Deletes the oldest entries below this one, never the newest of all.
fn trim(below: u64) -> BatchedDelete<impl Fn() -> Statement> {
    let statement = move || {
        let text = "DELETE FROM outbox WHERE sequence IN (
               SELECT sequence FROM outbox WHERE sequence < $1 AND sequence < (SELECT max(sequence) FROM outbox)
               ORDER BY sequence LIMIT $2)
             RETURNING CAST(1 AS BIGINT) AS deleted";
        Statement::new(text).bind(as_bigint(below))
    };
    BatchedDelete { name: "outbox_trim", rows_max: SHORT_ROWS_MAX, statement }
}

impl Store {
    /// Removes the entries below `below` (but never the newest): the least cursor of all targets, plus one. Gives how many went. Works
    /// in transactions of at most 10,000 entries, and ends early where `goes_on`, which is asked in between, says no.
    ///
    /// # Errors
    /// Where the database fails; what was removed before stays removed.
    pub async fn trim_outbox(&self, below: u64, goes_on: impl Fn() -> bool) -> Result<u64, StoreError> {
        Ok(self.database.delete_in_batches::<ReadTx>(&trim(below), goes_on).await?)
    }
}

impl Tx {
    /// As [`Store::trim_outbox`], of the oldest 10,000 entries.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn outbox_trim(&mut self, below: u64) -> Result<u64, StoreError> {
        Ok(trim(below).run_once(self).await?.deleted)
    }
}
