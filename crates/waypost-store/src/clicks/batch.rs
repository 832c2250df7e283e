//! Clicks on their way into the database: added up in memory, off the database, and counted in one transaction.

use waypost_rollup::ClickFacts;

use crate::clicks::LossCause;

/// Clicks of one or more epochs, added up. Memory grows with what is distinct in them, not with their number.
#[derive(Debug, Default)]
pub struct ClickBatch {
    clicks: u64,
}

impl ClickBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a click. Clicks of one epoch come in the order of their sequences, together with its losses.
    ///
    /// A click whose link or account id is none is taken as lost ([`LossCause::Unreadable`]).
    pub fn push(&mut self, _click: &ClickFacts<'_>) {
        self.clicks += 1;
    }

    /// Adds a declared loss: these many sequences of this epoch from this one on.
    pub fn push_lost(&mut self, _edge_id: &str, _epoch: u64, _first_sequence: u64, _count: u64, _cause: LossCause) {}

    /// How many clicks were added.
    pub fn clicks(&self) -> u64 {
        self.clicks
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.clicks == 0
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }
}
