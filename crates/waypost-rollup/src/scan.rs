//! Answers a query from stored bytes, without decoding them: those of one day here, those of a month by `month`.
//!
//! Conditions and groups are resolved for the few rows of each part of a family, then for each combination as the
//! largest of three numbers; the cells, which are many, are then one pass without branches but for large counts.

use crate::calendar::OUTSIDE;
use crate::cell_bytes::{CellsView, LAST};
use crate::question::{Condition, Counts, Question};
use crate::sample::{ALL, CUT};
use crate::schema::{MAIN, Origin, Plain, SOURCES, Schema};
use crate::tally::Tally;
use crate::view::{Column, DayView, FamilyView, VisitorsView};
use crate::words::code_at;
use crate::{CorruptRollup, Dimension};

/// Hours of a group in the sums: of a power of two so that an hour of any byte is within them.
pub(crate) const STRIDE: usize = 32;

/// Which interval each hour of a day is in, as a few slots.
pub(crate) struct Slots {
    /// The slot of an hour; `u8::MAX` if it is in no interval.
    pub(crate) of_hour: [u8; STRIDE],
    /// The interval of a slot.
    pub(crate) intervals: Vec<u32>,
}

impl Slots {
    /// The slots of the hours of a day, or of the days of a month: at most 31, and their intervals do not fall.
    pub(crate) fn new(intervals_of: &[u32]) -> Self {
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

/// Answers the query for one day.
pub(crate) fn day(question: &Question, slots: &Slots, block: &[u8], tally: &mut Tally) -> Result<(), CorruptRollup> {
    let view = DayView::new(block)?;
    let is_main = match question.counts {
        Counts::Main => true,
        Counts::Sources => false,
        Counts::Either | Counts::Links => view.main.rest().len() <= view.sources.rest().len(),
    };
    let (family, schema) = if is_main { (view.main()?, &MAIN) } else { (view.sources()?, &SOURCES) };
    let matching = Matching::new(question, &family, schema);
    let clicks = matching.count_cells(family.cells)?;
    let seen = VisitorsView::of_family(view.visitors, is_main, family.tuples)?;
    let column = if is_main { seen.main } else { seen.sources };
    let mut visitors = Visitors::new(&matching);
    let seen_at = seen.hours.iter().zip(column.to_vec()).map(|(byte, tuple)| SeenAt {
        slot: slots.of_hour[usize::from(byte & 31)],
        row: matching.row(tuple as usize),
        is_last: byte & LAST != 0,
    });
    visitors.count((seen.threshold, slots.intervals.len()), seen_at);
    visitors.cap_day(slots, &clicks);
    tally.add(slots, &clicks, &visitors, matching.names());
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
pub(crate) struct Matching<'a> {
    /// Empty if every combination matches and there are no groups.
    rows: Vec<u32>,
    unmatched: u32,
    group: Option<Group<'a>>,
}

impl<'a> Matching<'a> {
    pub(crate) fn new(question: &Question, family: &FamilyView<'a>, schema: &Schema) -> Self {
        let group = question.group_by.and_then(|dimension| Group::new(dimension, family, schema));
        let unmatched = (group.as_ref().map_or(1, |group| group.names.len()) * STRIDE) as u32;
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
        Self { rows, unmatched, group }
    }

    /// With one combination for each class.
    pub(crate) fn of_classes(question: &Question) -> Self {
        let names = Plain::Class.names();
        let group = question.group_by.map(|_| Group { names: names.to_vec() });
        let unmatched = (group.as_ref().map_or(1, |group| group.names.len()) * STRIDE) as u32;
        let is_allowed = |name: &str| question.conditions.iter().all(|condition| condition.allows(name));
        let row = |(class, name): (u32, &&str)| match (is_allowed(name), &group) {
            (true, Some(_)) => class * STRIDE as u32,
            (true, None) => 0,
            (false, _) => unmatched,
        };
        Self { rows: (0..).zip(names).map(row).collect(), unmatched, group }
    }

    pub(crate) fn row(&self, tuple: usize) -> u32 {
        if self.rows.is_empty() { 0 } else { self.rows.get(tuple).copied().unwrap_or(self.unmatched) }
    }

    /// The names of the groups, if there are any.
    pub(crate) fn names(&self) -> Option<&[&'a str]> {
        self.group.as_ref().map(|group| group.names.as_slice())
    }

    /// The clicks of each group by hour.
    pub(crate) fn count_cells(&self, cells: CellsView<'_>) -> Result<Vec<u64>, CorruptRollup> {
        let mut clicks = vec![0_u64; self.unmatched as usize + STRIDE];
        count_cells(cells, &self.rows, &mut clicks)?;
        clicks.truncate(self.unmatched as usize);
        Ok(clicks)
    }
}

/// For each row of a part where its group's sums begin, or `unmatched`; `None` if the part has neither condition nor
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
    let is_allowed = |text: &str| condition.allows(text);
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

/// That a visitor was seen with a combination; all of one visitor come one after the other.
pub(crate) struct SeenAt {
    /// `u8::MAX` if it is in no interval.
    pub(crate) slot: u8,
    /// That of the combination in [`Matching`].
    pub(crate) row: u32,
    /// Whether it is all that was seen of the visitor.
    pub(crate) is_last: bool,
}

/// How many visitors there were, as the samples of days say. If that is an estimate, it is never more than the
/// clicks of the day in the same cell: so whatever days add up to keeps to that, too.
pub(crate) struct Visitors {
    unmatched: u32,
    is_grouped: bool,
    pub(crate) is_estimated: bool,
    /// A bit for each slot that has an estimate in it.
    pub(crate) estimated_slots: u32,
    /// In any of the intervals, each once a day.
    pub(crate) all: f64,
    pub(crate) by_slot: [f64; STRIDE],
    /// By group and slot; empty without groups.
    pub(crate) by_group: Vec<f64>,
    /// By group and slot, those of the day that is being counted, before they are weighted.
    of_day: Vec<u32>,
    /// By group and slot, which visitor was counted last, so that each is counted once.
    last_counted: Vec<u32>,
    /// The number of the visitor that is being counted; the first is 1.
    visitor: u32,
}

impl Visitors {
    pub(crate) fn new(matching: &Matching<'_>) -> Self {
        let is_grouped = matching.group.is_some();
        let places = if is_grouped { matching.unmatched as usize } else { 0 };
        Self {
            unmatched: matching.unmatched,
            is_grouped,
            is_estimated: false,
            estimated_slots: 0,
            all: 0.0,
            by_slot: [0.0; STRIDE],
            by_group: vec![0.0; places],
            of_day: vec![0; places],
            last_counted: vec![0; places],
            visitor: 1,
        }
    }

    /// Counts the sample of a day by its hours. It has all visitors with a key below the threshold.
    pub(crate) fn count(&mut self, (threshold, intervals): (u64, usize), seen: impl Iterator<Item = SeenAt>) {
        let (mut all, mut by_slot) = (0_u32, [0_u32; STRIDE]);
        // The slots in which the visitor was seen.
        let mut slots = 0_u32;
        for SeenAt { slot, row, is_last } in seen {
            if row < self.unmatched && slot != u8::MAX {
                slots |= 1 << slot;
                if self.is_grouped {
                    self.count_in_group((row + u32::from(slot)) as usize);
                }
            }
            if is_last {
                all += u32::from(slots != 0);
                while slots != 0 {
                    by_slot[slots.trailing_zeros() as usize] += 1;
                    slots &= slots - 1;
                }
                self.visitor += 1;
            }
        }
        // Nobody who lost a part of what they were seen with is missing in a number that counts everybody.
        let is_estimate =
            threshold < CUT || threshold == CUT && (all + 1 < self.visitor || self.is_grouped || intervals > 1);
        self.is_estimated |= is_estimate;
        let weight = weight(threshold);
        self.all += f64::from(all) * weight;
        self.by_slot.iter_mut().zip(by_slot).for_each(|(sum, count)| *sum += f64::from(count) * weight);
        for (sum, count) in self.by_group.iter_mut().zip(&mut self.of_day) {
            *sum += f64::from(std::mem::take(count)) * weight;
        }
    }

    /// Holds the only day that was counted by its hours to its clicks by group and hour.
    pub(crate) fn cap_day(&mut self, slots: &Slots, clicks: &[u64]) {
        if !self.is_estimated {
            return;
        }
        self.estimated_slots = (1 << slots.intervals.len()) - 1;
        let (mut all, mut by_slot) = (0.0, [0.0; STRIDE]);
        for (group, by_hour) in clicks.chunks_exact(STRIDE).enumerate() {
            let mut of_group = [0.0; STRIDE];
            for (count, slot) in by_hour.iter().zip(slots.of_hour).filter(|(_, slot)| *slot != u8::MAX) {
                of_group[usize::from(slot)] += *count as f64;
            }
            for (slot, count) in of_group.into_iter().enumerate() {
                all += count;
                by_slot[slot] += count;
                if let Some(visitors) = self.by_group.get_mut(group * STRIDE + slot) {
                    *visitors = visitors.min(count);
                }
            }
        }
        self.all = self.all.min(all);
        self.by_slot.iter_mut().zip(by_slot).for_each(|(visitors, clicks)| *visitors = visitors.min(clicks));
    }

    /// Counts the sample of a day that is in one slot as a whole. Gives rows, and which is the last of a visitor. The
    /// clicks are those of a month by group and day, of which this is the one at `place`.
    pub(crate) fn count_day(
        &mut self,
        (threshold, slot): (u64, u8),
        seen: impl Iterator<Item = (u32, bool)>,
        (clicks, place): (&[u64], usize),
    ) {
        let (unmatched, slot) = (self.unmatched, usize::from(slot));
        let first = self.visitor;
        let mut all = 0_u32;
        let mut is_counted = false;
        for (row, is_last) in seen {
            let is_matched = row < unmatched;
            is_counted |= is_matched;
            if is_matched && self.is_grouped {
                self.count_in_group(row as usize + slot);
            }
            all += u32::from(is_counted & is_last);
            is_counted &= !is_last;
            self.visitor += u32::from(is_last);
        }
        let weight = weight(threshold);
        let is_everybody = all == self.visitor - first && !self.is_grouped;
        if threshold < CUT || threshold == CUT && !is_everybody {
            self.is_estimated = true;
            self.estimated_slots |= 1 << slot;
        }
        // What was counted one by one needs no cap.
        let capped = |count: u32, clicks: u64| {
            let visitors = f64::from(count) * weight;
            if weight > 1.0 { visitors.min(clicks as f64) } else { visitors }
        };
        let of_day = |group: usize| clicks.get(group * STRIDE + place).copied().unwrap_or(0);
        let all_clicks = if weight > 1.0 { (0..clicks.len() / STRIDE).map(of_day).sum() } else { 0 };
        let all = capped(all, all_clicks);
        self.all += all;
        self.by_slot[slot] += all;
        let sums = self.by_group.iter_mut().zip(&mut self.of_day).skip(slot).step_by(STRIDE);
        for (group, (sum, count)) in sums.enumerate() {
            *sum += capped(std::mem::take(count), of_day(group));
        }
    }

    fn count_in_group(&mut self, place: usize) {
        let last_counted = &mut self.last_counted[place];
        self.of_day[place] += u32::from(*last_counted != self.visitor);
        *last_counted = self.visitor;
    }
}

/// How many visitors one of a day's sample stands for.
fn weight(threshold: u64) -> f64 {
    if threshold == CUT { 1.0 } else { ALL as f64 / threshold as f64 }
}
