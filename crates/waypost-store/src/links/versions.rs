//! The history of a link. The version of now is in the link's own row; a change copies it to `link_versions` before it
//! replaces it, so that what nobody changes is stored once. Rows of `link_versions` are never altered.

use waypost_core::id::{AccountId, LinkId};
use waypost_core::{LinkRecord, Timestamp};
use waypost_sql::{Statement, as_bigint};

use crate::error::StoreError;
use crate::links::record_json;
use crate::rows::{Columns, account_number, link_bytes};
use crate::tx::ReadTx;

/// The most versions that one call gives.
const VERSIONS_MAX: u32 = 1_000;

/// A link as one change left it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkVersion {
    /// The version.
    pub version: u64,
    /// What the link did from then on, without ids and times; `None` where the change was its deletion.
    pub record: Option<LinkRecord>,
    /// Who made the change, if that is known.
    pub changed_by: Option<String>,
    /// When.
    pub changed_at: Timestamp,
}

impl ReadTx {
    /// The newest versions of a link of the account, deleted or not, newest first; only those before `before` where
    /// given. At most `limit`, and 1,000. Nothing where the account has no such link.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn link_versions(
        &mut self,
        account_id: &AccountId,
        link_id: &LinkId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<LinkVersion>, StoreError> {
        let statement = Statement::new(LINK_VERSIONS_SQL)
            .bind(account_number(account_id))
            .bind(link_bytes(link_id))
            .bind(before.map_or(i64::MAX, as_bigint))
            .bind(i64::from(limit.clamp(1, VERSIONS_MAX)));
        let rows = self.fetch_all(statement).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::new(row, "version of link");
                Ok(LinkVersion {
                    version: columns.count("version")?,
                    record: record_json::read_optional(&columns)?,
                    changed_by: columns.get("changed_by")?,
                    changed_at: columns.time("changed_at")?,
                })
            })
            .collect()
    }
}

/// The newest versions of one link.
const LINK_VERSIONS_SQL: &str = "SELECT l.id, l.version, CASE WHEN l.deleted_at IS NULL THEN l.record END AS record,
       l.changed_by, l.updated_at AS changed_at
     FROM links AS l WHERE l.account_id = $1 AND l.id = $2 AND l.version < $3
     UNION ALL
     SELECT v.link_id, v.version, v.record, v.changed_by, v.changed_at
     FROM links AS l JOIN link_versions AS v ON v.link_id = l.id
     WHERE l.account_id = $1 AND l.id = $2 AND v.version < $3
     ORDER BY version DESC LIMIT $4";

/// Copies the version of now of links, which are named after it, to `link_versions`. Followed by a change of these links.
pub(crate) const KEEP_VERSIONS_SQL: &str =
    "INSERT INTO link_versions (link_id, version, record, changed_by, changed_at)
     SELECT id, version, record, changed_by, updated_at FROM links WHERE deleted_at IS NULL";
