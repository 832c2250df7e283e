//! Reads a report from roll-ups.

use std::ops::RangeInclusive;

use waypost_core::Timestamp;

use crate::calendar::{Calendar, OUTSIDE};
use crate::query::{GROUPS_MAX, ROWS_MAX};
use crate::question::{Counts, Question};
use crate::scan::Slots;
use crate::tally::{Shape, Tally};
use crate::top_links::TopLinks;
use crate::total::{Classes, Total};
use crate::{CorruptRollup, Interval, Month, MonthPart, QueryError, ReportQuery, month, scan};

/// A report's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Clicks in the range.
    pub clicks: u64,
    /// Visitors in the range, each counted once a day (in UTC); never more than the clicks, here as in rows. 0 where
    /// groups are links: those are not counted then.
    pub visitors: u64,
    /// Whether the visitors are an estimate; if not, they were counted one by one.
    pub visitors_are_estimated: bool,
    /// One row for each interval and group that has clicks (for each interval, if there are no groups), in the order of
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
    /// When the interval begins; of the first one this may be before the range. `None` if the range is not divided.
    pub starts_at: Option<Timestamp>,
    /// The group's value; empty if it is not known; a link's number where groups are links.
    pub group: Option<String>,
    /// Clicks.
    pub clicks: u64,
    /// Visitors who were seen in this interval and group. Not counted where groups are links.
    pub visitors: Option<u64>,
    /// Whether those are an estimate, or some of them.
    pub visitors_are_estimated: bool,
}

/// A query that is being answered: it reads the roll-ups of its days, in any order.
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
    /// If it has no answer; the error says what to ask instead.
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

    /// The days (since 1970, in UTC) whose roll-ups it needs. Empty if no hour begins in the range.
    pub fn days(&self) -> RangeInclusive<i64> {
        self.calendar.days()
    }

    /// Whether it needs the stored bytes of [`crate::LinksRollup`] and not those of [`crate::DayRollup`].
    pub fn wants_links(&self) -> bool {
        matches!(self.sums, Sums::Links(_))
    }

    /// The part of months that it can read in place of days; `None` if it cannot use months.
    pub fn month_part(&self) -> Option<MonthPart> {
        match self.question.counts {
            Counts::Links => None,
            _ if self.question.is_of_classes() => Some(MonthPart::Outline),
            Counts::Main => Some(MonthPart::Main),
            // Of the two the smaller one.
            Counts::Sources | Counts::Either => Some(MonthPart::Sources),
        }
    }

    /// The months that can stand in for days, each with these.
    pub fn months(&self) -> Vec<(Month, Vec<i64>)> {
        let (Some(part), days) = (self.month_part(), self.days()) else { return Vec::new() };
        let (mut day, end) = days.into_inner();
        let mut months = Vec::new();
        while let Some(month) = Month::of(day).filter(|_| day <= end) {
            months.push((month, month.counted(part, &self.calendar)));
            day = month.days().end() + 1;
        }
        months.retain(|(_, days)| !days.is_empty());
        months
    }

    /// Takes the stored bytes of the part of a month that it wants, in place of the days that [`Self::months`] gives
    /// with it.
    ///
    /// # Errors
    /// If they are no such part; nothing is counted then.
    pub fn add_month(&mut self, month: Month, bytes: &[u8]) -> Result<(), CorruptRollup> {
        let (Some(part), Sums::Days(tally)) = (self.month_part(), &mut self.sums) else { return Err(CorruptRollup) };
        month::add((&self.question, &self.calendar), (month, part), bytes, tally)
    }

    /// The classes of the total that it can use; `None` if it needs more than one number.
    pub fn total_classes(&self) -> Option<Classes> {
        let is_one = !self.shape.has_intervals && !self.shape.has_groups && self.question.is_of_classes();
        let conditions = &self.question.conditions;
        is_one.then(|| Classes::which(|name| conditions.iter().all(|condition| condition.allows(name))))
    }

    /// Takes the stored bytes of the total of those classes, up to this day, in place of the days. Gives whether it
    /// did: not where days of the total lie outside the range.
    ///
    /// # Errors
    /// If they are no total; nothing is counted then.
    pub fn add_total(&mut self, through: i64, bytes: &[u8]) -> Result<bool, CorruptRollup> {
        let Sums::Days(tally) = &mut self.sums else { return Err(CorruptRollup) };
        let total = Total::read(bytes)?;
        let is_whole = |day: i64| self.calendar.intervals_of(day).iter().all(|interval| *interval != OUTSIDE);
        // Days up to the total's end that have no clicks need not be in the range.
        let is_covered = is_whole(total.days.0) && is_whole(total.days.1) && through >= total.days.1;
        if is_covered {
            tally.add_sum(total.sum);
        }
        Ok(is_covered)
    }

    /// Reads the stored bytes of one day; each day at most once. A day that it does not need changes nothing.
    ///
    /// # Errors
    /// If they are no roll-up. The plan cannot be used any more then.
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
