//! A question put to the stored bytes of one day, without decoding them.
//!
//! Conditions and groups are resolved for the few rows of each part of a family, then for each combination as the largest of three
//! numbers; the cells, which are many, are then one pass without branches but for large counts.

use crate::calendar::OUTSIDE;
use crate::cell_bytes::{CellsView, LAST};
use crate::question::{Condition, Counts, Question};
use crate::sample::ALL;
use crate::schema::{MAIN, Origin, SOURCES, Schema};
use crate::tally::Tally;
use crate::view::{Column, DayView, FamilyView, VisitorsView};
use crate::words::code_at;
use crate::{CorruptRollup, Dimension};

/// Hours of a group in the sums: of a power of two so that an hour of any byte is within them.
pub(crate) const STRIDE: usize = 32;

/// Which interval each hour of a day is in, as a few slots.
pub(crate) struct Slots {
    /// The slot of an hour; `u8::MAX` where it is in no interval.
    pub(crate) of_hour: [u8; STRIDE],
    /// The interval of a slot.
    pub(crate) intervals: Vec<u32>,
}

impl Slots {
    pub(crate) fn new(intervals_of: &[u32; 24]) -> Self {
        let mut slots = Self { of_hour: [u8::MAX; STRIDE], intervals: Vec::new() };
        for (slot, interval) in slots.of_hour.iter_mut().zip(intervals_of).filter(|(_, at)| **at != OUTSIDE) {
            if slots.intervals.last() != Some(interval) {
                slots.intervals.push(*interval);
            }
            *slot = slots.intervals.len() as u8 - 1;
        }
        slots
    }
}

/// Puts the question to one day.
pub(crate) fn day(question: &Question, slots: &Slots, block: &[u8], tally: &mut Tally) -> Result<(), CorruptRollup> {
    let view = DayView::new(block)?;
    let is_main = match question.counts {
        Counts::Main => true,
        Counts::Sources => false,
        Counts::Either | Counts::Links => view.main.rest().len() <= view.sources.rest().len(),
    };
    let (family, schema) = if is_main { (view.main()?, &MAIN) } else { (view.sources()?, &SOURCES) };
    let group = question.group_by.and_then(|dimension| Group::new(dimension, &family, schema));
    let groups = group.as_ref().map_or(1, |group| group.names.len());
    let matching = Matching::new(question, &family, schema, groups);
    let mut clicks = vec![0_u64; (groups + 1) * STRIDE];
    count_cells(family.cells, &matching.rows, &mut clicks)?;
    let visitors = VisitorsView::of_family(view.visitors, is_main, family.tuples)?;
    let column = if is_main { visitors.main } else { visitors.sources };
    let counted = Visitors::count(&visitors, column, &matching, slots);
    let names = group.as_ref().map(|group| group.names.as_slice());
    tally.add_day(slots, &clicks[..groups * STRIDE], &counted, names);
    Ok(())
}

/// The values of the dimension that is grouped by.
struct Group<'a> {
    names: Vec<&'a str>,
}

impl<'a> Group<'a> {
    fn new(dimension: Dimension, family: &FamilyView<'a>, schema: &Schema) -> Option<Self> {
        let fields = schema.parts.iter().copied().flatten();
        let (_, origin) = fields.into_iter().find(|(known, _)| *known == dimension)?;
        let names = match origin {
            Origin::Text(place) => std::iter::once("").chain(family.texts[*place].iter().copied()).collect(),
            Origin::Plain(plain) => plain.names().to_vec(),
        };
        Some(Self { names })
    }
}

/// For each combination where its group's sums begin; those that do not match have the sums after all groups.
struct Matching {
    /// Empty where every combination matches and there are no groups.
    rows: Vec<u32>,
    unmatched: u32,
    is_grouped: bool,
}

impl Matching {
    fn new(question: &Question, family: &FamilyView<'_>, schema: &Schema, groups: usize) -> Self {
        let unmatched = (groups * STRIDE) as u32;
        let lookups: Vec<Option<Vec<u32>>> =
            (0..schema.parts.len()).map(|part| part_lookup(question, family, schema, (part, unmatched))).collect();
        let mut rows = Vec::new();
        if lookups.iter().any(Option::is_some) {
            match &lookups[0] {
                None => rows.resize(family.tuples, 0),
                Some(lookup) => {
                    rows.reserve(family.tuples);
                    for (start, run) in lookup.iter().zip(&family.runs) {
                        rows.extend(std::iter::repeat_n(*start, *run as usize));
                    }
                }
            }
            for (column, lookup) in [family.second, family.third].into_iter().zip(&lookups[1..]) {
                if let Some(lookup) = lookup {
                    raise(&mut rows, column, lookup, unmatched);
                }
            }
        }
        Self { rows, unmatched, is_grouped: question.group_by.is_some() }
    }

    fn row(&self, tuple: usize) -> u32 {
        if self.rows.is_empty() { 0 } else { self.rows.get(tuple).copied().unwrap_or(self.unmatched) }
    }
}

