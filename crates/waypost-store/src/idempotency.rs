//! Idempotency keys: a request that comes twice is answered twice and done once.
//!
//! Key and answer are written in the transaction that does the work, so there is no state in between.

use waypost_core::Timestamp;
use waypost_core::id::AccountId;
use waypost_sql::{BatchedDelete, Statement};

use crate::error::StoreError;
use crate::rows::{Columns, account_number};
use crate::store::Store;
use crate::tx::{ReadTx, Tx};

/// For how many hours a key is remembered.
pub const IDEMPOTENCY_HOURS: i64 = 24;
const REMEMBERED_US: i64 = IDEMPOTENCY_HOURS * 3_600_000_000;

/// The most keys that one transaction forgets: each may have a long answer.
const TRIMMED_ROWS_MAX: u32 = 1_000;

/// What is known of a request's idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Nothing: do the work, then [`Tx::finish_idempotent`] with the answer.
    Fresh,
    /// The same request was answered so.
    Replay {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
    /// Another request used the key.
    Mismatch,
}

impl Tx {
    /// Looks up a key of the account. `request_digest` is a digest of all that makes the request what it is.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn begin_idempotent(
        &mut self,
        account_id: &AccountId,
        key: &str,
        request_digest: &[u8; 32],
    ) -> Result<Idempotency, StoreError> {
        let statement = Statement::new(
            "SELECT key AS id, request_digest, status, body FROM idempotency_keys
             WHERE account_id = $1 AND key = $2 AND created_at > $3",
        );
        let since = self.now().as_micros() - REMEMBERED_US;
        let statement = statement.bind(account_number(account_id)).bind(key).bind(since);
        let Some(row) = self.fetch_optional(statement).await? else { return Ok(Idempotency::Fresh) };
        let columns = Columns::new(&row, "idempotency key");
        if columns.get::<Vec<u8>>("request_digest")? != request_digest {
            return Ok(Idempotency::Mismatch);
        }
        let status = columns.get::<i64>("status")?;
        let status = u16::try_from(status).map_err(|error| columns.corrupt("status", &error))?;
        Ok(Idempotency::Replay { status, body: columns.get("body")? })
    }

    /// Remembers the answer under the key for 24 hours.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such account.
    pub async fn finish_idempotent(
        &mut self,
        account_id: &AccountId,
        key: &str,
        request_digest: &[u8; 32],
        (status, body): (u16, &[u8]),
    ) -> Result<(), StoreError> {
        let statement = Statement::new(
            "INSERT INTO idempotency_keys (account_id, key, request_digest, status, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (account_id, key) DO UPDATE SET request_digest = excluded.request_digest,
               status = excluded.status, body = excluded.body, created_at = excluded.created_at
             RETURNING key AS id",
        )
        .bind(account_number(account_id))
        .bind(key)
        .bind(request_digest.as_slice())
        .bind(i64::from(status))
        .bind(body)
        .bind(self.now().as_micros());
        self.insert_row(statement, |_| StoreError::NotFound { what: "account" }).await.map(drop)
    }
}

impl Store {
    /// Forgets the keys made before this instant; gives how many.
    ///
    /// # Errors
    /// Where the database fails; what was forgotten before stays forgotten.
    pub async fn trim_idempotency_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let statement = || {
            let text = "DELETE FROM idempotency_keys WHERE (account_id, key) IN (
                   SELECT account_id, key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)
                 RETURNING CAST(1 AS BIGINT) AS deleted";
            Statement::new(text).bind(before.as_micros())
        };
        let delete = BatchedDelete { name: "trim_idempotency_keys", rows_max: TRIMMED_ROWS_MAX, statement };
        Ok(self.database.delete_in_batches::<ReadTx>(&delete, || true).await?)
    }
}
