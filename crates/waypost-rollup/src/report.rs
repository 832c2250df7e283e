//! Reading a report from roll-ups.

use std::ops::RangeInclusive;

use waypost_core::Timestamp;

use crate::calendar::Calendar;
use crate::query::{GROUPS_MAX, ROWS_MAX};
use crate::question::{Counts, Question};
use crate::scan::Slots;
use crate::tally::{Shape, Tally};
use crate::top_links::TopLinks;
use crate::{CorruptRollup, Interval, QueryError, ReportQuery, scan};

/// A report's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Clicks in the range.
    pub clicks: u64,
    /// Visitors in the range, each counted once a day (in UTC). 0 where groups are links: those are not counted then.
    pub visitors: u64,
    /// Whether the visitors are an estimate; if not, they were counted one by one.
    pub visitors_are_estimated: bool,
    /// One row for each interval and group that has clicks (for each interval, where there are no groups), in the order of
    /// time and then of most clicks. Empty without interval and group.
    pub rows: Vec<ReportRow>,
    /// Groups that were left out of `rows`.
    pub other_groups: u64,
    /// The clicks of those.
    pub other_clicks: u64,
}

/// One row of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// When the interval begins; of the first one this may be before the range. `None` where the range is not divided.
    pub starts_at: Option<Timestamp>,
    /// The group's value; empty where it is not known; a link's number where groups are links.
    pub group: Option<String>,
    /// Clicks.
    pub clicks: u64,
    /// Visitors who were seen in this interval and group. Not counted where groups are links.
    pub visitors: Option<u64>,
}

/// A question on its way to an answer: it is shown the roll-ups of its days, in any order.
#[derive(Debug)]
pub struct ReportPlan {
    calendar: Calendar,
    question: Question,
    shape: Shape,
    sums: Sums,
}

#[derive(Debug)]
enum Sums {
    Days(Tally),
    Links(TopLinks),
}

impl ReportPlan {
    /// Checks the question.
    ///
    /// # Errors
    /// Where it has no answer; the error says what to ask instead.
    pub fn new(query: &ReportQuery) -> Result<Self, QueryError> {
        let question = Question::new(query)?;
        let calendar = Calendar::new(query)?;
        let shape = Shape {
            has_intervals: query.interval != Interval::None,
            has_groups: question.group_by.is_some(),
            groups_max: query.groups_max.clamp(1, GROUPS_MAX.min(ROWS_MAX / calendar.intervals().max(1))),
        };
        let sums = match question.counts {
            Counts::Links => Sums::Links(TopLinks::new(&question, shape)),
            Counts::Main | Counts::Sources | Counts::Either => Sums::Days(Tally::new(calendar.intervals())),
        };
        Ok(Self { calendar, question, shape, sums })
    }

    /// The days (since 1970, in UTC) whose roll-ups it wants. Empty where no hour begins in the range.
    pub fn days(&self) -> RangeInclusive<i64> {
        self.calendar.days()
    }

    /// Whether it wants the stored bytes of [`crate::LinksRollup`] and not those of [`crate::DayRollup`].
    pub fn wants_links(&self) -> bool {
        matches!(self.sums, Sums::Links(_))
    }

    /// Takes the stored bytes of one day; each day at most once. A day that it does not want changes nothing.
    ///
    /// # Errors
    /// Where they are no roll-up. The plan is of no use then.
    pub fn add(&mut self, day: i64, bytes: &[u8]) -> Result<(), CorruptRollup> {
        let slots = Slots::new(&self.calendar.intervals_of(day));
        if slots.intervals.is_empty() {
            return Ok(());
        }
        match &mut self.sums {
            Sums::Days(tally) => scan::day(&self.question, &slots, bytes, tally),
            Sums::Links(links) => links.add(day, &slots, bytes),
        }
    }

    /// The answer.
    pub fn finish(self) -> Report {
        match self.sums {
            Sums::Days(tally) => tally.finish(&self.calendar, self.shape),
            Sums::Links(links) => links.finish(&self.calendar, self.shape),
        }
    }
}
