//! Events that were refused: kept apart, with the reason, for a person to look at.
//!
//! They stand in the transaction that counts the others of their delivery, and each stands once however often it comes. Only
//! so many are kept, the newest, and none for longer than [`REFUSED_DAYS`] days.

use hashbrown::HashSet;
use waypost_core::Timestamp;
use waypost_sql::{Columns, Statement, as_bigint};
use xxhash_rust::xxh3::Xxh3Default;

use crate::chunks::chunks;
use crate::error::ClicksError;
use crate::store::ClickStore;
use crate::tx::{ReadTx, Tx};

/// The most refused events that are kept.
const REFUSED_MAX: u64 = 10_000;
/// For how many days they are kept.
pub(crate) const REFUSED_DAYS: i64 = 30;
/// The most refused events on a page.
pub const PAGE_REFUSED_MAX: u32 = 1_000;

/// An event that is not counted. Its texts hold no NUL and no more of a visitor than may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEvent {
    /// The edge that it says it comes from; empty where it does not.
    pub edge_id: String,
    /// Why it is not counted.
    pub reason: String,
    /// The event, as far as it is kept.
    pub event: String,
}

/// A refused event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRefusal {
    /// When it came first.
    pub received_at: Timestamp,
    /// The event, and why it was refused.
    pub refused: RefusedEvent,
}

/// A page of refused events, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedPage {
    /// The events.
    pub events: Vec<StoredRefusal>,
    /// The cursor of the next page, where there is one.
    pub next: Option<String>,
}

impl ClickStore {
    /// Refused events, the newest first: at most `limit` (at most [`PAGE_REFUSED_MAX`]), from behind a page's `next`.
    ///
    /// # Errors
    /// [`ClicksError::CursorInvalid`] where the cursor is none; and where the database fails.
    pub async fn refused_events(&self, cursor: Option<&str>, limit: u32) -> Result<RefusedPage, ClicksError> {
        let before = cursor.map_or(Some(i64::MAX), read_cursor).ok_or(ClicksError::CursorInvalid)?;
        let limit = limit.clamp(1, PAGE_REFUSED_MAX);
        let mut tx = self.read("refused_events").await?;
        let statement = Statement::new(
            "SELECT sequence, received_at, edge_id, reason, event FROM click_refused
             WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2",
        );
        let rows = tx.fetch_all(statement.bind(before).bind(i64::from(limit) + 1)).await?;
        let mut page = RefusedPage::default();
        let mut last = 0;
        for row in rows.iter().take(limit as usize) {
            let columns = Columns::new(row, "refused event");
            last = columns.get("sequence")?;
            let (edge_id, reason, event) = (columns.get("edge_id")?, columns.get("reason")?, columns.get("event")?);
            let refused = RefusedEvent { edge_id, reason, event };
            page.events.push(StoredRefusal { received_at: columns.time("received_at")?, refused });
        }
        page.next = (rows.len() > limit as usize).then(|| format!("r1.{last}"));
        Ok(page)
    }
}

fn read_cursor(text: &str) -> Option<i64> {
    let before: i64 = text.strip_prefix("r1.")?.parse().ok()?;
    (before > 0 && format!("r1.{before}") == text).then_some(before)
}

/// What tells a refused event from others.
fn digest(refused: &RefusedEvent) -> i64 {
    let mut hash = Xxh3Default::new();
    for text in [&refused.edge_id, &refused.reason, &refused.event] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.digest().cast_signed()
}

impl ReadTx {
    async fn known_refusals(&mut self, digests: &[i64]) -> Result<HashSet<i64>, ClicksError> {
        let mut known = HashSet::new();
        for chunk in chunks(digests) {
            let mut sql = "SELECT digest FROM click_refused WHERE digest IN ".to_owned();
            self.engine().put_placeholders(&mut sql, 1, chunk.len());
            let statement = chunk.iter().fold(Statement::new(sql), |statement, digest| statement.bind(*digest));
            for row in &self.fetch_all(statement).await? {
                known.insert(Columns::new(row, "refused event").get::<i64>("digest")?);
            }
        }
        Ok(known)
    }
}

impl Tx {
    /// Keeps those that are not kept already, and lets go of the oldest beyond [`REFUSED_MAX`].
    pub(crate) async fn keep_refused(&mut self, refused: &[RefusedEvent]) -> Result<(), ClicksError> {
        let digests: Vec<i64> = refused.iter().map(digest).collect();
        let mut known = self.known_refusals(&digests).await?;
        let new: Vec<_> = refused.iter().zip(digests).filter(|(_, digest)| known.insert(*digest)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let last = Statement::new("SELECT coalesce(max(sequence), 0) AS sequence FROM click_refused");
        let last = self.fetch_optional(last).await?;
        let mut sequence = last.as_ref().map_or(Ok(0), |row| Columns::new(row, "refused event").count("sequence"))?;
        let now = self.now().as_micros();
        for chunk in chunks(&new) {
            let mut sql =
                "INSERT INTO click_refused (sequence, received_at, digest, edge_id, reason, event) VALUES ".to_owned();
            self.engine().put_placeholders(&mut sql, chunk.len(), 6);
            let statement = chunk.iter().fold(Statement::new(sql), |statement, (refused, digest)| {
                sequence += 1;
                let statement = statement.bind(as_bigint(sequence)).bind(now).bind(*digest);
                statement.bind(refused.edge_id.clone()).bind(refused.reason.clone()).bind(refused.event.clone())
            });
            self.execute(statement).await?;
        }
        let old = Statement::new("DELETE FROM click_refused WHERE sequence <= $1");
        self.execute(old.bind(as_bigint(sequence.saturating_sub(REFUSED_MAX)))).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        assert_eq!(read_cursor("r1.7"), Some(7));
        for bad in ["", "r1.", "r1.0", "r1.-1", "r1.07", "r1.+7", "c1.7", "r1.99999999999999999999"] {
            assert_eq!(read_cursor(bad), None, "{bad}");
        }
    }
}
