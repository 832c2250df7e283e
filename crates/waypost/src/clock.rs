//! The wall clock, which is read only here, and times as people write them.

use std::time::{SystemTime, UNIX_EPOCH};

use waypost_core::Timestamp;
use waypost_core::written_time::read_in_utc;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Now.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// Reads an instant: a date or time in the formats of the API, or a span from `now` such as `90d`, `12h`, `30m` or
/// `45s`.
///
/// # Errors
/// Names the formats that are accepted.
pub(crate) fn parse_when(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let written = match read_in_utc(text) {
        Ok(timestamp) => return Ok(timestamp),
        Err(error) => error,
    };
    let span = || {
        let unit = text.chars().last()?;
        let count: u32 = text[..text.len() - unit.len_utf8()].parse().ok()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        now.as_micros().checked_add(i64::from(count).checked_mul(seconds * MICROS_PER_SECOND)?)
    };
    span()
        .map(Timestamp::from_micros)
        .ok_or_else(|| anyhow::anyhow!("{written}, or a span from now such as 90d or 12h"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let found = parse_when(text, now).ok().map(|timestamp| timestamp.to_string());
        assert_eq!(found.as_deref(), expect, "{text}");
    }

    #[test]
    fn times_and_spans() {
        check("2027-01-31T00:00:00Z", Some("2027-01-31T00:00:00Z"));
        check("2027-01-31", Some("2027-01-31T00:00:00Z"));
        check("2027-01-31 01:00+01:00", Some("2027-01-31T00:00:00Z"));
        check("2027-01-31T00:00", Some("2027-01-31T00:00:00Z"));
        check("90d", Some("2026-04-01T00:00:00Z"));
        check("12h", Some("2026-01-01T12:00:00Z"));
        check("1w", Some("2026-01-08T00:00:00Z"));
        check("30m", Some("2026-01-01T00:30:00Z"));
        for bad in ["", "d", "-1d", "1", "1y", "tomorrow", "1.5h", "9999999999d", "é"] {
            check(bad, None);
        }
    }
}
