//! Points in time as the core uses them: microseconds since 1970 in UTC, written as RFC 3339.
//!
//! This module parses and prints instants. The caller reads the clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// An instant in UTC with microsecond resolution; further digits are truncated.
///
/// The range is that of RFC 3339 years (and a little beyond): -9999 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A string that is not an RFC 3339 timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an RFC 3339 timestamp such as 2026-01-15T10:30:00Z", crate::Quoted(text))]
pub struct TimestampError {
    text: String,
}

impl Timestamp {
    /// The instant this many microseconds after 1970-01-01T00:00:00Z (before it, if negative).
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text.as_bytes()).map(Self).ok_or_else(|| TimestampError { text: crate::quoted::kept(text) })
    }
}

/// Microseconds since 1970, read from RFC 3339. A leap second reads as the second before it.
fn parse(text: &[u8]) -> Option<i64> {
    if !has_rfc3339_shape(text) {
        return None;
    }
    let number = |at: usize, digits: usize| {
        text[at..at + digits].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
    };
    let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
    let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2));
    if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction_digits = text[19..].iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, zone) =
        if text[19] == b'.' { text[20..].split_at(fraction_digits) } else { (&text[..0], &text[19..]) };
    let micros =
        (0..6).fold(0, |micros, place| micros * 10 + fraction.get(place).map_or(0, |digit| i64::from(digit - b'0')));
    let seconds = hour * 3_600 + minute * 60 + second.min(59);
    let local = days_since_1970(year, month, day) * MICROS_PER_DAY + seconds * MICROS_PER_SECOND + micros;
    Some(local - offset_micros(zone)?)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that a leap day ends one.
pub(crate) const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let years = if month <= 2 { year - 1 } else { year };
    let era = years.div_euclid(400);
    let year_of_era = years.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The year, month and day that lie this many days after 1970-01-01.
pub(crate) const fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Microseconds that a zone (`Z` or `+HH:MM`) is ahead of UTC.
fn offset_micros(zone: &[u8]) -> Option<i64> {
    let [sign, h1, h2, _, m1, m2] = zone else { return Some(0) };
    let two = |tens: &u8, ones: &u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    let (hours, minutes) = (two(h1, h2), two(m1, m2));
    if hours > 23 || minutes > 59 {
        return None;
    }
    let micros = (hours * 60 + minutes) * 60_000_000;
    Some(if *sign == b'-' { -micros } else { micros })
}

/// `YYYY-MM-DD`, `T` or `t` or a space, `HH:MM:SS`, an optional fraction, then `Z`, `z` or `+HH:MM` / `-HH:MM`.
fn has_rfc3339_shape(text: &[u8]) -> bool {
    let Some((head, tail)) = text.split_at_checked(19) else { return false };
    let head_fits = head.iter().zip(b"dddd-dd-ddTdd:dd:dd").all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        other => byte == other,
    });
    let zone = match tail.strip_prefix(b".") {
        None => tail,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
    };
    let zone_fits = match zone {
        b"Z" | b"z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    head_fits && zone_fits
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.0.div_euclid(MICROS_PER_DAY));
        if !(-9_999..=9_999).contains(&year) {
            return write!(f, "{}us", self.0);
        }
        let micros = self.0.rem_euclid(MICROS_PER_DAY);
        let (seconds, fraction) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
        let mut text = *b"0000-00-00T00:00:00.000000";
        let places = [
            (0, 4, year.abs()),
            (5, 2, month),
            (8, 2, day),
            (11, 2, seconds / 3_600),
            (14, 2, seconds / 60 % 60),
            (17, 2, seconds % 60),
            (20, 6, fraction),
        ];
        for (at, digits, number) in places {
            let mut rest = number;
            for place in text[at..at + digits].iter_mut().rev() {
                *place = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        let end =
            if fraction == 0 { 19 } else { text.iter().rposition(|digit| *digit != b'0').map_or(19, |at| at + 1) };
        let text = str::from_utf8(&text[..end]).map_err(|_| fmt::Error)?;
        f.write_str(if year < 0 { "-00" } else { "" })?;
        f.write_str(text)?;
        f.write_str("Z")
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimestampVisitor)
    }
}

/// Borrows the string if it can.
struct TimestampVisitor;

impl serde::de::Visitor<'_> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 timestamp")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use jiff::civil::{DateTime, date};
    use proptest::prelude::*;

    use super::*;

    const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

    proptest! {
        /// Another library prints and reads every instant in the same way.
        #[test]
        fn agrees_with_another_library(micros in -377_705_116_800_000_000_i64..=253_402_300_799_999_999) {
            let civil = EPOCH.checked_add(SignedDuration::from_micros(micros)).expect("in range");
            let text = Timestamp(micros).to_string();
            prop_assert_eq!(&text, &format!("{civil}Z"));
            if !text.starts_with('-') {
                prop_assert_eq!(text.parse(), Ok(Timestamp(micros)));
            }
        }

        #[test]
        fn accepts_the_dates_that_another_library_does(year in 0..=9999_u16, month in 0..=13_u8, day in 0..=32_u8,
            hour in 0..=25_u8, minute in 0..=61_u8, second in 0..=61_u8, fraction in "(\\.[0-9]{1,9})?") {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}");
            let theirs = text.parse::<DateTime>().ok().map(|civil| civil.duration_since(EPOCH).as_micros());
            let ours = format!("{text}Z").parse::<Timestamp>().ok().map(|ours| i128::from(ours.as_micros()));
            // Before 1970 this module truncates a fraction downwards, the other library towards 1970.
            if fraction.len() <= 7 || year >= 1970 {
                prop_assert_eq!(ours, theirs, "{}", text);
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let parsed = text.parse::<Timestamp>().ok().map(|timestamp| timestamp.to_string());
        assert_eq!(parsed.as_deref(), expect, "{text}");
    }

    #[test]
    fn reads_rfc3339_and_nothing_else() {
        check("2026-01-15T10:30:00Z", Some("2026-01-15T10:30:00Z"));
        check("2026-01-15t10:30:00z", Some("2026-01-15T10:30:00Z"));
        check("2026-01-15T12:30:00+02:00", Some("2026-01-15T10:30:00Z"));
        check("2026-01-15T10:30:00.1234567Z", Some("2026-01-15T10:30:00.123456Z"));
        check("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59Z"));
        check("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z"));
        check("2026-01-01T00:30:00+01:00", Some("2025-12-31T23:30:00Z"));
        check("2026-01-15T10:30:00+24:00", None);
        check("2026-02-29T00:00:00Z", None);
        check("2026-01-15", None);
        check("2026-01-15T10:30:00", None);
        check("2026-01-15T10:30:00.Z", None);
        check("2026-01-15T10:30:00Z[UTC]", None);
        check("1768473000", None);
        check("", None);
    }
}
