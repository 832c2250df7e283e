//! Settings of the instance: small texts by name, such as the secret that grants are signed with.

use waypost_sql::Statement;

use crate::error::StoreError;
use crate::rows::Columns;
use crate::tx::{ReadTx, Tx};

impl ReadTx {
    /// The setting of this name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_setting(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let statement = Statement::new("SELECT name AS id, value FROM settings WHERE name = $1");
        let row = self.fetch_optional(statement.bind(name)).await?;
        Ok(row.as_ref().map(|row| Columns::new(row, "setting").get("value")).transpose()?)
    }
}

impl Tx {
    /// The setting of this name, which is `value` from now on if it was absent: all replicas agree on one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_or_insert_setting(&mut self, name: &str, value: &str) -> Result<String, StoreError> {
        let statement = Statement::new("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING");
        self.execute(statement.bind(name).bind(value)).await?;
        self.get_setting(name).await?.ok_or(StoreError::NotFound { what: "setting" })
    }

    /// Sets the setting of this name.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_setting(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let statement = Statement::new(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        );
        self.execute(statement.bind(name).bind(value)).await.map(drop)
    }
}
