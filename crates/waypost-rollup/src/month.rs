//! A copy of the roll-ups of a scope's days of one month, in a format that reports read several times faster.
//!
//! A month says what its days say, less what few questions need: it counts by day and not by hour, and it has no
//! visitor keys. It follows from its days, and nothing is ever added to it: a change of a day deletes its month.
//! What a question needs of it is a [`MonthPart`]; where an interval begins or ends within a day (other time
//! zones have their midnight there), that day is read by itself. Hours are kept for questions that ask of nothing but
//! classes.
//!
//! Format 0x31; numbers and the block around it are those of `wire`. A byte for the part, then:
//!
//! | part | what |
//! |---|---|
//! | 0, the outline | of each day: a byte for its place in the month; cells of `cell_bytes`, a row for each class; visitors |
//! | 1 and 2, main and sources | as in `day_format`, sized, with days in place of hours; of each day: a byte for its place; visitors |
//!
//! The visitors of a day:
//!
//! | what | how |
//! |---|---|
//! | seen | twice their number, plus 1 where visitors were dropped; then the threshold in 6 bytes |
//! | seen: lasts | a bit each, the lowest first, which is set at a visitor's last |
//! | seen: what | outline: a byte each, the hour plus 32 times the class. Else the combination, a column as in `day_format` |

use std::ops::RangeInclusive;

use jiff::Span;
use jiff::civil::{Date, date};

use crate::calendar::{Calendar, OUTSIDE};
use crate::cell_bytes::{CellsView, RowCell, push_cells};
use crate::cells::Cell;
use crate::day::Family;
use crate::day_format::KEY_BYTES;
use crate::encode::{Order, push_column, push_family};
use crate::question::Question;
use crate::sample::{ALL, Seen};
use crate::scan::{Matching, SeenAt, Slots, Visitors};
use crate::schema::{MAIN, Plain, SOURCES, Schema};
use crate::tally::Tally;
use crate::view::{Column, FamilyView, key_of};
use crate::wire::{Reader, begin, open, push_sized, push_varint, require, seal};
use crate::words::{BATCH, COMBINATIONS_MAX, Known};
use crate::{CorruptRollup, DayRollup};

/// The first byte of a part of a month.
const FORMAT_MONTH: u8 = 0x31;
const HOURS: usize = 24;
/// How many bits of what was seen in an outline are the hour.
const HOUR_BITS: u32 = 5;
/// Visitors times what is kept of one, in a day.
const SEEN_MAX: usize = crate::sample::VISITORS_MAX * crate::sample::SEEN_MAX;

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    first_day: i64,
    days: u8,
}

/// A part of a month's roll-up: what one question needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MonthPart {
    /// Classes by hour.
    Outline,
    /// What is known about visitors and the link's answer, by day.
    Main,
    /// Where visitors came from, by day.
    Sources,
}

/// A month's roll-up that is being built.
#[derive(Debug)]
pub struct MonthRollup {
    month: Month,
    outline: Vec<u8>,
    main: FamilyMonth,
    sources: FamilyMonth,
    /// Whether a count was larger than there is room for.
    is_too_large: bool,
}

#[derive(Debug)]
struct FamilyMonth {
    family: Family,
    clicks: u64,
    days: Vec<DaySeen>,
}

/// The sample of a day: keys, each with a combination or what else was seen; in order.
#[derive(Debug)]
struct DaySeen {
    place: u8,
    threshold: u64,
    seen: Vec<(u64, u32)>,
}

impl Month {
    /// The month of a day (since 1970). `None` beyond the years that calendars have.
    pub fn of(day: i64) -> Option<Self> {
        let epoch = date(1970, 1, 1);
        let date: Date = epoch.checked_add(Span::new().try_days(day).ok()?).ok()?;
        Some(Self { first_day: day - i64::from(date.day()) + 1, days: date.days_in_month().cast_unsigned() })
    }

    /// Its first day, since 1970.
    pub fn first_day(self) -> i64 {
        self.first_day
    }

    /// Its days, since 1970.
    pub fn days(self) -> RangeInclusive<i64> {
        self.first_day..=self.first_day + i64::from(self.days) - 1
    }

    /// The interval that each of its days is in as a whole.
    fn intervals(self, calendar: &Calendar) -> Vec<u32> {
        let of_day = |day| {
            let of_hours = calendar.intervals_of(day);
            if of_hours.iter().all(|interval| *interval == of_hours[0]) { of_hours[0] } else { OUTSIDE }
        };
        self.days().map(of_day).collect()
    }

    /// The days that are counted from this part, so that they need not be read by themselves.
    pub(crate) fn counted(self, part: MonthPart, calendar: &Calendar) -> Vec<i64> {
        let is_counted = |day: &i64| match part {
            MonthPart::Outline => calendar.intervals_of(*day).iter().any(|interval| *interval != OUTSIDE),
            MonthPart::Main | MonthPart::Sources => {
                let of_hours = calendar.intervals_of(*day);
                of_hours[0] != OUTSIDE && of_hours.iter().all(|interval| *interval == of_hours[0])
            }
        };
        self.days().filter(is_counted).collect()
    }
}

