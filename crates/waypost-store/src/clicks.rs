//! Clicks: what was counted, where every edge's count stands, and the clicks themselves for as long as they are kept.
//!
//! They live apart from the links (on SQLite in a file of their own), so that counting never waits for an edit. One
//! transaction takes a whole batch: roll-ups, raw clicks, and how far the edge's numbering has come; so whatever dies
//! wherever, a click is counted once.

mod batch;
mod blocks;
mod cells;
mod clock;
mod erase;
mod events;
mod ingest;
mod keep;
mod months;
mod page;
mod raw;
mod refused;
mod report;
mod schema;
mod scopes;
mod spools;
mod totals;
mod writers;

use waypost_core::Timestamp;
use waypost_core::click::ClickEvent;
use waypost_core::id::{AccountId, LinkId};
use waypost_rollup::QueryError;
use waypost_sql::{Database, Engine, StoreOptions};

pub use batch::ClickBatch;
pub use clock::RetentionClock;
pub use refused::{PAGE_REFUSED_MAX, RefusedEvent, RefusedPage, StoredRefusal};

use crate::clicks::months::WantedMonths;
use crate::clicks::schema::CLICKS;
use crate::clicks::scopes::ScopeCache;
use crate::clicks::totals::WantedTotals;
use crate::error::StoreError;
use crate::tx::{ReadTx, Tx};

/// The most clicks on a page of raw clicks.
pub const PAGE_CLICKS_MAX: usize = 10_000;

/// The clicks database. Cloning is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct ClickStore {
    database: Database,
    scopes: ScopeCache,
    wanted_months: WantedMonths,
    wanted_totals: WantedTotals,
}

/// How far an edge's numbering has been counted in one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClickPosition {
    /// Which run of a writer.
    pub epoch: u64,
    /// The first sequence that was not counted yet.
    pub next_sequence: u64,
}

/// Why clicks of an edge were declared lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// There was no room for them.
    Full,
    /// Their bytes were damaged.
    Damaged,
    /// They were read, but say nothing that could be counted (a link or account id that is none).
    Unreadable,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// It was counted.
    Counted,
    /// It had been counted before.
    Duplicate,
    /// It cannot be counted: its link or account id is none.
    Rejected,
}

/// Which raw clicks are asked for. All of an account, or of one of its links.
#[derive(Clone, Debug)]
pub struct RawQuery {
    /// Whose.
    pub account_id: AccountId,
    /// Of this link only.
    pub link_id: Option<LinkId>,
    /// From this instant.
    pub from: Option<Timestamp>,
    /// To before this one.
    pub to: Option<Timestamp>,
    /// At most so many; at most [`PAGE_CLICKS_MAX`].
    pub limit: usize,
    /// Where the last page ended: its `next`.
    pub cursor: Option<String>,
}

/// A page of raw clicks, in the order in which they were counted day by day.
#[derive(Clone, Debug, Default)]
pub struct ClickPage {
    /// The clicks.
    pub events: Vec<ClickEvent>,
    /// The cursor of the next page, where there may be more. A page may hold fewer clicks than were asked for, or none, and
    /// still have a next one.
    pub next: Option<String>,
    /// Clicks that are left out because the bytes that hold them are damaged.
    pub damaged: u64,
}

/// What is known of one epoch of one edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickAudit {
    /// The edge.
    pub edge_id: String,
    /// The run of its writer.
    pub epoch: u64,
    /// The ranges of sequences received, stored or declared lost, first and last of each. One range from 1 on where all is well.
    pub received: Vec<(u64, u64)>,
    /// Clicks stored.
    pub stored: u64,
    /// Clicks declared lost, by cause.
    pub lost_full: u64,
    /// See [`LossCause::Damaged`].
    pub lost_damaged: u64,
    /// See [`LossCause::Unreadable`].
    pub lost_unreadable: u64,
    /// Sequences between the first and the last that were never received.
    pub missing: u64,
    /// When the first batch came.
    pub first_at: Timestamp,
    /// When the last one came.
    pub last_at: Timestamp,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The question has no answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The most rows of one statement; its parameters stay within the limits of both engines.
const ROWS_MAX: usize = 512;

/// Cuts a list into parts of few different lengths, so that the statements made for them come again and stay prepared.
fn chunks<T>(list: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let length = [ROWS_MAX, 64, 8, 1].into_iter().find(|&length| length <= rest.len())?;
        let (chunk, left) = rest.split_at(length);
        rest = left;
        Some(chunk)
    })
}

impl ClickStore {
    /// Opens the clicks database at this address (as [`crate::Store::open`]; on PostgreSQL it may be the database of the
    /// links) and brings its schema up to date.
    ///
    /// # Errors
    /// As [`crate::Store::open`].
    pub async fn open(address: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let database = Database::open(address, &CLICKS, options).await?;
        let (wanted_months, wanted_totals) = (WantedMonths::default(), WantedTotals::default());
        Ok(Self { database, scopes: ScopeCache::default(), wanted_months, wanted_totals })
    }

    /// Takes a database's schema back to an earlier release's, as [`crate::Store::revert_schema`].
    ///
    /// # Errors
    /// As [`ClickStore::open`].
    pub async fn revert_schema(address: &str, options: &StoreOptions, schema: i64) -> Result<(), StoreError> {
        Ok(Database::revert_schema(address, &CLICKS, options, schema).await?)
    }

    /// Which engine holds the data.
    pub const fn engine(&self) -> Engine {
        self.database.engine()
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// [`crate::SqlError::Unavailable`] where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.database.ping().await?)
    }

    /// Whether the database takes writes, known as by [`crate::Store::is_writable`].
    pub async fn is_writable(&self) -> bool {
        self.database.is_writable(self.probe_writing()).await
    }

    /// Waits for the running transactions, then closes every connection. On PostgreSQL it ends within seconds, whatever the network
    /// does: a transaction that is still under way then is undone.
    pub async fn close(&self) {
        self.database.close().await;
    }

    async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        Ok(Tx(self.database.begin(name).await?))
    }

    async fn read(&self, name: &'static str) -> Result<ReadTx, StoreError> {
        Ok(ReadTx(self.database.read(name).await?))
    }

    /// How far this edge's epochs have been counted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn positions(&self, edge_id: &str) -> Result<Vec<ClickPosition>, StoreError> {
        self.read("click_positions").await?.click_positions(edge_id).await
    }

    /// Counts a batch: all of it or, on an error, nothing. An epoch of which nothing was counted yet begins wherever the batch does.
    ///
    /// # Errors
    /// [`StoreError::ClicksMoved`] where a part of it does not begin where the edge's epoch stands (another process, or this
    /// one before an error, has counted it already): read [`Self::positions`] and begin there. And where the database fails.
    pub async fn ingest(&self, mut batch: ClickBatch) -> Result<(), StoreError> {
        let mut tx = self.begin("ingest_clicks").await?;
        tx.take_click_parts(&batch.parts).await?;
        let numbers = tx.count_clicks(&mut batch, &self.scopes).await?;
        tx.commit().await?;
        self.scopes.remember(&batch, &numbers);
        Ok(())
    }

    /// Where every edge's count stands.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit(&self) -> Result<Vec<ClickAudit>, StoreError> {
        self.read("click_audit").await?.click_audit().await
    }
}
