//! Points in time as the core uses them: microseconds since 1970 in UTC, written as RFC 3339.
//!
//! Reading a clock is the caller's work; this module only names, parses and prints instants.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// An instant in UTC with microsecond resolution; finer digits of a text are cut off.
///
/// The range is that of RFC 3339 years (and a little beyond): -9999 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 timestamp such as 2026-01-15T10:30:00Z")]
pub struct TimestampError {
    text: String,
}

impl Timestamp {
    /// The instant this many microseconds after 1970-01-01T00:00:00Z (before it, where negative).
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
        let error = || TimestampError { text: text.chars().take(64).collect() };
        // The parser also takes forms that RFC 3339 does not have (a date alone, a zone in brackets): those are refused.
        if !has_rfc3339_shape(text.as_bytes()) {
            return Err(error());
        }
        // Read as a civil time and moved by the offset here, because the parser's own instants end on 9999-12-30, and
        // 9999-12-31T23:59:59Z is what many write for "never".
        let zone_bytes = if text.ends_with(['Z', 'z']) { 1 } else { 6 };
        let (civil, zone) = text.split_at(text.len() - zone_bytes);
        let civil: DateTime = civil.parse().map_err(|_| error())?;
        let local = i64::try_from(civil.duration_since(EPOCH).as_micros()).map_err(|_| error())?;
        Ok(Self(local - offset_micros(zone.as_bytes()).ok_or_else(error)?))
    }
}

/// Microseconds that a zone text (`Z` or `+HH:MM`) is ahead of UTC.
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
        match EPOCH.checked_add(SignedDuration::from_micros(self.0)) {
            Ok(civil) => write!(f, "{civil}Z"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
