//! The roll-up of one scope for one day (in UTC).

use crate::ClickFacts;
use crate::cells::{Cell, Cells};
use crate::sample::{Sample, Seen, sample_key};
use crate::schema::{MAIN, Plain, SOURCES, Said, Schema};
use crate::words::{Known, Limits, STORED, Words};

const HOUR_MICROS: i64 = 3_600_000_000;

/// Counts of clicks by hour and by everything a report can ask for, and a sample of visitors.
///
/// Kept apart are up to 1,000 values of a dimension with open values (and 32 KiB of them), and some 50,000
/// combinations; past that, values become `(other)`. Totals are exact whatever the order in which clicks and roll-ups
/// come; which values become `(other)` is not. The same content has the same bytes.
#[derive(Clone, Debug)]
pub struct DayRollup {
    pub(crate) main: Family,
    pub(crate) sources: Family,
    pub(crate) sample: Sample,
}

/// Counts by the combinations of one family.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) words: Words,
    pub(crate) cells: Cells,
}

impl Default for DayRollup {
    fn default() -> Self {
        Self { main: Family::new(&MAIN), sources: Family::new(&SOURCES), sample: Sample::default() }
    }
}

impl Family {
    fn new(schema: &'static Schema) -> Self {
        Self::with_limits(schema, &STORED)
    }

    pub(crate) fn with_limits(schema: &'static Schema, limits: &'static Limits) -> Self {
        Self { words: Words::new(schema, limits), cells: Cells::default() }
    }

    fn merge(&mut self, other: &Self, known: &mut Known) {
        for cell in other.cells.list() {
            let tuple = self.words.adopt(&other.words, cell.tuple(), known);
            self.cells.push(Cell::new(tuple, cell.hour(), cell.count));
        }
    }

    /// Subtracts counts. What was counted under a value that had no room is taken from `(other)` values of that class
    /// and hour.
    fn subtract(&mut self, other: &Self) {
        self.cells.sort();
        let mut short = [[0_u32; 24]; 5];
        for cell in other.cells.list() {
            let here = self.words.find(&other.words, cell.tuple());
            let missing = here.map_or(cell.count, |tuple| self.cells.take(Cell::new(tuple, cell.hour(), cell.count)));
            let class = other.words.codes(cell.tuple()).plain[Plain::Class as usize];
            let short = &mut short[usize::from(class)][usize::from(cell.hour())];
            *short = short.saturating_add(missing);
        }
        if short.iter().flatten().any(|count| *count > 0) {
            for cell in self.cells.list().to_vec() {
                let class = self.words.codes(cell.tuple()).plain[Plain::Class as usize];
                let short = &mut short[usize::from(class)][usize::from(cell.hour())];
                if *short > 0 && self.words.is_other(cell.tuple()) {
                    *short = self.cells.take(Cell::new(cell.tuple(), cell.hour(), *short));
                }
            }
        }
        self.cells.drop_empty();
    }

    fn memory_bytes(&self) -> usize {
        self.words.memory_bytes() + self.cells.memory_bytes()
    }
}

impl DayRollup {
    /// Counts a click. The caller ensures that the click is of this scope and day.
    pub fn add(&mut self, click: &ClickFacts<'_>) {
        let main = self.main.words.intern(&Said::main(click));
        let sources = self.sources.words.intern(&Said::sources(click));
        self.count(main, sources, hour_of(click), click.visitor.map(sample_key));
    }

    /// Counts a click of these combinations, and by the visitor with this key of a sample.
    pub(crate) fn count(&mut self, main: u32, sources: u32, hour: u8, visitor: Option<u64>) {
        self.main.cells.push(Cell::new(main, hour, 1));
        self.sources.cells.push(Cell::new(sources, hour, 1));
        if let Some(key) = visitor {
            self.sample.push(Seen { key, main, sources, hour });
        }
    }

    /// Adds what another roll-up of the same scope and day has counted.
    pub fn merge(&mut self, other: &Self) {
        let (mut main, mut sources) = (Known::default(), Known::default());
        self.main.merge(&other.main, &mut main);
        self.sources.merge(&other.sources, &mut sources);
        for seen in other.sample.seen() {
            if seen.key < self.sample.threshold() {
                let main = self.main.words.adopt(&other.main.words, seen.main, &mut main);
                let sources = self.sources.words.adopt(&other.sources.words, seen.sources, &mut sources);
                self.sample.push(Seen { main, sources, ..*seen });
            }
        }
        self.sample.lower_threshold(other.sample.threshold());
    }

    /// Subtracts what another roll-up has counted and was added to this one (erasure).
    ///
    /// Visitors of the other are removed from the sample completely, also if this one saw them elsewhere too: after an
    /// erasure no trace of them is left.
    pub fn subtract(&mut self, other: &Self) {
        self.main.subtract(&other.main);
        self.sources.subtract(&other.sources);
        let mut keys: Vec<u64> = other.sample.seen().iter().map(|seen| seen.key).collect();
        keys.sort_unstable();
        self.sample.remove(&keys);
    }

    /// How many clicks were counted.
    pub fn clicks(&self) -> u64 {
        self.main.cells.clicks()
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.main.memory_bytes() + self.sources.memory_bytes() + self.sample.memory_bytes()
    }
}

/// The hour of the click's day, in UTC.
pub(crate) fn hour_of(click: &ClickFacts<'_>) -> u8 {
    click.clicked_at.as_micros().div_euclid(HOUR_MICROS).rem_euclid(24) as u8
}
