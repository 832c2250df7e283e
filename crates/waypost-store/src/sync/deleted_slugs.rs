//! When a slug's link was deleted: for those who compare what targets hold with what is true.

use waypost_core::Timestamp;
use waypost_sql::Statement;

use crate::error::StoreError;
use crate::rows::domain_number;
use crate::sync::states::SyncKey;
use crate::tx::ReadTx;

impl ReadTx {
    /// Whether a link with this key was deleted at or after this instant.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn was_deleted_since(&mut self, key: &SyncKey, since: Timestamp) -> Result<bool, StoreError> {
        let statement = Statement::new(DELETED_SINCE_SQL).bind(domain_number(&key.domain_id)).bind(key.slug.as_str());
        Ok(self.fetch_optional(statement.bind(since.as_micros())).await?.is_some())
    }
}

/// A deleted link of a slug, if one was deleted at or after an instant.
pub(crate) const DELETED_SINCE_SQL: &str = "SELECT o.id FROM links AS o WHERE o.domain_id = $1 AND o.slug = $2 AND o.deleted_at IS NOT NULL AND o.deleted_at >= $3 LIMIT 1";
