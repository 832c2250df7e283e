//! Which clicks a request selects.

use jiff::tz::TimeZone;
use waypost_core::Timestamp;

use crate::format::Format;
use crate::problem::{Invalid, ProblemCode};
use crate::read::{Parameters, QueryPairs, read_end, read_start, read_time_zone};

/// Clicks of a page where the caller does not say.
pub const PAGE_CLICKS: usize = 100;
/// The most clicks of a page.
pub const PAGE_CLICKS_MAX: usize = 10_000;
/// Refused events of a page where the caller does not say, and at the most.
const PAGE_REFUSED: u32 = 50;
/// The most refused events of a page.
pub const PAGE_REFUSED_MAX: u32 = 1_000;

/// Which clicks are asked for, and in what form.
#[derive(Clone, Debug)]
pub struct ListClicks {
    /// Only those of this link.
    pub link_id: Option<String>,
    /// Only those from then on.
    pub from: Option<Timestamp>,
    /// Only those before then.
    pub to: Option<Timestamp>,
    /// How many at the most.
    pub limit: Option<usize>,
    /// Where the page before this one ended.
    pub cursor: Option<String>,
    /// In what form, where the query says.
    pub format: Option<Format>,
}

impl ListClicks {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Every parameter that is at fault.
    pub fn read(pairs: QueryPairs, now: Timestamp) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let zone = parameters.read("time_zone", ProblemCode::TimeZoneUnknown, read_time_zone).unwrap_or(TimeZone::UTC);
        let to = parameters.read("to", ProblemCode::RangeInvalid, |text| read_end(text, &zone, now));
        let end = to.unwrap_or(now);
        let from = parameters.read("from", ProblemCode::RangeInvalid, |text| read_start(text, &zone, now, end));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            let detail = "the range ends at or before its beginning; swap from and to";
            parameters.refuse("to", ProblemCode::RangeInvalid, detail);
        }
        let formats = [("json", Format::Json), ("csv", Format::Csv), ("ndjson", Format::Ndjson)];
        let asked = Self {
            link_id: parameters.take("link_id"),
            from,
            to,
            limit: parameters.read("limit", ProblemCode::InvalidField, read_limit),
            cursor: parameters.take("cursor"),
            format: parameters.one_of("format", &formats),
        };
        parameters.finish().map(|()| asked)
    }
}

fn read_limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "must be a number from 1 on".to_owned())
}

/// Which clicks a listener wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowClicks {
    /// Only those of this link.
    pub link_id: Option<String>,
    /// Only those of these classes; empty for all.
    pub classes: Vec<&'static str>,
}

impl FollowClicks {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Every parameter that is at fault.
    pub fn read(pairs: QueryPairs) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let asked = Self { link_id: parameters.take("link_id"), classes: parameters.class_names() };
        parameters.finish().map(|()| asked)
    }
}

/// Which refused events are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRefused {
    /// How many at the most.
    pub limit: u32,
    /// Where the page before this one ended.
    pub cursor: Option<String>,
}

impl ListRefused {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Every parameter that is at fault.
    pub fn read(pairs: QueryPairs) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let limit = parameters.limit(ProblemCode::InvalidField, PAGE_REFUSED_MAX).unwrap_or(PAGE_REFUSED);
        let asked = Self { limit, cursor: parameters.take("cursor") };
        parameters.finish().map(|()| asked)
    }
}
