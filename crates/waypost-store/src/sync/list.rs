//! Which keys a target is behind with, and how many.

use waypost_core::id::AccountId;
use waypost_core::sync::{SyncStatus, SyncTarget};
use waypost_sql::{Engine, Statement};

use crate::dialect;
use crate::error::StoreError;
use crate::rows::{Columns, account_number, domain_number};
use crate::sync::states::{SyncCounts, SyncKey, SyncState, read_state, state_columns};
use crate::tx::ReadTx;

/// The most states that one list gives.
pub const PAGE_SYNC_STATES_MAX: u32 = 1_000;

impl ReadTx {
    /// The keys in this status (`pending`, `syncing` or `failed`; none for `synced`) whose link belongs to the account, or all
    /// accounts' where none is named; in the order of domain and slug, after a key, at most `limit` and 1,000. With an account
    /// it may look at every key in that status.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_sync_states(
        &mut self,
        target: SyncTarget,
        account_id: Option<&AccountId>,
        status: SyncStatus,
        after: Option<&SyncKey>,
        limit: u32,
    ) -> Result<Vec<SyncState>, StoreError> {
        let statement = Statement::new(list_sql(self.engine(), if account_id.is_some() { OF_ACCOUNT } else { "" }))
            .bind(target.name())
            .bind(status.name())
            .bind(after.map_or(0, |key| domain_number(&key.domain_id)))
            .bind(after.map_or("", |key| key.slug.as_str()))
            .bind(i64::from(limit.clamp(1, PAGE_SYNC_STATES_MAX)));
        let statement = match account_id {
            Some(account_id) => statement.bind(account_number(account_id)),
            None => statement,
        };
        self.fetch_all(statement).await?.iter().map(read_state).collect()
    }

    /// How many keys stand where, of all accounts; `synced` is 0 unless `with_synced`.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn count_sync_states(&mut self, target: SyncTarget, with_synced: bool) -> Result<SyncCounts, StoreError> {
        let mut counts = SyncCounts::default();
        for row in self.fetch_all(Statement::new(COUNT_OPEN_SQL).bind(target.name())).await? {
            let columns = Columns::new(&row, "sync state");
            let count = columns.count("keys")?;
            match columns.parsed("status", SyncStatus::from_name)? {
                SyncStatus::Pending => counts.pending = count,
                SyncStatus::Syncing => counts.syncing = count,
                SyncStatus::Synced => counts.synced = count,
                SyncStatus::Failed => counts.failed = count,
            }
        }
        if let Some(row) = self.fetch_optional(Statement::new(OLDEST_SQL).bind(target.name())).await? {
            counts.oldest_pending_since = Columns::new(&row, "sync state").optional_time("pending_since")?;
        }
        if with_synced && let Some(row) = self.fetch_optional(Statement::new(COUNT_SQL).bind(target.name())).await? {
            let all = Columns::new(&row, "sync state").count("keys")?;
            counts.synced = all.saturating_sub(counts.pending + counts.syncing + counts.failed);
        }
        Ok(counts)
    }
}

/// Those of target $1 in status $2 after domain $3 and slug $4, at most $5; of account $6.
fn list_sql(engine: Engine, of_account: &'static str) -> String {
    format!(
        concat!(
            "SELECT ",
            state_columns!(),
            " FROM sync_states AS s{}
             WHERE s.target = $1 AND s.status = $2 AND s.status <> 'synced' AND (s.domain_id, s.slug) > ($3, $4){}
             ORDER BY s.domain_id, s.slug LIMIT $5"
        ),
        dialect::by_open_states(engine),
        of_account
    )
}

const OF_ACCOUNT: &str = " AND EXISTS (SELECT 1 FROM links AS l WHERE l.id = s.link_id AND l.account_id = $6)";

const COUNT_OPEN_SQL: &str =
    "SELECT status, count(*) AS keys FROM sync_states WHERE target = $1 AND status <> 'synced' GROUP BY status";

const OLDEST_SQL: &str =
    "SELECT min(pending_since) AS pending_since FROM sync_states WHERE target = $1 AND pending_since IS NOT NULL";

const COUNT_SQL: &str = "SELECT count(*) AS keys FROM sync_states WHERE target = $1";
