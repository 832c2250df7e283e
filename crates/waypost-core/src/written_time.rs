//! Points in time as people write them: in the API, on the command line, in a file to import, in the range of a report.
//! All of them use this parser.
//!
//! | written | means |
//! |---|---|
//! | `2026-01-15T10:30:00Z`, `2026-01-15T10:30:00+01:00` | that instant (RFC 3339) |
//! | `2026-01-15T10:30:00`, `2026-01-15 10:30` | that time of the calendar in question: UTC, but for a report's `time_zone` |
//! | `2026-01-15` | that date: the beginning of its day, and in a range that it ends, its end |
//!
//! `T` may be a space, `Z` may be lower case, a zone may be `+0100` or `+01`; seconds and their fraction may be absent.
//! Records of edges have a stricter format: see [`crate::time`].

use std::fmt;
use std::str::FromStr;

use crate::quoted::{Quoted, kept};
use crate::time::Timestamp;

/// The accepted formats, for messages.
pub const WRITTEN_TIME_FORMS: &str =
    "a time such as 2026-01-15T10:30:00Z, with or without zone (UTC where there is none), or a date such as 2026-01-15";

/// The most bytes of a string that is parsed.
const TEXT_BYTES_MAX: usize = 64;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenTime {
    /// A time with its zone.
    Instant(Timestamp),
    /// A time without a zone, as if it were UTC.
    Local(Timestamp),
    /// A date alone: its beginning, as if it were UTC.
    Date(Timestamp),
}

/// A string that is not a point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a time: give {WRITTEN_TIME_FORMS}", Quoted(text))]
pub struct WrittenTimeError {
    text: String,
}

impl WrittenTime {
    /// The instant that is meant, in UTC unless the string has a zone.
    pub const fn in_utc(self) -> Timestamp {
        match self {
            Self::Instant(time) | Self::Local(time) | Self::Date(time) => time,
        }
    }
}

impl FromStr for WrittenTime {
    type Err = WrittenTimeError;

    fn from_str(text: &str) -> Result<Self, WrittenTimeError> {
        read(text.trim_ascii()).ok_or_else(|| WrittenTimeError { text: kept(text) })
    }
}

/// Reads a point in time, in UTC unless the string has a zone.
///
/// # Errors
/// If the string is not a point in time; the message lists the accepted formats.
pub fn read_in_utc(text: &str) -> Result<Timestamp, WrittenTimeError> {
    text.parse().map(WrittenTime::in_utc)
}

fn read(text: &str) -> Option<WrittenTime> {
    // The strict parser validates the date; here a string is only converted to its format.
    let strict = |text: fmt::Arguments<'_>| text.to_string().parse::<Timestamp>().ok();
    if !text.is_ascii() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    if rest.is_empty() {
        return strict(format_args!("{date}T00:00:00Z")).map(WrittenTime::Date);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, zone) = rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()));
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let zone = match zone.as_bytes() {
        [] => return strict(format_args!("{date}T{clock}{seconds}Z")).map(WrittenTime::Local),
        [b'+' | b'-', _, _] => format!("{zone}:00"),
        [b'+' | b'-', _, _, minutes @ ..] if minutes.len() == 2 => format!("{}:{}", &zone[..3], &zone[3..]),
        _ => zone.to_owned(),
    };
    strict(format_args!("{date}T{clock}{seconds}{zone}")).map(WrittenTime::Instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(read_in_utc(text).ok().map(|time| time.to_string()).as_deref(), expect, "{text}");
    }

    #[test]
    fn with_and_without_zone_and_time() {
        for text in [
            "2026-01-15T10:30:00Z",
            "2026-01-15t10:30:00z",
            "2026-01-15 10:30:00Z",
            "2026-01-15T10:30Z",
            "2026-01-15T11:30:00+01:00",
            "2026-01-15T11:30+0100",
            "2026-01-15 11:30:00+01",
            "2026-01-15T10:30:00.000Z",
            "2026-01-15T10:30:00",
            "2026-01-15T10:30",
            "2026-01-15 10:30",
            " 2026-01-15 10:30:00.0 ",
        ] {
            check(text, Some("2026-01-15T10:30:00Z"));
        }
        check("2026-01-15", Some("2026-01-15T00:00:00Z"));
        check("2024-02-29", Some("2024-02-29T00:00:00Z"));
        assert!(matches!("2026-01-15".parse(), Ok(WrittenTime::Date(_))));
        assert!(matches!("2026-01-15T10:30".parse(), Ok(WrittenTime::Local(_))));
        assert!(matches!("2026-01-15T10:30Z".parse(), Ok(WrittenTime::Instant(_))));
    }

    #[test]
    fn nonsense_is_refused_with_what_is_taken() {
        for bad in [
            "",
            "soon",
            "1768473000",
            "2026-02-30",
            "2026-1-5",
            "15.01.2026",
            "01/15/2026",
            "2026-01-15T",
            "2026-01-15T10",
            "2026-01-15T25:00",
            "2026-01-15T10:30:00+1",
            "2026-01-15T10:30:00+24:00",
            "2026-01-15T10:30:00Zx",
            "2026-01-15Z",
            "2026-01-15T10:30:00 Europe/Berlin",
            "２０２６-01-15",
            "+2026-01-15",
            "-2026-01-15",
            "2026-01-15T10:30:00+01:00:00",
        ] {
            check(bad, None);
        }
        let message = read_in_utc("so\"on").expect_err("no time").to_string();
        assert!(message.starts_with("\"so\"on\" is not a time: give a time such as 2026-01-15T10:30:00Z"), "{message}");
    }
}
