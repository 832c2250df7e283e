//! The roll-up of one scope for one day (in UTC).

use crate::{ClickFacts, CorruptRollup};

/// Counts of clicks by hour and by everything a report can ask for, and a sample of visitors.
#[derive(Clone, Debug, Default)]
pub struct DayRollup {}

impl DayRollup {
    /// Counts a click. The caller has seen to it that the click is of this scope and day.
    pub fn add(&mut self, _click: &ClickFacts<'_>) {}

    /// Adds what another roll-up of the same scope and day has counted.
    pub fn merge(&mut self, _other: &Self) {}

    /// Takes back what another roll-up has counted before into this one (erasure).
    pub fn subtract(&mut self, _other: &Self) {}

    /// How many clicks were counted.
    pub fn clicks(&self) -> u64 {
        0
    }

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