/// For each row of a part where its group's sums begin, or `unmatched`; `None` where the part has neither condition nor
/// group.
fn part_lookup(
    question: &Question,
    family: &FamilyView<'_>,
    schema: &Schema,
    (part, unmatched): (usize, u32),
) -> Option<Vec<u32>> {
    let fields = schema.parts[part];
    let mut lookup: Option<Vec<u32>> = None;
    for (field, (dimension, origin)) in fields.iter().enumerate() {
        let conditions = question.conditions.iter().filter(|condition| condition.dimension == *dimension);
        let allowed: Vec<Vec<bool>> = conditions.map(|condition| allowed(condition, *origin, family)).collect();
        let is_group = question.group_by == Some(*dimension);
        if allowed.is_empty() && !is_group {
            continue;
        }
        let starts = lookup.get_or_insert_with(|| vec![0; family.rows[part].len()]);
        for (start, row) in starts.iter_mut().zip(&family.rows[part]) {
            let code = code_at(*row, field, fields.len());
            if !allowed.iter().all(|allowed| allowed[code as usize]) {
                *start = unmatched;
            } else if is_group {
                *start = (*start).max(code * STRIDE as u32);
            }
        }
    }
    lookup
}

/// For each number of a dimension's values whether the condition allows it.
fn allowed(condition: &Condition, origin: Origin, family: &FamilyView<'_>) -> Vec<bool> {
    let is_allowed = |text: &str| condition.values.binary_search_by(|value| value.as_str().cmp(text)).is_ok();
    match origin {
        Origin::Text(place) => std::iter::once("").chain(family.texts[place].iter().copied()).map(is_allowed).collect(),
        Origin::Plain(plain) => plain.names().iter().copied().map(is_allowed).collect(),
    }
}

fn raise(rows: &mut [u32], column: Column<'_>, lookup: &[u32], unmatched: u32) {
    let found = |place: usize| lookup.get(place).copied().unwrap_or(unmatched);
    match column {
        Column::Zeros(_) => rows.iter_mut().for_each(|row| *row = (*row).max(found(0))),
        Column::Bytes(bytes) => {
            rows.iter_mut().zip(bytes).for_each(|(row, byte)| *row = (*row).max(found((*byte).into())));
        }
        Column::Pairs(pairs) => {
            let places = pairs.iter().map(|pair| usize::from(u16::from_le_bytes(*pair)));
            rows.iter_mut().zip(places).for_each(|(row, place)| *row = (*row).max(found(place)));
        }
    }
}

/// Adds the clicks of cells to the sums of their rows by hour. Without rows all are of the first.
pub(crate) fn count_cells(cells: CellsView<'_>, rows: &[u32], sums: &mut [u64]) -> Result<(), CorruptRollup> {
    if rows.is_empty() {
        let sums = sums.first_chunk_mut::<STRIDE>().ok_or(CorruptRollup)?;
        return cells.each(|_, hour, count| {
            sums[hour % STRIDE] += count;
            Ok(())
        });
    }
    cells.each(|row, hour, count| {
        let start = *rows.get(row).ok_or(CorruptRollup)? as usize;
        *sums.get_mut(start + hour).ok_or(CorruptRollup)? += count;
        Ok(())
    })
}

/// Visitors of one day as the sample has them, and what one of them stands for.
pub(crate) struct Visitors {
    pub(crate) weight: f64,
    pub(crate) is_estimated: bool,
    /// In any of the intervals.
    pub(crate) all: u32,
    pub(crate) by_slot: [u32; STRIDE],
    /// By group and slot; empty without groups.
    pub(crate) by_group: Vec<u32>,
}

impl Visitors {
    fn count(view: &VisitorsView<'_>, column: Column<'_>, matching: &Matching, slots: &Slots) -> Self {
        let by_group = if matching.is_grouped { vec![0; matching.unmatched as usize] } else { Vec::new() };
        let mut counted = Self {
            weight: ALL as f64 / view.threshold as f64,
            is_estimated: view.threshold < ALL,
            all: 0,
            by_slot: [0; STRIDE],
            by_group,
        };
        // The slots in which the visitor was seen, and the groups with them, each once.
        let mut seen = 0_u32;
        let mut places: Vec<u32> = Vec::new();
        for (byte, tuple) in view.hours.iter().zip(column.to_vec()) {
            let slot = slots.of_hour[usize::from(byte & 31)];
            let row = matching.row(tuple as usize);
            if row < matching.unmatched && slot != u8::MAX {
                seen |= 1 << slot;
                if matching.is_grouped && !places.contains(&(row + u32::from(slot))) {
                    places.push(row + u32::from(slot));
                }
            }
            if byte & LAST != 0 {
                counted.add_visitor(seen, &places);
                seen = 0;
                places.clear();
            }
        }
        counted
    }

    fn add_visitor(&mut self, mut seen: u32, places: &[u32]) {
        self.all += u32::from(seen != 0);
        while seen != 0 {
            self.by_slot[seen.trailing_zeros() as usize] += 1;
            seen &= seen - 1;
        }
        places.iter().for_each(|place| self.by_group[*place as usize] += 1);
    }
}
