//! What a target has not even read of: changes in the outbox behind its cursor, and links that a walk over all has yet to come to.
//! Until it has, `sync_states` has no row of them, and whoever asks how much waits must be told all the same.

use waypost_core::sync::SyncTarget;
use waypost_sql::{Statement, as_bigint};

use crate::error::StoreError;
use crate::rows::Columns;
use crate::sync::states::SyncCounts;
use crate::tx::ReadTx;

impl ReadTx {
    /// Adds to `counts` the keys that wait without the target knowing, as pending, and since when the oldest of those changes waits.
    /// Looks at every entry and link that was not read yet.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn add_unread_sync(&mut self, target: SyncTarget, counts: &mut SyncCounts) -> Result<(), StoreError> {
        let Some(walk) = self.walk(target).await? else {
            // It begins with a walk over all that there is.
            let links = Statement::new(LINKS_AFTER_SQL).bind(target.name()).bind(0_i64).bind("").bind(0_i64);
            counts.pending += self.count_keys(links).await?;
            return Ok(());
        };
        if let Some((domain, slug, takes_all)) = walk.links_after() {
            let links = Statement::new(LINKS_AFTER_SQL).bind(target.name()).bind(domain).bind(slug);
            counts.pending += self.count_keys(links.bind(i64::from(takes_all))).await?;
            // Changes since the walk began are of links that it comes to, or has come to.
            return Ok(());
        }
        if self.outbox_last().await? <= walk.cursor {
            return Ok(());
        }
        let cursor = as_bigint(walk.cursor);
        counts.pending += self.count_keys(Statement::new(UNREAD_SQL).bind(target.name()).bind(cursor)).await?;
        if let Some(row) = self.fetch_optional(Statement::new(OLDEST_UNREAD_SQL).bind(cursor)).await? {
            let since = Columns::new(&row, "link").optional_time("updated_at")?;
            counts.oldest_pending_since = counts.oldest_pending_since.into_iter().chain(since).min();
        }
        Ok(())
    }

    async fn count_keys(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let row = self.fetch_optional(statement).await?;
        Ok(row.map_or(Ok(0), |row| Columns::new(&row, "sync state").count("keys"))?)
    }
}

/// Keys of entries after $2 that target $1 is not known to be behind with.
const UNREAD_SQL: &str = "SELECT count(*) AS keys FROM (SELECT DISTINCT o.domain_id, o.slug FROM outbox AS o WHERE o.sequence > $2) AS e
     WHERE NOT EXISTS (SELECT 1 FROM sync_states AS s WHERE s.target = $1 AND s.domain_id = e.domain_id AND s.slug = e.slug
                       AND s.status <> 'synced')";

/// Live links after domain $2 and slug $3 that target $1 is not known to be behind with; all of them ($4 = 1), or those that it
/// does not know.
const LINKS_AFTER_SQL: &str = "SELECT count(*) AS keys FROM links AS l
     WHERE l.deleted_at IS NULL AND (l.domain_id, l.slug) > ($2, $3)
       AND NOT EXISTS (SELECT 1 FROM sync_states AS s WHERE s.target = $1 AND s.domain_id = l.domain_id AND s.slug = l.slug
                       AND (s.status <> 'synced' OR $4 = 0))";

/// When the link of the first entry after $1 was changed last: not before that entry was made.
const OLDEST_UNREAD_SQL: &str = "SELECT l.updated_at FROM outbox AS o JOIN links AS l ON l.id = o.link_id
     WHERE o.sequence > $1 ORDER BY o.sequence LIMIT 1";
