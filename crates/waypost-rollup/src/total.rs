//! The stored sum of all days of a scope up to one day, for some classes: the answer to "how many clicks in total?".
//!
//! A total follows from its days, and from nothing else, as a month does: a change of a day deletes the totals away
//! that it is in. Format 0x41; the block around it is that of `wire`: the first day with clicks and the last in eight
//! bytes each, clicks in eight, visitors in eight (a double, since estimates have fractions), and a byte that is 1
//! where some are estimates.

use waypost_core::class::Class;

use crate::CorruptRollup;
use crate::question::Question;
use crate::scan::{self, Slots};
use crate::tally::{Sum, Tally};
use crate::wire::{Reader, begin, open, require, seal};

const FORMAT_TOTAL: u8 = 0x41;
const HOURS: usize = 24;

/// A set of classes, a bit for each in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Classes(u8);

/// A total that is being built.
#[derive(Debug)]
pub struct RunningTotal {
    question: Question,
    tally: Tally,
    days: Option<(i64, i64)>,
}

/// A total as stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    /// The first and the last day with clicks.
    pub(crate) days: (i64, i64),
    pub(crate) sum: Sum,
}

impl Classes {
    pub(crate) fn which(is_in: impl Fn(&str) -> bool) -> Self {
        let bits = Class::NAMES.iter().zip(0..).filter(|((name, _), _)| is_in(name));
        Self(bits.fold(0, |bits, (_, place)| bits | 1 << place))
    }

    /// Its number, as stores of totals use it.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The classes.
    fn list(self) -> Vec<Class> {
        let places = Class::NAMES.iter().zip(0..).filter(|(_, place)| self.0 >> place & 1 == 1);
        places.map(|((_, class), _)| *class).collect()
    }
}

impl RunningTotal {
    /// A total of no days.
    pub fn new(classes: Classes) -> Self {
        let list = classes.list();
        let mut question = Question::of_classes(&list);
        // Of no class at all there is nothing, while no condition would let all pass.
        if list.is_empty() {
            question = Question::of_classes(&[]);
            question
                .conditions
                .push(crate::question::Condition { dimension: crate::Dimension::Class, values: Vec::new() });
        }
        Self { question, tally: Tally::new(1), days: None }
    }

    /// Continues from a stored total.
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn resume(classes: Classes, bytes: &[u8]) -> Result<Self, CorruptRollup> {
        let total = Total::read(bytes)?;
        let mut running = Self::new(classes);
        running.tally.add_sum(total.sum);
        running.days = Some(total.days);
        Ok(running)
    }

    /// Adds the stored bytes of a [`crate::DayRollup`]; each day at most once, in any order.
    ///
    /// # Errors
    /// If they are none; the total is of no use then.
    pub fn add(&mut self, day: i64, bytes: &[u8]) -> Result<(), CorruptRollup> {
        scan::day(&self.question, &Slots::new(&[0; HOURS]), bytes, &mut self.tally)?;
        let (first, last) = self.days.unwrap_or((day, day));
        self.days = Some((first.min(day), last.max(day)));
        Ok(())
    }

    /// The bytes to store; `None` if there were no days.
    pub fn finish(&self) -> Option<Vec<u8>> {
        let (first, last) = self.days?;
        let sum = self.tally.sum();
        let mut out = begin(FORMAT_TOTAL);
        for number in [first.to_le_bytes(), last.to_le_bytes(), sum.clicks.to_le_bytes(), sum.visitors.to_le_bytes()] {
            out.extend_from_slice(&number);
        }
        out.push(u8::from(sum.is_estimated));
        Some(seal(out))
    }
}

impl Total {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, CorruptRollup> {
        let mut reader = open(FORMAT_TOTAL, bytes)?;
        let days = (i64::from_le_bytes(eight(&mut reader)?), i64::from_le_bytes(eight(&mut reader)?));
        let (clicks, visitors) = (u64::from_le_bytes(eight(&mut reader)?), f64::from_le_bytes(eight(&mut reader)?));
        let [is_estimated @ (0 | 1)] = *reader.take(1)? else { return Err(CorruptRollup) };
        require(visitors >= 0.0 && visitors.is_finite() && days.0 <= days.1)?;
        reader.end()?;
        Ok(Self { days, sum: Sum { clicks, visitors, is_estimated: is_estimated == 1 } })
    }
}

fn eight(reader: &mut Reader<'_>) -> Result<[u8; 8], CorruptRollup> {
    reader.take(8)?.try_into().map_err(|_| CorruptRollup)
}
