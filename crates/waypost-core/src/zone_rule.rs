//! Rules of time zones in the form that POSIX gives to `TZ`: `CET-1CEST,M3.5.0,M10.5.0/3` is Central Europe.
//!
//! Such a rule tells the offset from UTC at every instant of the present and the future, so that edges need no database
//! of time zones. It knows nothing of the past, when zones had other rules. The control plane looks up the rule of a
//! zone's name. RFC 9636 section 3.3.1 describes the format, with hours from -167 to 167.

use crate::time::{date_of, days_since_1970};

const SECONDS_PER_DAY: i64 = 86_400;

/// The rule of a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneRule {
    /// Seconds ahead of UTC.
    standard: i64,
    daylight: Option<Daylight>,
}

/// The part of a year in which the clock differs from standard time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Daylight {
    /// Seconds ahead of UTC.
    offset: i64,
    /// In standard time.
    start: Change,
    /// In the time of this part of the year.
    end: Change,
}

/// The moment of a year at which the clock changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds after midnight of that day; perhaps negative, or more than a day.
    seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// `J60`: 1 to 365, without 29 February.
    CommonYear(i64),
    /// `59`: 0 to 365, with 29 February.
    Year(i64),
    /// `M3.5.0`: month, week (5 is the last), weekday from Sunday.
    Month(i64, i64, i64),
}

impl ZoneRule {
    /// UTC.
    pub const UTC: Self = Self { standard: 0, daylight: None };

    /// Reads a rule; `None` if the string is not one. Daylight saving time without the dates of its changes is refused.
    pub fn parse(rule: &str) -> Option<Self> {
        let mut reader = Reader(rule.as_bytes());
        reader.name()?;
        let standard = -reader.time(24)?;
        let mut daylight = None;
        if !reader.0.is_empty() {
            reader.name()?;
            let offset = if reader.0.first() == Some(&b',') { standard + 3_600 } else { -reader.time(24)? };
            let (start, end) = (reader.change()?, reader.change()?);
            daylight = Some(Daylight { offset, start, end });
        }
        reader.0.is_empty().then_some(Self { standard, daylight })
    }

    /// Seconds that the zone is ahead of UTC at an instant, given in seconds since 1970.
    pub fn offset_at(&self, instant: i64) -> i64 {
        let Some(Daylight { offset, start, end }) = self.daylight else { return self.standard };
        let (year, _, _) = date_of((instant + self.standard).div_euclid(SECONDS_PER_DAY));
        let (start, end) = (start.of_year(year) - self.standard, end.of_year(year) - offset);
        let is_daylight = if start < end {
            (start..end).contains(&instant)
        } else {
            // Summer in the south: it ends in the year after it began.
            !(end..start).contains(&instant)
        };
        if is_daylight { offset } else { self.standard }
    }
}

impl Change {
    /// The moment in this year, in seconds of the zone's own clock.
    fn of_year(self, year: i64) -> i64 {
        let day = match self.day {
            // By way of 1970, which has no leap day.
            Day::CommonYear(day) => {
                let (_, month, day) = date_of(day - 1);
                days_since_1970(year, month, day)
            }
            Day::Year(day) => days_since_1970(year, 1, 1) + day,
            Day::Month(month, week, weekday) => {
                let first = days_since_1970(year, month, 1);
                let day = first + (weekday - weekday_of(first)).rem_euclid(7) + (week - 1) * 7;
                let next_month = days_since_1970(year + month / 12, month % 12 + 1, 1);
                if day < next_month { day } else { day - 7 }
            }
        };
        day * SECONDS_PER_DAY + self.seconds
    }
}

