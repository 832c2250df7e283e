//! Divides a report's range into hours, and finds the interval of each hour.
//!
//! Roll-ups count by hours of UTC. An hour counts where its beginning falls: in a time zone whose offset is no whole
//! number of hours, the clicks of the hour in which a day changes belong to the day that ends. Days of 23 and 25 hours
//! are as long as they are, and a day that a zone has skipped is no interval.

use std::ops::RangeInclusive;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp as Instant};
use waypost_core::Timestamp;

use crate::query::{INTERVALS_MAX, RANGE_DAYS_MAX};
use crate::{Interval, QueryError, ReportQuery};

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_HOURS: i64 = 24;

/// Stands for "in no interval".
pub(crate) const OUTSIDE: u32 = u32::MAX;

/// The hours of a range and its intervals.
#[derive(Debug)]
pub(crate) struct Calendar {
    /// Since 1970; up to before `end_hour`.
    first_hour: i64,
    end_hour: i64,
    /// When each interval begins, in microseconds; in order.
    starts: Vec<i64>,
}

impl Calendar {
    pub(crate) fn new(query: &ReportQuery) -> Result<Self, QueryError> {
        let (from, to) = (query.from.as_micros(), query.to.as_micros());
        if to <= from {
            return Err(QueryError::RangeReversed);
        }
        let days = to.checked_sub(from).map(|micros| micros / (HOUR_MICROS * DAY_HOURS));
        if days.is_none_or(|days| days >= RANGE_DAYS_MAX) && days != Some(RANGE_DAYS_MAX) {
            return Err(QueryError::RangeTooLong { max_days: RANGE_DAYS_MAX });
        }
        let first = instant(query.from)?;
        let last = instant(query.to)?;
        let (first_hour, end_hour) = (hour_from(from), hour_from(to));
        let starts = match query.interval {
            Interval::None => vec![from],
            Interval::Hour => hours(first_hour, end_hour, &query.time_zone)?,
            Interval::Day | Interval::Week | Interval::Month | Interval::Year => {
                dates(first, last, query.interval, &query.time_zone)?
            }
        };
        Ok(Self { first_hour, end_hour, starts })
    }

    /// The days in UTC, since 1970, that have hours of the range.
    pub(crate) fn days(&self) -> RangeInclusive<i64> {
        let first = self.first_hour.div_euclid(DAY_HOURS);
        if self.end_hour <= self.first_hour {
            return first..=first - 1;
        }
        first..=(self.end_hour - 1).div_euclid(DAY_HOURS)
    }

