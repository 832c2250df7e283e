//! The logos in the QR codes of accounts.

use waypost_core::id::AccountId;
use waypost_sql::{Constraint, Statement};

use crate::error::StoreError;
use crate::rows::{Columns, account_number};
use crate::tx::{ReadTx, Tx};

impl ReadTx {
    /// The logo of the account, as PNG.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_qr_logo(&mut self, account_id: &AccountId) -> Result<Option<Vec<u8>>, StoreError> {
        let statement = Statement::new("SELECT account_id AS id, png FROM qr_logos WHERE account_id = $1");
        let row = self.fetch_optional(statement.bind(account_number(account_id))).await?;
        Ok(row.as_ref().map(|row| Columns::new(row, "qr logo").get("png")).transpose()?)
    }
}

impl Tx {
    /// Sets the logo of the account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such account.
    pub async fn set_qr_logo(&mut self, account_id: &AccountId, png: &[u8]) -> Result<(), StoreError> {
        let statement = Statement::new(
            "INSERT INTO qr_logos (account_id, png, updated_at) VALUES ($1, $2, $3)
             ON CONFLICT (account_id) DO UPDATE SET png = excluded.png, updated_at = excluded.updated_at
             RETURNING account_id AS id",
        );
        let statement = statement.bind(account_number(account_id)).bind(png.to_vec()).bind(self.now().as_micros());
        self.insert_row(statement, |constraint| match constraint {
            Constraint::Unique | Constraint::ForeignKey => StoreError::NotFound { what: "account" },
        })
        .await
        .map(drop)
    }

    /// Deletes the logo of the account. `false` where it has none.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn delete_qr_logo(&mut self, account_id: &AccountId) -> Result<bool, StoreError> {
        let statement = Statement::new("DELETE FROM qr_logos WHERE account_id = $1");
        Ok(self.execute(statement.bind(account_number(account_id))).await? > 0)
    }
}