impl MonthPart {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Outline, Self::Main, Self::Sources];

    /// Its number in stored bytes.
    pub const fn number(self) -> u8 {
        self as u8
    }

    fn schema(self) -> &'static Schema {
        match self {
            Self::Outline | Self::Main => &MAIN,
            Self::Sources => &SOURCES,
        }
    }
}

impl FamilyMonth {
    fn new(schema: &'static Schema) -> Self {
        Self { family: Family::with_limits(schema, &BATCH), clicks: 0, days: Vec::new() }
    }

    fn add(&mut self, place: u8, day: &Family, threshold: u64, seen: impl Iterator<Item = (u64, u32)>) {
        let mut known = Known::default();
        let words = &mut self.family.words;
        for cell in day.cells.list() {
            let tuple = words.adopt(&day.words, cell.tuple(), &mut known);
            self.family.cells.push(Cell::new(tuple, place, cell.count));
            self.clicks += u64::from(cell.count);
        }
        let seen = seen.map(|(key, tuple)| (key, words.adopt(&day.words, tuple, &mut known))).collect();
        self.days.push(DaySeen::new(place, threshold, seen));
    }

    fn finish(mut self, part: MonthPart) -> Option<Vec<u8>> {
        self.family.cells.sort();
        if self.family.words.tuples.list().len() > COMBINATIONS_MAX || self.family.cells.clicks() != self.clicks {
            return None;
        }
        let seen = self.days.iter().flat_map(|day| day.seen.iter().map(|(_, tuple)| *tuple));
        let order = Order::new(&self.family, seen);
        let mut out = begin(FORMAT_MONTH);
        out.push(part.number());
        let mut body = Vec::new();
        push_family(&mut body, &order, self.family.cells.list());
        push_sized(&mut out, &body);
        let tuples = order.tuples.len();
        for day in &mut self.days {
            day.seen.iter_mut().for_each(|(_, tuple)| *tuple = order.tuple_ranks[*tuple as usize]);
            day.seen.sort_unstable();
            out.push(day.place);
            day.push(&mut out, tuples);
        }
        Some(seal(out))
    }
}

impl DaySeen {
    fn new(place: u8, threshold: u64, mut seen: Vec<(u64, u32)>) -> Self {
        seen.sort_unstable();
        seen.dedup();
        Self { place, threshold, seen }
    }

    /// Writes it; what was seen are numbers below this.
    fn push(&self, out: &mut Vec<u8>, numbers: usize) {
        let is_cut = self.threshold < ALL;
        push_varint(out, (self.seen.len() as u64) << 1 | u64::from(is_cut));
        if is_cut {
            out.extend_from_slice(&self.threshold.to_le_bytes()[..KEY_BYTES]);
        }
        let is_last = |place: usize| self.seen.get(place + 1).is_none_or(|next| next.0 != self.seen[place].0);
        let mut lasts = vec![0_u8; self.seen.len().div_ceil(8)];
        (0..self.seen.len()).filter(|place| is_last(*place)).for_each(|place| lasts[place / 8] |= 1 << (place % 8));
        out.extend_from_slice(&lasts);
        push_column(out, numbers, self.seen.iter().map(|(_, what)| *what));
    }
}

impl MonthRollup {
    /// A month without any days.
    pub fn new(month: Month) -> Self {
        Self {
            month,
            outline: begin_outline(),
            main: FamilyMonth::new(&MAIN),
            sources: FamilyMonth::new(&SOURCES),
            is_too_large: false,
        }
    }

    /// Adds the stored bytes of a [`DayRollup`]; in the order of days, each at most once.
    ///
    /// # Errors
    /// If they are none, or the day is not of this month.
    pub fn add(&mut self, day: i64, bytes: &[u8]) -> Result<(), CorruptRollup> {
        require(self.month.days().contains(&day))?;
        let place = (day - self.month.first_day) as u8;
        let rollup = DayRollup::decode(bytes)?;
        let (threshold, seen) = (rollup.sample.threshold(), rollup.sample.seen());
        self.main.add(place, &rollup.main, threshold, seen.iter().map(|seen| (seen.key, seen.main)));
        self.sources.add(place, &rollup.sources, threshold, seen.iter().map(|seen| (seen.key, seen.sources)));
        self.add_outline(place, &rollup.main, threshold, seen);
        Ok(())
    }

    fn add_outline(&mut self, place: u8, main: &Family, threshold: u64, seen: &[Seen]) {
        let class_of = |tuple| main.words.codes(tuple).plain[Plain::Class as usize];
        let classes = Plain::Class.names().len();
        let mut clicks = vec![0_u64; classes * HOURS];
        for cell in main.cells.list() {
            clicks[usize::from(class_of(cell.tuple())) * HOURS + usize::from(cell.hour())] += u64::from(cell.count);
        }
        self.is_too_large |= clicks.iter().any(|count| *count > u32::MAX.into());
        let places = clicks.iter().enumerate().filter(|(_, count)| **count > 0);
        let cells = places.map(|(place, count)| RowCell {
            row: (place / HOURS) as u32,
            hour: (place % HOURS) as u8,
            count: *count as u32,
        });
        self.outline.push(place);
        push_cells(&mut self.outline, classes as u32, cells);
        let what = |seen: &Seen| u32::from(class_of(seen.main)) << HOUR_BITS | u32::from(seen.hour);
        let seen = seen.iter().map(|seen| (seen.key, what(seen))).collect();
        DaySeen::new(place, threshold, seen).push(&mut self.outline, classes << HOUR_BITS);
    }

