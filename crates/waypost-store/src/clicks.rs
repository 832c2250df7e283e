//! Clicks: what was counted, where every edge's count stands, and the clicks themselves for as long as they are kept.
//!
//! They live apart from the links (on SQLite in a file of their own), so that counting never waits for an edit. One
//! transaction takes a whole batch: roll-ups, raw clicks, and how far the edge's numbering has come; so whatever dies
//! wherever, a click is counted once.

mod batch;

use waypost_core::Timestamp;
use waypost_core::click::ClickEvent;
use waypost_core::id::{AccountId, LinkId};
use waypost_rollup::{ClickFacts, QueryError, Report, ReportQuery};

pub use batch::ClickBatch;

use crate::database::StoreOptions;
use crate::error::StoreError;

/// The most clicks on a page of raw clicks.
pub const PAGE_CLICKS_MAX: usize = 10_000;

/// The clicks database. Cloning is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct ClickStore {}

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
    /// The cursor of the next page, where there may be more.
    pub next: Option<String>,
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

impl ClickStore {
    /// Opens the clicks database at this address (as [`crate::Store::open`]; on PostgreSQL it may be the database of the
    /// links) and brings its schema up to date.
    ///
    /// # Errors
    /// As [`crate::Store::open`].
    pub async fn open(_address: &str, _options: StoreOptions) -> Result<Self, StoreError> {
        Ok(Self {})
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Waits for the running transactions, then closes every connection.
    pub async fn close(&self) {}

    /// How far this edge's epochs have been counted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn positions(&self, _edge_id: &str) -> Result<Vec<ClickPosition>, StoreError> {
        Ok(Vec::new())
    }

    /// Counts a batch: all of it or, on an error, nothing.
    ///
    /// # Errors
    /// [`StoreError::ClicksMoved`] where a part of it does not begin where the edge's epoch stands (another process, or this
    /// one before an error, has counted it already): read [`Self::positions`] and begin there. And where the database fails.
    pub async fn ingest(&self, _batch: ClickBatch) -> Result<(), StoreError> {
        Ok(())
    }

    /// Counts events that came from elsewhere, each once however often it comes; one outcome for each.
    ///
    /// # Errors
    /// Where the database fails; none was counted then.
    pub async fn ingest_events(&self, _events: &[ClickFacts<'_>]) -> Result<Vec<EventOutcome>, StoreError> {
        Ok(Vec::new())
    }

    /// Answers a report's question.
    ///
    /// # Errors
    /// Where the question has no answer, or the database fails.
    pub async fn report(&self, _query: &ReportQuery) -> Result<Report, ReportError> {
        Ok(Report::default())
    }

    /// A page of raw clicks.
    ///
    /// # Errors
    /// [`StoreError::CursorInvalid`] where the cursor is none; and where the database fails.
    pub async fn raw_clicks(&self, _query: &RawQuery) -> Result<ClickPage, StoreError> {
        Ok(ClickPage::default())
    }

    /// Deletes everything that is known of a link's clicks: raw clicks and roll-ups, also what they added to the account's and the
    /// domain's. Gives how many raw clicks that were.
    ///
    /// # Errors
    /// Where the database fails; nothing was deleted then.
    pub async fn erase_link(&self, _account_id: &AccountId, _link_id: &LinkId) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// Deletes the raw clicks of a visitor key and what they added to the roll-ups. Gives how many that were.
    ///
    /// # Errors
    /// Where the database fails; nothing was deleted then.
    pub async fn erase_visitor(&self, _account_id: &AccountId, _visitor: u64) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// Where every edge's count stands.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit(&self) -> Result<Vec<ClickAudit>, StoreError> {
        Ok(Vec::new())
    }

    /// For how many days an account's raw clicks are kept; `None` where it has not chosen.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retention_days(&self, _account_id: &AccountId) -> Result<Option<u32>, StoreError> {
        Ok(None)
    }

    /// Chooses that; `None` takes the choice back.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_retention_days(&self, _account_id: &AccountId, _days: Option<u32>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Deletes raw clicks that have had their days; `default_days` is for accounts that have not chosen. Totals stay. Gives how
    /// many clicks that were.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prune(&self, _default_days: u32) -> Result<u64, StoreError> {
        Ok(0)
    }
}
