//! Counting many clicks at once: what they have in common is read once, and each click is then a few numbers.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use waypost_core::class::Class;

use crate::day::hour_of;
use crate::schema::{MAIN, SOURCES, Said, Schema};
use crate::words::{BATCH, Known, Words};
use crate::{ClickFacts, CorruptRollup, DayRollup, encode, few};

/// What the clicks of a batch say, each distinct combination once. Clicks become [`ClickKey`]s by it, at the cost of two
/// look-ups each, however many roll-ups they are then added to.
///
/// It grows with what is distinct in the clicks, and never forgets: make one for each batch, or a new one when
/// [`Self::memory_bytes`] is too much.
#[derive(Debug)]
pub struct Vocabulary {
    main: FamilyVocabulary,
    sources: FamilyVocabulary,
}

/// A click as numbers that mean something to the [`Vocabulary`] that gave it, and to no other.
#[derive(Clone, Copy, Debug)]
pub struct ClickKey {
    pub(crate) visitor: Option<u64>,
    pub(crate) main: u32,
    pub(crate) sources: u32,
    class: Class,
    pub(crate) hour: u8,
}

/// The clicks that one scope and day gets from a batch. Takes 32 bytes a click.
#[derive(Clone, Debug, Default)]
pub struct DayDelta {
    keys: Vec<ClickKey>,
}

/// The combinations of one family, found by all they say at once.
#[derive(Debug)]
struct FamilyVocabulary {
    words: Words,
    /// What each combination says, in bytes, one after the other; by hash.
    said: HashTable<SaidAt>,
    said_bytes: Vec<u8>,
    scratch: Vec<u8>,
    state: DefaultHashBuilder,
    known: Known,
}

/// Where the bytes of what was said are.
#[derive(Clone, Copy, Debug)]
struct SaidAt {
    hash: u64,
    start: usize,
    end: usize,
    tuple: u32,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self { main: FamilyVocabulary::new(&MAIN), sources: FamilyVocabulary::new(&SOURCES) }
    }
}

impl FamilyVocabulary {
    fn new(schema: &'static Schema) -> Self {
        Self {
            words: Words::new(schema, &BATCH),
            said: HashTable::new(),
            said_bytes: Vec::new(),
            scratch: Vec::new(),
            state: DefaultHashBuilder::default(),
            known: Known::default(),
        }
    }

    fn intern(&mut self, said: &Said<'_>) -> u32 {
        self.scratch.clear();
        self.scratch.extend_from_slice(&said.plain);
        for text in said.texts {
            // No text is longer than what is kept of a click.
            self.scratch.extend_from_slice(&(text.len() as u16).to_le_bytes());
            self.scratch.extend_from_slice(text.as_bytes());
        }
        let hash = self.state.hash_one(self.scratch.as_slice());
        let found = self.said.find(hash, |at| self.said_bytes[at.start..at.end] == self.scratch);
        if let Some(at) = found {
            return at.tuple;
        }
        let tuple = self.words.intern(said);
        let start = self.said_bytes.len();
        self.said_bytes.extend_from_slice(&self.scratch);
        let at = SaidAt { hash, start, end: self.said_bytes.len(), tuple };
        self.said.insert_unique(hash, at, |at| at.hash);
        tuple
    }

    fn memory_bytes(&self) -> usize {
        self.words.memory_bytes()
            + self.said.capacity() * (size_of::<SaidAt>() + 1)
            + self.said_bytes.capacity()
            + self.known.memory_bytes()
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
            visitor: click.visitor,
            main: self.main.intern(&Said::main(click)),
            sources: self.sources.intern(&Said::sources(click)),
            class: click.class,
            hour: hour_of(click),
        }
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
}

impl DayDelta {
    /// Counts a click of this scope and day. All clicks of a delta come from the same vocabulary.
    pub fn add(&mut self, key: ClickKey) {
        self.keys.push(key);
    }

    /// Counts the clicks of another delta, which come from the same vocabulary.
    pub fn append(&mut self, other: &Self) {
        self.keys.extend_from_slice(&other.keys);
    }

    /// How many clicks were counted.
    pub fn clicks(&self) -> u64 {
        self.keys.len() as u64
    }

    pub(crate) fn keys(&self) -> &[ClickKey] {
        &self.keys
    }

    /// The bytes to store in place of these (of `None` where nothing is stored yet): a [`crate::DayRollup`] of what they
    /// counted and of these clicks. The vocabulary is the one that the clicks come from.
    ///
    /// # Errors
    /// Where the stored bytes are no roll-up.
    ///
    /// # Panics
    /// May panic, or count other values, where the clicks come from another vocabulary.
    pub fn merge_into(&self, vocabulary: &mut Vocabulary, stored: Option<&[u8]>) -> Result<Vec<u8>, CorruptRollup> {
        let Vocabulary { main, sources } = vocabulary;
        if let (None, [key]) = (stored, &*self.keys) {
            let families = [(&main.words, key.main), (&sources.words, key.sources)];
            return Ok(encode::one_click(families, key.hour, key.visitor));
        }
        if let Some(bytes) = few::merge([&main.words, &sources.words], &self.keys, stored)? {
            return Ok(bytes);
        }
        let mut rollup = stored.map_or_else(|| Ok(DayRollup::default()), DayRollup::decode)?;
        main.known.forget();
        sources.known.forget();
        for key in &self.keys {
            let main = rollup.main.words.adopt(&main.words, key.main, &mut main.known);
            let sources = rollup.sources.words.adopt(&sources.words, key.sources, &mut sources.known);
            rollup.count(main, sources, key.hour, key.visitor);
        }
        Ok(rollup.encode())
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.keys.capacity() * size_of::<ClickKey>()
    }
}
