//! Counts many clicks at once: values that they share are stored once, and each click is then a few numbers.

use waypost_core::class::Class;

use crate::day::hour_of;
use crate::day_format::KEY_BYTES;
use crate::sample::sample_key;
use crate::schema::{MAIN, SOURCES, Said, Schema};
use crate::view::key_of;
use crate::words::{BATCH, Known, Words};
use crate::{ClickFacts, CorruptRollup, DayRollup, encode, few};

/// What the clicks of a batch say, each distinct combination once. Clicks become [`ClickKey`]s by it once, however many
/// roll-ups they are then added to.
///
/// It grows with what is distinct in the clicks, and never shrinks: create one for each batch, or a new one when
/// [`Self::memory_bytes`] is too much.
#[derive(Debug)]
pub struct Vocabulary {
    main: FamilyVocabulary,
    sources: FamilyVocabulary,
}

/// A click as numbers that mean something to the [`Vocabulary`] that gave it, and to no other. Takes 20 bytes.
#[derive(Clone, Copy, Debug)]
pub struct ClickKey {
    /// What a sample keeps of the visitor's key.
    visitor: Option<[u8; KEY_BYTES]>,
    pub(crate) main: u32,
    pub(crate) sources: u32,
    class: Class,
    pub(crate) hour: u8,
}

/// What the clicks say in one family, and which of that a roll-up is known to have.
#[derive(Debug)]
struct FamilyVocabulary {
    words: Words,
    known: Known,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self { main: FamilyVocabulary::new(&MAIN), sources: FamilyVocabulary::new(&SOURCES) }
    }
}

impl FamilyVocabulary {
    fn new(schema: &'static Schema) -> Self {
        Self { words: Words::new(schema, &BATCH), known: Known::default() }
    }

    fn memory_bytes(&self) -> usize {
        self.words.memory_bytes() + self.known.memory_bytes()
    }
}

impl Vocabulary {
    /// An empty vocabulary.
    pub fn new() -> Self {
        Self::default()
    }

    /// The click as numbers.
    pub fn key(&mut self, click: &ClickFacts<'_>) -> ClickKey {
        ClickKey {
            visitor: click.visitor.map(key_bytes),
            main: self.main.words.intern(&Said::main(click)),
            sources: self.sources.words.intern(&Said::sources(click)),
            class: click.class,
            hour: hour_of(click),
        }
    }

    /// The bytes to store in place of these (of `None` if nothing is stored yet): a [`crate::DayRollup`] of what they
    /// counted and of these clicks of one scope and day, whose keys this vocabulary has given.
    ///
    /// # Errors
    /// If the stored bytes are no roll-up.
    ///
    /// # Panics
    /// May panic, or count other values, if the clicks come from another vocabulary.
    pub fn merge(&mut self, keys: &[ClickKey], stored: Option<&[u8]>) -> Result<Vec<u8>, CorruptRollup> {
        let Self { main, sources } = self;
        if let (None, [key]) = (stored, keys) {
            let families = [(&main.words, key.main), (&sources.words, key.sources)];
            return Ok(encode::one_click(families, key.hour, key.visitor()));
        }
        if let Some(bytes) = few::merge([&main.words, &sources.words], keys, stored)? {
            return Ok(bytes);
        }
        let mut rollup = stored.map_or_else(|| Ok(DayRollup::default()), DayRollup::decode)?;
        main.known.forget();
        sources.known.forget();
        for key in keys {
            let main = rollup.main.words.adopt(&main.words, key.main, &mut main.known);
            let sources = rollup.sources.words.adopt(&sources.words, key.sources, &mut sources.known);
            rollup.count(main, sources, key.hour, key.visitor());
        }
        Ok(rollup.encode())
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.main.memory_bytes() + self.sources.memory_bytes()
    }
}

impl ClickKey {
    /// What the click is counted as.
    pub fn class(self) -> Class {
        self.class
    }

    /// The hour of its day, in UTC.
    pub fn hour(self) -> u8 {
        self.hour
    }

    /// What a sample keeps of the visitor's key.
    pub(crate) fn visitor(self) -> Option<u64> {
        self.visitor.map(|bytes| key_of(&bytes))
    }
}

fn key_bytes(visitor: u64) -> [u8; KEY_BYTES] {
    let [bytes @ .., _, _] = sample_key(visitor).to_le_bytes();
    bytes
}
