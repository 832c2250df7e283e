//! Making keys pending by hand: for repairs and retries.

use serde_json::json;
use waypost_core::sync::SyncTarget;
use waypost_sql::Statement;

use crate::error::StoreError;
use crate::rows::{account_number, domain_number};
use crate::sync::statements;
use crate::sync::states::{SyncKey, SyncSelection};
use crate::tx::Tx;

impl Tx {
    /// Makes these keys pending and due at once, with no attempts against them; makes rows for those that have none. A key that is
    /// being pushed is pushed once more after that. For repairs.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn mark_sync(&mut self, target: SyncTarget, keys: &[SyncKey]) -> Result<(), StoreError> {
        let keys: Vec<_> = keys.iter().map(|key| json!([domain_number(&key.domain_id), key.slug])).collect();
        let statement = Statement::new(statements::mark(self.engine()))
            .bind(serde_json::Value::Array(keys).to_string())
            .bind(target.name())
            .bind(self.now().as_micros());
        self.execute(statement).await.map(drop)
    }

    /// Makes keys that failed due at once, with no attempts against them; one key also where it is pending. Gives how many. A key that
    /// is being pushed, or was acknowledged, stays as it is.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retry_sync(&mut self, target: SyncTarget, selection: &SyncSelection) -> Result<u64, StoreError> {
        let text = match selection {
            SyncSelection::Key(_) => statements::RETRY_KEY.to_owned(),
            SyncSelection::Failed => statements::retry_failed(self.engine()),
            SyncSelection::FailedOf(_) => statements::retry_failed_of(self.engine()),
        };
        let statement = Statement::new(text).bind(target.name()).bind(self.now().as_micros());
        let statement = match selection {
            SyncSelection::Key(key) => statement.bind(domain_number(&key.domain_id)).bind(key.slug.as_str()),
            SyncSelection::Failed => statement,
            SyncSelection::FailedOf(account_id) => statement.bind(account_number(account_id)),
        };
        self.execute(statement).await
    }
}
