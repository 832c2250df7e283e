//! The outbox: which slugs changed, in the order in which the changes were committed.
//!
//! An entry says that something changed, not what: readers ask for the state of now (`edge_records.rs`), so many
//! entries of one link cost one write at an edge. Each target keeps its own cursor, the last sequence it has dealt with.
//! Sequences have no gaps and become visible in order, because write transactions run one at a time; the newest entry is
//! never trimmed, so that counting goes on from it.

pub(crate) mod trim;

use sqlx::any::AnyRow;
use waypost_core::id::{DomainId, LinkId};
use waypost_sql::{Statement, as_bigint};

use crate::error::StoreError;
use crate::rows::Columns;
use crate::tx::ReadTx;

/// The most entries that one call gives.
pub const OUTBOX_BATCH_MAX: u32 = 10_000;

/// A change that edges must learn of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its place in the order of commits: 1, 2, 3, ...
    pub sequence: u64,
    /// The link that changed.
    pub link_id: LinkId,
    /// Its domain.
    pub domain_id: DomainId,
    /// Its slug.
    pub slug: String,
    /// The version that the change gave it.
    pub version: u64,
}

fn read_entry(row: &AnyRow) -> Result<OutboxEntry, StoreError> {
    let columns = Columns::new(row, "outbox entry");
    Ok(OutboxEntry {
        sequence: columns.count("sequence")?,
        link_id: columns.link_id("link_id")?,
        domain_id: columns.domain_id("domain_id")?,
        slug: columns.get("slug")?,
        version: columns.count("version")?,
    })
}

impl ReadTx {
    /// The entries after `cursor` in order, at most `limit` and 10,000; none where the reader is up to date.
    ///
    /// # Errors
    /// [`StoreError::OutboxGap`] where the entry right after `cursor` is not there any more, or `cursor` is ahead of the newest
    /// entry (another database, or one restored from a backup): the reader must rebuild from all records.
    pub async fn outbox_after(&mut self, cursor: u64, limit: u32) -> Result<Vec<OutboxEntry>, StoreError> {
        let statement = Statement::new(
            "SELECT sequence, link_id, domain_id, slug, version FROM outbox WHERE sequence > $1
             ORDER BY sequence LIMIT $2",
        );
        let limit = i64::from(limit.clamp(1, OUTBOX_BATCH_MAX));
        let rows = self.fetch_all(statement.bind(as_bigint(cursor)).bind(limit)).await?;
        let entries = rows.iter().map(read_entry).collect::<Result<Vec<_>, _>>()?;
        let goes_on = match entries.first() {
            Some(entry) => entry.sequence == cursor + 1,
            None => self.outbox_last().await? == cursor,
        };
        if goes_on {
            return Ok(entries);
        }
        let (first, last) = (self.outbox_first().await?, self.outbox_last().await?);
        Err(StoreError::OutboxGap { cursor, first, last })
    }

    /// The newest entry's sequence; 0 where there never was one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn outbox_last(&mut self) -> Result<u64, StoreError> {
        self.outbox_end("SELECT coalesce(max(sequence), 0) AS sequence FROM outbox").await
    }

    /// The oldest kept entry's sequence; 0 where there never was one.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn outbox_first(&mut self) -> Result<u64, StoreError> {
        self.outbox_end("SELECT coalesce(min(sequence), 0) AS sequence FROM outbox").await
    }

    async fn outbox_end(&mut self, statement: &'static str) -> Result<u64, StoreError> {
        let row = self.fetch_optional(Statement::new(statement)).await?;
        Ok(row.as_ref().map_or(Ok(0), |row| Columns::new(row, "outbox").count("sequence"))?)
    }
}
