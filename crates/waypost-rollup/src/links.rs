//! The clicks of an account's or a domain's links on one day (in UTC): what "top links" is read from.

use crate::{ClickFacts, CorruptRollup, DayDelta};

/// Counts by link, class and hour.
#[derive(Clone, Debug, Default)]
pub struct LinksRollup {}

impl LinksRollup {
    /// Counts a click of the link that the store has given this number.
    pub fn add(&mut self, _link_number: u32, _click: &ClickFacts<'_>) {}

    /// Counts the clicks of a link's delta of the same day.
    pub fn add_delta(&mut self, _link_number: u32, _delta: &DayDelta) {}

    /// Adds what another roll-up of the same scope and day has counted.
    pub fn merge(&mut self, _other: &Self) {}

    /// Takes back what another roll-up has counted before into this one (erasure).
    pub fn subtract(&mut self, _other: &Self) {}

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// Where they are no roll-up.
    pub fn decode(_bytes: &[u8]) -> Result<Self, CorruptRollup> {
        Ok(Self {})
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }
}
