//! The values and combinations of values that one family has seen, each with a number.
//!
//! Numbers are given in the order of arrival, after those that were read from a stored block, which are in order. What
//! was read is found by halving, what came later by hash: so a stored block with many combinations is ready as soon as
//! it is read. Everything is limited: past the limits a value becomes [`OTHER`], so that visitors who invent values
//! cost no more than that.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::schema::{Origin, PARTS, Said, Schema, TEXTS};

/// Replaces values for which there is no room.
pub(crate) const OTHER: &str = "(other)";

/// A number within a part takes so many bits of a row.
const CODE_BITS: usize = 20;
/// A part's row takes so many bits of a combination.
const ROW_BITS: usize = 21;
/// With fewer new ones than this a look at each is quicker than a hash.
const LOOKED_AT_MAX: usize = 8;

/// How much is kept apart.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Values of one dimension, beside [`OTHER`].
    pub(crate) values: usize,
    /// Bytes of one dimension's values.
    pub(crate) text_bytes: usize,
    /// From so many combinations on, what visitors can invent is no longer kept apart in new ones.
    pub(crate) combinations: usize,
    /// From so many on, no text is.
    pub(crate) combinations_hard: usize,
}

/// What fits into a stored block.
pub(crate) static STORED: Limits =
    Limits { values: 1_000, text_bytes: 32 << 10, combinations: 40_000, combinations_hard: 50_000 };
/// What fits into a vocabulary, and into a month.
pub(crate) static BATCH: Limits =
    Limits { values: 1_000_000, text_bytes: 256 << 20, combinations: 1_000_000, combinations_hard: 1_500_000 };
/// No stored block has more combinations: with no text kept apart there are fewer than 6,800 more.
pub(crate) const COMBINATIONS_MAX: usize = 1 << 16;

/// Texts by number; 0 is the empty one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    bytes: String,
    ends: Vec<u32>,
    /// So many of them came from a stored block.
    sorted: usize,
    later: HashTable<u32>,
}

impl Texts {
    /// From strings that are in order.
    pub(crate) fn from_sorted(texts: &[&str]) -> Self {
        let mut new = Self::default();
        new.ends.reserve(texts.len());
        new.bytes.reserve(texts.iter().map(|text| text.len()).sum());
        texts.iter().for_each(|text| new.push(text));
        new.sorted = texts.len();
        new
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none came after those of a stored block.
    pub(crate) fn is_as_stored(&self) -> bool {
        self.sorted == self.ends.len()
    }

    pub(crate) fn get(&self, code: u32) -> &str {
        let Some(place) = (code as usize).checked_sub(1) else { return "" };
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[place] as usize]
    }

    fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len() as u32);
    }

    pub(crate) fn find(&self, text: &str, state: &DefaultHashBuilder) -> Option<u32> {
        if text.is_empty() {
            return Some(0);
        }
        let (mut low, mut high) = (0, self.sorted);
        while low < high {
            let middle = (low + high) / 2;
            match self.get(middle as u32 + 1).cmp(text) {
                std::cmp::Ordering::Equal => return Some(middle as u32 + 1),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        if self.later.is_empty() {
            return (self.sorted as u32 + 1..=self.len() as u32).find(|code| self.get(*code) == text);
        }
        self.later.find(state.hash_one(text), |code| self.get(*code) == text).copied()
    }

    /// Adds a new string.
    fn add(&mut self, text: &str, state: &DefaultHashBuilder) -> u32 {
        self.push(text);
        let code = self.len() as u32;
        if self.len() - self.sorted > LOOKED_AT_MAX {
            let first = if self.later.is_empty() { self.sorted as u32 + 1 } else { code };
            let mut later = std::mem::take(&mut self.later);
            for code in first..=code {
                later.insert_unique(state.hash_one(self.get(code)), code, |code| state.hash_one(self.get(*code)));
            }
            self.later = later;
        }
        code
    }

    fn intern(&mut self, text: &str, limits: &Limits, state: &DefaultHashBuilder) -> u32 {
        if let Some(code) = self.find(text, state) {
            return code;
        }
        let has_room = self.len() < limits.values && self.bytes.len() + text.len() <= limits.text_bytes;
        if has_room { self.add(text, state) } else { self.other(state) }
    }

    fn other(&mut self, state: &DefaultHashBuilder) -> u32 {
        match self.find(OTHER, state) {
            Some(code) => code,
            None => self.add(OTHER, state),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4 + self.later.capacity() * 5
    }
}

/// Combinations by number.
#[derive(Clone, Debug)]
pub(crate) struct Rows<K> {
    list: Vec<K>,
    sorted: usize,
    later: HashTable<u32>,
}

impl<K> Default for Rows<K> {
    fn default() -> Self {
        Self { list: Vec::new(), sorted: 0, later: HashTable::new() }
    }
}

impl<K: Copy + Ord + Hash> Rows<K> {
    pub(crate) fn from_sorted(list: Vec<K>) -> Self {
        let sorted = list.len();
        Self { list, sorted, later: HashTable::new() }
    }

    pub(crate) fn list(&self) -> &[K] {
        &self.list
    }

    pub(crate) fn is_as_stored(&self) -> bool {
        self.sorted == self.list.len()
    }

    fn find(&self, row: K, state: &DefaultHashBuilder) -> Option<u32> {
        let (sorted, later) = self.list.split_at(self.sorted);
        if let Ok(place) = sorted.binary_search(&row) {
            return Some(place as u32);
        }
        if self.later.is_empty() {
            return later.iter().position(|known| *known == row).map(|place| (self.sorted + place) as u32);
        }
        self.later.find(state.hash_one(row), |place| self.list[*place as usize] == row).copied()
    }

    fn intern(&mut self, row: K, state: &DefaultHashBuilder) -> u32 {
        if let Some(place) = self.find(row, state) {
            return place;
        }
        let place = self.list.len() as u32;
        self.list.push(row);
        if self.list.len() - self.sorted > LOOKED_AT_MAX {
            let first = if self.later.is_empty() { self.sorted as u32 } else { place };
            let list = &self.list;
            let hash = |place: &u32| state.hash_one(list[*place as usize]);
            for place in first..=place {
                self.later.insert_unique(hash(&place), place, hash);
            }
        }
        place
    }

    fn memory_bytes(&self) -> usize {
        self.list.capacity() * size_of::<K>() + self.later.capacity() * 5
    }
}

/// Numbers in the order of a part's dimensions as one that sorts like them.
pub(crate) fn pack_row(codes: impl Iterator<Item = u32>) -> u128 {
    codes.fold(0, append_code)
}

/// A row with one more number at its end.
pub(crate) fn append_code(row: u128, code: u32) -> u128 {
    row << CODE_BITS | u128::from(code)
}

/// The number at a place of a row of `fields` numbers.
pub(crate) fn code_at(row: u128, place: usize, fields: usize) -> u32 {
    (row >> ((fields - 1 - place) * CODE_BITS)) as u32 & ((1 << CODE_BITS) - 1)
}

/// The three parts' rows as one number that sorts like them.
pub(crate) fn pack(rows: [u32; PARTS]) -> u64 {
    rows.into_iter().fold(0, |tuple, row| tuple << ROW_BITS | u64::from(row))
}

pub(crate) fn unpack(tuple: u64) -> [u32; PARTS] {
    let mask = (1 << ROW_BITS) - 1;
    [(tuple >> (2 * ROW_BITS)) & mask, (tuple >> ROW_BITS) & mask, tuple & mask].map(|row| row as u32)
}

/// Numbers of a combination: of its strings, and those of its values out of a fixed set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Codes {
    pub(crate) texts: [u32; TEXTS],
    pub(crate) plain: [u8; 5],
}

/// The rows of a combination in the three parts.
pub(crate) fn rows_of(schema: &Schema, codes: &Codes) -> [u128; PARTS] {
    schema.parts.map(|part| {
        pack_row(part.iter().map(|(_, origin)| match origin {
            Origin::Text(place) => codes.texts[*place],
            Origin::Plain(plain) => codes.plain[*plain as usize].into(),
        }))
    })
}

/// The numbers in the rows of a combination.
pub(crate) fn codes_of(schema: &Schema, rows: [u128; PARTS]) -> Codes {
    let mut codes = Codes::default();
    for (fields, row) in schema.parts.iter().zip(rows) {
        for (field, (_, origin)) in fields.iter().enumerate() {
            let code = code_at(row, field, fields.len());
            match origin {
                Origin::Text(place) => codes.texts[*place] = code,
                Origin::Plain(plain) => codes.plain[*plain as usize] = code as u8,
            }
        }
    }
    codes
}

/// Everything a family has seen.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) schema: &'static Schema,
    limits: &'static Limits,
    pub(crate) texts: [Texts; TEXTS],
    pub(crate) parts: [Rows<u128>; PARTS],
    pub(crate) tuples: Rows<u64>,
    state: DefaultHashBuilder,
}

impl Words {
    pub(crate) fn new(schema: &'static Schema, limits: &'static Limits) -> Self {
        Self {
            schema,
            limits,
            texts: Default::default(),
            parts: Default::default(),
            tuples: Rows::default(),
            state: DefaultHashBuilder::default(),
        }
    }

    /// The number of a combination of values.
    pub(crate) fn intern(&mut self, said: &Said<'_>) -> u32 {
        let mut codes = Codes { texts: [0; TEXTS], plain: said.plain };
        for (place, text) in said.texts.into_iter().enumerate() {
            codes.texts[place] = self.intern_text(place, text);
        }
        self.intern_codes(codes)
    }

    pub(crate) fn intern_text(&mut self, place: usize, text: &str) -> u32 {
        self.texts[place].intern(text, self.limits, &self.state)
    }