    pub(crate) fn intervals(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn starts_at(&self, interval: u32) -> Timestamp {
        Timestamp::from_micros(self.starts[interval as usize])
    }

    /// The interval of each hour of a day.
    pub(crate) fn intervals_of(&self, day: i64) -> [u32; 24] {
        let mut intervals = [OUTSIDE; 24];
        let Some(midnight) = day.checked_mul(DAY_HOURS) else { return intervals };
        for (hour, interval) in (midnight..).zip(&mut intervals) {
            if (self.first_hour..self.end_hour).contains(&hour) {
                let begun = self.starts.partition_point(|start| *start <= hour * HOUR_MICROS);
                *interval = begun.saturating_sub(1) as u32;
            }
        }
        intervals
    }
}

/// The first hour that begins at or after this instant.
fn hour_from(micros: i64) -> i64 {
    micros.div_euclid(HOUR_MICROS) + i64::from(micros.rem_euclid(HOUR_MICROS) > 0)
}

fn instant(at: Timestamp) -> Result<Instant, QueryError> {
    Instant::from_microsecond(at.as_micros()).map_err(|_| QueryError::UnknownValue {
        dimension: "time of a report",
        value: at.to_string(),
        expected: "give one up to the year 9999".to_owned(),
    })
}

fn too_many() -> QueryError {
    QueryError::TooManyIntervals { max: INTERVALS_MAX }
}

/// The beginnings of the local hours in which these hours begin.
fn hours(first: i64, end: i64, time_zone: &TimeZone) -> Result<Vec<i64>, QueryError> {
    if end - first > INTERVALS_MAX as i64 {
        return Err(too_many());
    }
    let start = |hour: i64| {
        let micros = hour * HOUR_MICROS;
        // An hour is within the range, whose ends are instants.
        let offset = Instant::from_microsecond(micros).map_or(0, |at| time_zone.to_offset(at).seconds());
        micros - (i64::from(offset) * 1_000_000).rem_euclid(HOUR_MICROS)
    };
    Ok((first..end).map(start).collect())
}

/// The beginnings of the days, weeks, months or years of the time zone that the range touches.
fn dates(first: Instant, end: Instant, interval: Interval, time_zone: &TimeZone) -> Result<Vec<i64>, QueryError> {
    let mut date = interval_start(time_zone.to_datetime(first).date(), interval);
    let mut starts: Vec<i64> = Vec::new();
    while let Some(at) = date.and_then(|date| time_zone.to_timestamp(date.at(0, 0, 0, 0)).ok()) {
        if at >= end {
            break;
        }
        // If a zone has skipped a day, its midnight is that of the next day.
        if starts.last().is_none_or(|before| *before < at.as_microsecond()) {
            starts.push(at.as_microsecond());
        }
        if starts.len() > INTERVALS_MAX {
            return Err(too_many());
        }
        date = date.and_then(|date| date.checked_add(step(interval)).ok());
    }
    match starts.first_mut() {
        Some(start) => *start = (*start).min(first.as_microsecond()),
        // Only at the very ends of the calendar.
        None => starts.push(first.as_microsecond()),
    }
    Ok(starts)
}

fn interval_start(date: Date, interval: Interval) -> Option<Date> {
    match interval {
        Interval::None | Interval::Hour | Interval::Day => Some(date),
        Interval::Week => {
            let days = date.weekday().since(Weekday::Monday);
            date.checked_sub(Span::new().days(days)).ok()
        }
        Interval::Month => Some(date.first_of_month()),
        Interval::Year => Some(date.first_of_year()),
    }
}

fn step(interval: Interval) -> Span {
    match interval {
        Interval::None | Interval::Hour | Interval::Day => Span::new().days(1),
        Interval::Week => Span::new().weeks(1),
        Interval::Month => Span::new().months(1),
        Interval::Year => Span::new().years(1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Scope;

    fn query(range: [&str; 2], interval: Interval, zone: &str) -> ReportQuery {
        let [from, to] = range.map(|text| text.parse().unwrap());
        ReportQuery {
            scope: Scope::Account("acc_a".parse().unwrap()),
            from,
            to,
            interval,
            time_zone: TimeZone::get(zone).unwrap(),
            classes: Vec::new(),
            filters: Vec::new(),
            group_by: None,
            groups_max: 10,
        }
    }

    /// Expects intervals by their beginnings and numbers of hours.
    #[track_caller]
    fn check(range: [&str; 2], interval: Interval, zone: &str, expect: &[(&str, u32)]) {
        let calendar = Calendar::new(&query(range, interval, zone)).unwrap();
        let mut hours = vec![0; calendar.intervals()];
        let intervals = calendar.days().flat_map(|day| calendar.intervals_of(day)).filter(|at| *at != OUTSIDE);
        intervals.for_each(|interval| hours[interval as usize] += 1);
        let starts = (0..hours.len()).map(|interval| calendar.starts_at(interval as u32).to_string());
        let found: Vec<(String, u32)> = starts.zip(hours).collect();
        let expect: Vec<(String, u32)> = expect.iter().map(|(start, hours)| ((*start).to_owned(), *hours)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn days_are_as_long_as_they_are() {
        let day = Interval::Day;
        check(
            ["2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z"],
            day,
            "Europe/Berlin",
            &[("2026-03-27T23:00:00Z", 24), ("2026-03-28T23:00:00Z", 23), ("2026-03-29T22:00:00Z", 24)],
        );
        check(
            ["2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z"],
            day,
            "Europe/Berlin",
            &[("2026-10-24T22:00:00Z", 25), ("2026-10-25T23:00:00Z", 24)],
        );
        check(
            ["2026-11-01T04:00:00Z", "2026-11-02T06:00:00Z"],
            day,
            "America/New_York",
            &[("2026-11-01T04:00:00Z", 25), ("2026-11-02T05:00:00Z", 1)],
        );
        check(
            ["2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"],
            day,
            "America/New_York",
            &[("2026-03-08T05:00:00Z", 23)],
        );
        // Apia had no 30 December 2011.
        check(
            ["2011-12-29T10:00:00Z", "2012-01-01T10:00:00Z"],
            day,
            "Pacific/Apia",
            &[("2011-12-29T10:00:00Z", 24), ("2011-12-30T10:00:00Z", 24), ("2011-12-31T10:00:00Z", 24)],
        );
    }

    #[test]
    fn hours_count_where_they_begin() {
        // A day in Kolkata begins at 18:30Z; the hour from 18:00Z on belongs to the day before.
        check(
            ["2026-01-01T18:30:00Z", "2026-01-03T18:30:00Z"],
            Interval::Day,
            "Asia/Kolkata",
            &[("2026-01-01T18:30:00Z", 24), ("2026-01-02T18:30:00Z", 24)],
        );
        check(
            ["2026-01-01T18:00:00Z", "2026-01-01T20:10:00Z"],
            Interval::Hour,
            "Asia/Kolkata",
            &[("2026-01-01T17:30:00Z", 1), ("2026-01-01T18:30:00Z", 1), ("2026-01-01T19:30:00Z", 1)],
        );
        check(
            ["2026-01-01T18:00:00.000001Z", "2026-01-01T20:00:00Z"],
            Interval::Hour,
            "UTC",
            &[("2026-01-01T19:00:00Z", 1)],
        );
        check(["2026-01-01T18:10:00Z", "2026-01-01T18:50:00Z"], Interval::None, "UTC", &[("2026-01-01T18:10:00Z", 0)]);
        check(["2026-01-01T18:10:00Z", "2026-01-01T18:50:00Z"], Interval::Hour, "UTC", &[]);
    }

    #[test]
    fn weeks_months_and_years() {
        check(
            ["2025-12-31T00:00:00Z", "2026-01-12T00:00:00Z"],
            Interval::Week,
            "UTC",
            &[("2025-12-29T00:00:00Z", 120), ("2026-01-05T00:00:00Z", 168)],
        );
        check(
            ["2024-02-10T00:00:00Z", "2024-03-02T00:00:00Z"],
            Interval::Month,
            "UTC",
            &[("2024-02-01T00:00:00Z", 480), ("2024-03-01T00:00:00Z", 24)],
        );
        check(
            ["2023-12-31T22:30:00Z", "2024-12-31T23:00:00Z"],
            Interval::Year,
            "Europe/Berlin",
            &[("2022-12-31T23:00:00Z", 0), ("2023-12-31T23:00:00Z", 366 * 24)],
        );
    }

    #[test]
    fn ranges_have_limits() {
        let error = |range, interval| Calendar::new(&query(range, interval, "Europe/Berlin")).unwrap_err();
        let year = ["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"];
        assert!(Calendar::new(&query(year, Interval::Hour, "UTC")).is_ok());
        let two = ["2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z"];
        assert_eq!(error(two, Interval::Hour), QueryError::TooManyIntervals { max: INTERVALS_MAX });
        let long = ["1976-01-01T00:00:00Z", "2026-01-01T00:00:00Z"];
        assert_eq!(error(long, Interval::Year), QueryError::RangeTooLong { max_days: RANGE_DAYS_MAX });
        assert_eq!(error([year[1], year[0]], Interval::Day), QueryError::RangeReversed);
        assert_eq!(error([year[1], year[1]], Interval::Day), QueryError::RangeReversed);
    }

    #[test]
    fn the_ends_of_time_do_no_harm() {
        let intervals =
            [Interval::None, Interval::Hour, Interval::Day, Interval::Week, Interval::Month, Interval::Year];
        let points = [i64::MIN, i64::MIN + 1, -377_705_116_800_000_000, -1, 0, 1, 253_402_207_200_000_000, i64::MAX];
        for (at, length) in points.iter().flat_map(|at| [1, HOUR_MICROS, 30 * 24 * HOUR_MICROS].map(|len| (*at, len))) {
            for zone in ["UTC", "Asia/Kolkata", "Pacific/Apia", "America/New_York"] {
                for interval in intervals {
                    for (from, to) in [(at, at.saturating_add(length)), (at.saturating_sub(length), at)] {
                        let mut query = query(["2026-01-01T00:00:00Z"; 2], interval, zone);
                        (query.from, query.to) = (Timestamp::from_micros(from), Timestamp::from_micros(to));
                        if let Ok(calendar) = Calendar::new(&query) {
                            calendar.days().take(40).for_each(|day| _ = calendar.intervals_of(day));
                        }
                    }
                }
            }
        }
        let mut whole = query(["2026-01-01T00:00:00Z"; 2], Interval::Day, "UTC");
        (whole.from, whole.to) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        assert!(Calendar::new(&whole).is_err());
        let calendar = Calendar::new(&query(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"], Interval::Day, "UTC"));
        assert_eq!(calendar.unwrap().intervals_of(i64::MAX), [OUTSIDE; 24]);
    }
}