/// The weekday of a day since 1970, from Sunday.
pub(crate) const fn weekday_of(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Whether this byte comes next. Moves past it.
    fn is(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Skips the abbreviation of a zone: three letters or more, or between `<` and `>` also digits and signs.
    fn name(&mut self) -> Option<()> {
        let is_quoted = self.is(b'<');
        let is_part = |byte: &u8| {
            byte.is_ascii_alphabetic() || is_quoted && (byte.is_ascii_digit() || matches!(byte, b'+' | b'-'))
        };
        let length = self.0.iter().take_while(|byte| is_part(byte)).count();
        self.0 = &self.0[length..];
        (length >= 3 && (!is_quoted || self.is(b'>'))).then_some(())
    }

    fn number(&mut self, max: i64) -> Option<i64> {
        let length = self.0.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        let number = digits.iter().fold(0, |number, byte| number * 10 + i64::from(byte - b'0'));
        (length > 0 && number <= max).then_some(number)
    }

    /// Reads `[+-]HH[:MM[:SS]]` as seconds.
    fn time(&mut self, hours_max: i64) -> Option<i64> {
        let is_negative = self.is(b'-');
        if !is_negative {
            self.is(b'+');
        }
        let mut seconds = self.number(hours_max)? * 3_600;
        for unit in [60, 1] {
            if self.is(b':') {
                seconds += self.number(59)? * unit;
            } else {
                break;
            }
        }
        Some(if is_negative { -seconds } else { seconds })
    }

    /// Reads `,DAY[/TIME]`.
    fn change(&mut self) -> Option<Change> {
        if !self.is(b',') {
            return None;
        }
        let day = if self.is(b'J') {
            Day::CommonYear(self.number(365).filter(|day| *day > 0)?)
        } else if self.is(b'M') {
            let month = self.number(12).filter(|month| *month > 0)?;
            let week = self.is(b'.').then(|| self.number(5)).flatten().filter(|week| *week > 0)?;
            let weekday = self.is(b'.').then(|| self.number(6)).flatten()?;
            Day::Month(month, week, weekday)
        } else {
            Day::Year(self.number(365)?)
        };
        let seconds = if self.is(b'/') { self.time(167)? } else { 2 * 3_600 };
        Some(Change { day, seconds })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    /// Rules of the zones whose rules are of a kind of their own.
    const RULES: &[&str] = &[
        "UTC0",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "EST5EDT,M3.2.0,M11.1.0",
        "GMT0BST,M3.5.0/1,M10.5.0",
        // Dublin: standard time in summer, and a "daylight saving time" that is behind it in winter.
        "IST-1GMT0,M10.5.0,M3.5.0/1",
        // Sydney, Adelaide, Lord Howe, Chatham, Santiago, Easter Island, Asuncion: summer over New Year.
        "AEST-10AEDT,M10.1.0,M4.1.0/3",
        "ACST-9:30ACDT,M10.1.0,M4.1.0/3",
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
        "<-04>4<-03>,M9.1.6/24,M4.1.6/24",
        "<-06>6<-05>,M9.1.6/22,M4.1.6/22",
        "<-04>4<-03>,M10.1.0/0,M3.4.0/0",
        // Kolkata, Kathmandu, Marquesas, St. John's.
        "IST-5:30",
        "<+0545>-5:45",
        "<-0930>9:30",
        "NST3:30NDT,M3.2.0,M11.1.0",
        // Nuuk, Godthab: changes before midnight. Jerusalem, Gaza: more than a day after the named one. Cairo, Beirut.
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
        "IST-2IDT,M3.4.4/26,M10.5.0",
        "EET-2EEST,M3.4.4/50,M10.4.4/50",
        "EET-2EEST,M4.5.5/0,M10.5.4/24",
        "EET-2EEST,M3.5.0/0,M10.5.0/0",
        // Julian days, with and without leap days.
        "ABC3DEF,J60/0,J300",
        "ABC-3DEF,59,299/5:06:07",
    ];

    fn agrees(text: &str, instant: i64) {
        let rule = ZoneRule::parse(text).expect(text);
        let zone = TimeZone::posix(text).expect(text);
        let expect = zone.to_offset(Timestamp::from_second(instant).expect("in range")).seconds();
        assert_eq!(rule.offset_at(instant), i64::from(expect), "{text} at {instant}");
    }

    #[test]
    fn agrees_with_another_library_around_every_change() {
        for text in RULES {
            let zone = TimeZone::posix(text).expect(text);
            let start = Timestamp::from_second(915_148_800).expect("in range");
            let changes: Vec<i64> =
                zone.following(start).take(220).map(|change| change.timestamp().as_second()).collect();
            for change in changes {
                (-2..=2)
                    .chain([-7_200, -3_600, -1_800, 1_800, 3_600, 7_200])
                    .for_each(|after| agrees(text, change + after));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn agrees_with_another_library_at_any_time(at in 0..RULES.len(), instant in -60_000_000_000_i64..200_000_000_000) {
            agrees(RULES[at], instant);
        }

        #[test]
        fn any_string_is_read_or_refused(text in "[A-Z<>+0-9:,./MJ-]{0,40}", instant in any::<i32>()) {
            if let Some(rule) = ZoneRule::parse(&text) {
                let _ = rule.offset_at(i64::from(instant) * 1000);
            }
        }
    }

    #[test]
    fn what_is_not_a_rule_is_refused() {
        for bad in [
            "",
            "UTC",
            "UT0",
            "Europe/Berlin",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M3.5.0,M10.5.0/3x",
            "CET-25",
            "CET-1CEST,M13.5.0,M10.5.0/3",
            "CET-1CEST,M3.6.0,M10.5.0/3",
            "CET-1CEST,M3.0.0,M10.5.0/3",
            "CET-1CEST,M3.5.7,M10.5.0/3",
            "CET-1CEST,J0,J300",
            "CET-1CEST,J366,J300",
            "CET-1CEST,M3.5.0/168,M10.5.0",
            "<+02-2",
            "CET-1:60",
            "CET-1111",
        ] {
            assert_eq!(ZoneRule::parse(bad), None, "{bad}");
        }
    }
}