    /// The number of a combination of numbers.
    pub(crate) fn intern_codes(&mut self, mut codes: Codes) -> u32 {
        let mut rows = self.rows_of(&codes);
        if self.tuples.list.len() >= self.limits.combinations {
            if let Some(found) = self.find_rows(&rows) {
                return found;
            }
            for place in self.schema.first_given_up {
                if codes.texts[*place] != 0 {
                    codes.texts[*place] = self.texts[*place].other(&self.state);
                }
            }
            rows = self.rows_of(&codes);
        }
        if self.tuples.list.len() >= self.limits.combinations_hard && self.find_rows(&rows).is_none() {
            for (place, code) in codes.texts.iter_mut().enumerate() {
                *code = self.texts[place].other(&self.state);
            }
            rows = self.rows_of(&codes);
        }
        let mut places = [0; PARTS];
        for (part, row) in rows.into_iter().enumerate() {
            places[part] = self.parts[part].intern(row, &self.state);
        }
        self.tuples.intern(pack(places), &self.state)
    }

    fn rows_of(&self, codes: &Codes) -> [u128; PARTS] {
        rows_of(self.schema, codes)
    }

    fn find_rows(&self, rows: &[u128; PARTS]) -> Option<u32> {
        let mut places = [0; PARTS];
        for (part, row) in rows.iter().enumerate() {
            places[part] = self.parts[part].find(*row, &self.state)?;
        }
        self.tuples.find(pack(places), &self.state)
    }

    /// The numbers of a combination.
    pub(crate) fn codes(&self, tuple: u32) -> Codes {
        let places = unpack(self.tuples.list[tuple as usize]);
        codes_of(self.schema, std::array::from_fn(|part| self.parts[part].list[places[part] as usize]))
    }

    /// The values of a combination.
    pub(crate) fn said(&self, tuple: u32) -> Said<'_> {
        let codes = self.codes(tuple);
        Said { texts: std::array::from_fn(|place| self.texts[place].get(codes.texts[place])), plain: codes.plain }
    }

    /// The number here of another's combination; created if there is none.
    pub(crate) fn adopt(&mut self, from: &Words, tuple: u32, known: &mut Known) -> u32 {
        if let Some(place) = known.tuples.get(tuple) {
            return place;
        }
        let mut codes = from.codes(tuple);
        for (place, code) in codes.texts.iter_mut().enumerate() {
            let theirs = *code;
            if theirs != 0 {
                *code = known.texts[place].get(theirs).unwrap_or_else(|| {
                    let text = from.texts[place].get(theirs);
                    self.texts[place].intern(text, self.limits, &self.state)
                });
                known.texts[place].set(theirs, *code);
            }
        }
        let place = self.intern_codes(codes);
        known.tuples.set(tuple, place);
        place
    }

    /// The number here of another's combination, if there is one.
    pub(crate) fn find(&self, from: &Words, tuple: u32) -> Option<u32> {
        let mut codes = from.codes(tuple);
        for (place, code) in codes.texts.iter_mut().enumerate() {
            *code = self.texts[place].find(from.texts[place].get(*code), &self.state)?;
        }
        self.find_rows(&self.rows_of(&codes))
    }

    /// Whether a combination has a value that had no room.
    pub(crate) fn is_other(&self, tuple: u32) -> bool {
        let codes = self.codes(tuple);
        codes.texts.iter().zip(&self.texts).any(|(code, texts)| texts.get(*code) == OTHER)
    }

    /// Takes what a stored block has, all in order.
    pub(crate) fn from_sorted(
        schema: &'static Schema,
        texts: [Texts; TEXTS],
        parts: [Rows<u128>; PARTS],
        tuples: Rows<u64>,
    ) -> Self {
        Self { schema, limits: &STORED, texts, parts, tuples, state: DefaultHashBuilder::default() }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.texts.iter().map(Texts::memory_bytes).sum::<usize>()
            + self.parts.iter().map(Rows::memory_bytes).sum::<usize>()
            + self.tuples.memory_bytes()
    }
}

/// What another's numbers are here, as far as that was asked already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    tuples: Memory,
    texts: [Memory; TEXTS],
}

impl Known {
    /// Removes everything, without cost.
    pub(crate) fn forget(&mut self) {
        self.tuples.round += 1;
        self.texts.iter_mut().for_each(|memory| memory.round += 1);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let memories = std::iter::once(&self.tuples).chain(&self.texts);
        memories.map(|memory| memory.entries.capacity() * size_of::<(u32, u32)>()).sum()
    }
}

/// Numbers by number. An entry counts in the round in which it was set.
#[derive(Clone, Debug, Default)]
struct Memory {
    round: u32,
    entries: Vec<(u32, u32)>,
}

impl Memory {
    fn get(&self, number: u32) -> Option<u32> {
        let (round, value) = *self.entries.get(number as usize)?;
        // Entries never set are of round 0, the first is 1.
        (round == self.round + 1).then_some(value)
    }

    fn set(&mut self, number: u32, value: u32) {
        let place = number as usize;
        if place >= self.entries.len() {
            self.entries.resize(place + 1, (0, 0));
        }
        self.entries[place] = (self.round + 1, value);
    }
}
