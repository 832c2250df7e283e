//! What is asked of the clicks database and what it answers.

use waypost_core::Timestamp;
use waypost_core::click::ClickEvent;
use waypost_core::id::{AccountId, LinkId};

/// The most clicks on a page of raw clicks.
pub const PAGE_CLICKS_MAX: usize = 10_000;

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
    /// The cursor of the next page, where there may be more. A page may hold fewer clicks than were asked for, or none,
    /// and still have a next one.
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
    /// The ranges of sequences received, stored or declared lost, first and last of each. One range from 1 on where all
    /// is well.
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