    /// The bytes to store. `None` if there is too much for a month: then only its days are stored.
    pub fn finish(self) -> Option<[(MonthPart, Vec<u8>); 3]> {
        if self.is_too_large {
            return None;
        }
        Some([
            (MonthPart::Outline, seal(self.outline)),
            (MonthPart::Main, self.main.finish(MonthPart::Main)?),
            (MonthPart::Sources, self.sources.finish(MonthPart::Sources)?),
        ])
    }
}

fn begin_outline() -> Vec<u8> {
    let mut out = begin(FORMAT_MONTH);
    out.push(MonthPart::Outline.number());
    out
}

/// Answers the question from the part of a month, for those of its days that [`Month::counted`] returns. Nothing is
/// counted on an error.
pub(crate) fn add(
    (question, calendar): (&Question, &Calendar),
    (month, part): (Month, MonthPart),
    block: &[u8],
    tally: &mut Tally,
) -> Result<(), CorruptRollup> {
    let mut reader = open(FORMAT_MONTH, block)?;
    require(reader.take(1)? == [part.number()])?;
    match part {
        MonthPart::Outline => add_outline((question, calendar), month, reader, tally),
        MonthPart::Main | MonthPart::Sources => {
            let family = FamilyView::new(reader.sized()?, part.schema())?;
            let matching = Matching::new(question, &family, part.schema());
            let slots = Slots::new(&month.intervals(calendar));
            let clicks = matching.count_cells(family.cells)?;
            let mut visitors = Visitors::new(&matching);
            while !reader.rest().is_empty() {
                let place = usize::from(read_place(&mut reader)?);
                let slot = slots.of_hour[place];
                let seen = SeenView::read(&mut reader, family.tuples)?;
                if slot != u8::MAX {
                    let rows = seen.each().map(|(tuple, is_last)| (matching.row(tuple as usize), is_last));
                    visitors.count_day((seen.threshold, slot), rows, (&clicks, place));
                }
            }
            tally.add(&slots, &clicks, &visitors, matching.names());
            Ok(())
        }
    }
}

fn add_outline(
    (question, calendar): (&Question, &Calendar),
    month: Month,
    mut reader: Reader<'_>,
    tally: &mut Tally,
) -> Result<(), CorruptRollup> {
    let matching = Matching::of_classes(question);
    let mut counted = Vec::new();
    while !reader.rest().is_empty() {
        let day = month.first_day + i64::from(read_place(&mut reader)?);
        let slots = Slots::new(&calendar.intervals_of(day));
        let clicks = matching.count_cells(CellsView::read(&mut reader)?)?;
        let seen = SeenView::read(&mut reader, Plain::Class.names().len() << HOUR_BITS)?;
        let mut visitors = Visitors::new(&matching);
        let seen_at = |(what, is_last): (u32, bool)| SeenAt {
            slot: slots.of_hour[what as usize % (1 << HOUR_BITS)],
            row: matching.row(what as usize >> HOUR_BITS),
            is_last,
        };
        visitors.count((seen.threshold, slots.intervals.len()), seen.each().map(seen_at));
        visitors.cap_day(&slots, &clicks);
        counted.push((slots, clicks, visitors));
    }
    for (slots, clicks, visitors) in counted {
        tally.add(&slots, &clicks, &visitors, matching.names());
    }
    Ok(())
}

fn read_place(reader: &mut Reader<'_>) -> Result<u8, CorruptRollup> {
    let [place] = *reader.take(1)? else { return Err(CorruptRollup) };
    require(place < 31)?;
    Ok(place)
}

/// The sample of a day as it lies.
struct SeenView<'a> {
    threshold: u64,
    lasts: &'a [u8],
    what: Column<'a>,
}

impl<'a> SeenView<'a> {
    fn read(reader: &mut Reader<'a>, numbers: usize) -> Result<Self, CorruptRollup> {
        let head = reader.count(SEEN_MAX * 2 + 1)?;
        let threshold = if head & 1 == 0 { ALL } else { key_of(reader.take(KEY_BYTES)?) };
        require(threshold > 0)?;
        let lasts = reader.take((head >> 1).div_ceil(8))?;
        Ok(Self { threshold, lasts, what: Column::read(reader, head >> 1, numbers)? })
    }

    /// What was seen, and whether it was a visitor's last.
    fn each(&self) -> impl Iterator<Item = (u32, bool)> {
        let what = self.what.to_vec().into_iter().enumerate();
        what.map(|(place, what)| (what, self.lasts[place / 8] >> (place % 8) & 1 == 1))
    }
}
