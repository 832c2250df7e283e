//! Hours of a week as conditions have them: `mon-fri 09:00-17:00`.
//!
//! | written | means |
//! |---|---|
//! | `mon-fri 09:00-17:00` | these days, from 9:00 and before 17:00 |
//! | `sat,sun` | these days, all day |
//! | `22:00-06:00` | every day from 22:00 and before 6:00 of the next day |
//! | `fri-mon 18:00-24:00` | Friday, Saturday, Sunday and Monday evening |
//!
//! Days are the first three letters of their English names, in any letter case.

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTES_PER_DAY: u16 = 1_440;
const MINUTES_PER_WEEK: u16 = 7 * MINUTES_PER_DAY;

/// Hours of a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningHours {
    /// A bit for each weekday, from Sunday.
    pub(crate) days: u8,
    /// Minutes after midnight of such a day.
    pub(crate) from: u16,
    /// Minutes after the same midnight; after `from`, and at most a day after it.
    pub(crate) until: u16,
}

impl OpeningHours {
    /// Reads hours; `None` if the string is not of the format above.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let starts_with_digit = text.bytes().next()?.is_ascii_digit();
        let (days, hours) = match text.split_once(' ') {
            _ if starts_with_digit => ("", text),
            Some((days, hours)) => (days, hours.trim_ascii()),
            None => (text, ""),
        };
        let days = if days.is_empty() { 0x7f } else { set_of_days(days)? };
        if hours.is_empty() {
            return Some(Self { days, from: 0, until: MINUTES_PER_DAY });
        }
        let (from, until) = hours.split_once('-')?;
        let (from, until) = (minute(from)?, minute(until)?);
        if from == until || from == MINUTES_PER_DAY {
            return None;
        }
        Some(Self { days, from, until: if until > from { until } else { until + MINUTES_PER_DAY } })
    }

    /// Whether a minute of the week, counted from Sunday 0:00, is within these hours.
    pub fn contains(self, minute: u16) -> bool {
        // Hours after midnight belong to the day before; those of Saturday end on the Sunday of the next week.
        (0..7).filter(|day| self.days & 1 << day != 0).any(|day| {
            let after = (minute + MINUTES_PER_WEEK - day * MINUTES_PER_DAY) % MINUTES_PER_WEEK;
            (self.from..self.until).contains(&after)
        })
    }
}

/// `mon`, `mon-fri`, or several of these with commas between them.
fn set_of_days(text: &str) -> Option<u8> {
    text.split(',').try_fold(0, |days, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (day_of(first)?, day_of(last)?);
        let mut days = days | 1 << day;
        while day != last {
            day = (day + 1) % 7;
            days |= 1 << day;
        }
        Some(days)
    })
}

fn day_of(name: &str) -> Option<usize> {
    DAYS.iter().position(|day| day.eq_ignore_ascii_case(name))
}

/// `9:00`, `09:00`, up to `24:00`, as minutes.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim_ascii().split_once(':')?;
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    let (hours, minutes): (u16, u16) = (number(hours)?, number(minutes)?);
    let fits = hours <= 24 && minutes <= 59 && text.trim_ascii().len() <= 5;
    Some(hours * 60 + minutes).filter(|minute| fits && *minute <= MINUTES_PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, inside: &[(u16, u16, u16)], outside: &[(u16, u16, u16)]) {
        let hours = OpeningHours::parse(text).expect(text);
        let at = |(day, hour, minute)| day * MINUTES_PER_DAY + hour * 60 + minute;
        for time in inside {
            assert!(hours.contains(at(*time)), "{text} at {time:?}");
        }
        for time in outside {
            assert!(!hours.contains(at(*time)), "{text} at {time:?}");
        }
    }

    #[test]
    fn days_and_hours() {
        check("mon-fri 09:00-17:00", &[(1, 9, 0), (5, 16, 59)], &[(1, 8, 59), (1, 17, 0), (0, 12, 0), (6, 12, 0)]);
        check("sat,sun", &[(6, 0, 0), (6, 23, 59), (0, 0, 0)], &[(1, 0, 0), (5, 23, 59)]);
        check("Fri-Mon 9:00-10:00", &[(5, 9, 0), (6, 9, 0), (0, 9, 0), (1, 9, 0)], &[(2, 9, 0), (4, 9, 0)]);
        check("22:00-06:00", &[(0, 22, 0), (1, 5, 59), (0, 0, 0)], &[(0, 6, 0), (0, 21, 59)]);
        check("sat 22:00-06:00", &[(6, 22, 0), (0, 5, 59)], &[(6, 5, 0), (0, 22, 0), (0, 6, 0)]);
        check("sun 00:00-24:00", &[(0, 0, 0), (0, 23, 59)], &[(1, 0, 0), (6, 23, 59)]);
        check("mon,wed-thu  18:00-24:00", &[(1, 18, 0), (3, 23, 59), (4, 18, 0)], &[(2, 18, 0), (4, 0, 0)]);
    }

    #[test]
    fn what_is_not_hours_is_refused() {
        for bad in [
            "",
            " ",
            "monday",
            "mon-",
            "mon 9-17",
            "mon 09:00",
            "mon 09:00-09:00",
            "mon 24:00-01:00",
            "mon 09:00-25:00",
            "mon 09:60-10:00",
            "mon 24:01-01:00",
            "mon,,tue",
            "09:00-17:00 mon",
            "mon +9:00-10:00",
            "mon 009:00-10:00",
            "\u{e4}",
            "mo 09:00-10:00",
        ] {
            assert_eq!(OpeningHours::parse(bad), None, "{bad}");
        }
    }
}
