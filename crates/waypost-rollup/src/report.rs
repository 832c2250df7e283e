//! Reading a report from roll-ups.

use std::ops::RangeInclusive;

use waypost_core::Timestamp;

use crate::{CorruptRollup, QueryError, ReportQuery};

/// A report's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Clicks in the range.
    pub clicks: u64,
    /// Visitors in the range.
    pub visitors: u64,
    /// Whether the visitors are an estimate; if not, they were counted one by one.
    pub visitors_are_estimated: bool,
    /// One row for each interval and group that has clicks (for each interval, where there are no groups), in the order of
    /// time and then of most clicks. Empty without interval and group.
    pub rows: Vec<ReportRow>,
    /// Groups that were left out of `rows`, and their clicks.
    pub other_groups: u64,
    /// The clicks of those.
    pub other_clicks: u64,
}

/// One row of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// When the interval begins.
    pub starts_at: Option<Timestamp>,
    /// The group's value; empty where it is not known; a link's number where groups are links.
    pub group: Option<String>,
    /// Clicks.
    pub clicks: u64,
    /// Visitors. Not counted where groups are links.
    pub visitors: Option<u64>,
}

/// A question on its way to an answer: it is shown the roll-ups of its days, in any order.
#[derive(Debug)]
pub struct ReportPlan {}

impl ReportPlan {
    /// Checks the question.
    ///
    /// # Errors
    /// Where it has no answer; the error says what to ask instead.
    pub fn new(_query: &ReportQuery) -> Result<Self, QueryError> {
        Ok(Self {})
    }

    /// The days (since 1970, in UTC) whose roll-ups it wants.
    pub fn days(&self) -> RangeInclusive<i64> {
        0..=0
    }

    /// Whether it wants the stored bytes of [`crate::LinksRollup`] and not those of [`crate::DayRollup`].
    pub fn wants_links(&self) -> bool {
        false
    }

    /// Takes the stored bytes of one day.
    ///
    /// # Errors
    /// Where they are no roll-up.
    pub fn add(&mut self, _day: i64, _bytes: &[u8]) -> Result<(), CorruptRollup> {
        Ok(())
    }

    /// The answer.
    pub fn finish(self) -> Report {
        Report::default()
    }
}
