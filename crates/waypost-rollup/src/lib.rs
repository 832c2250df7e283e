//! Roll-ups, which count clicks, and the reports that are read from them. Pure: no SQL, no files, no clock.
//!
//! A click with everything known of it ([`ClickFacts`]) is added to the roll-up of each scope it belongs to (its link,
//! its domain, its account) for its day ([`DayRollup`]), and to the account's and the domain's list of links
//! ([`LinksRollup`]). A roll-up is one value in bytes that merges with another of the same scope and day in any order.
//! To count many clicks at once turns each into a [`ClickKey`] of the batch's [`Vocabulary`], puts together the
//! keys of a scope and day, and merges them into the stored bytes: that is several times cheaper than
//! [`DayRollup::add`]. A report ([`ReportQuery`]) is read from the roll-ups of its days by a [`ReportPlan`] and from
//! nothing else; of a month that is over what the days say can be kept once more as a [`MonthRollup`], which is read in
//! their place.

mod batch;
mod calendar;
mod cell_bytes;
mod cells;
mod day;
mod day_format;
mod decode;
mod encode;
mod event;
mod facts;
mod few;
mod links;
mod month;
mod query;
mod question;
mod report;
mod sample;
mod scan;
mod schema;
mod tally;
mod top_links;
mod total;
mod view;
mod wire;
mod words;

pub use batch::{ClickKey, Vocabulary};
pub use day::DayRollup;
pub use facts::ClickFacts;
pub use links::LinksRollup;
pub use month::{Month, MonthPart, MonthRollup};
pub use query::{
    Dimension, FILTER_VALUES_MAX, Filter, GROUPS_MAX, INTERVALS_MAX, Interval, QueryError, RANGE_DAYS_MAX, ReportQuery,
    Scope, classes_from_text,
};
pub use report::{Report, ReportPlan, ReportRow};
pub use total::{Classes, RunningTotal};
pub use waypost_core::channel::Channel;

/// Bytes that are not a roll-up: damaged, truncated, or in another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored roll-up is damaged or of another format")]
pub struct CorruptRollup;
