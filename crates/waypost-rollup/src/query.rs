//! Queries of reports: what a report can select, filter and group by.

use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::Serialize;
use waypost_core::Timestamp;
use waypost_core::class::Class;
use waypost_core::id::{AccountId, LinkId};

/// The longest range, in days.
pub const RANGE_DAYS_MAX: i64 = 3_660;
/// The most intervals of a report.
pub const INTERVALS_MAX: usize = 10_000;
/// The most groups of a report.
pub const GROUPS_MAX: usize = 1_000;
/// The most rows of a report with groups: with many intervals there are fewer groups than requested.
pub(crate) const ROWS_MAX: usize = 200_000;
/// The most values of a filter.
pub const FILTER_VALUES_MAX: usize = 1_000;

/// What a report is about. Always within one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All links of the account.
    Account(AccountId),
    /// Those on one domain: its host as clicks carry it, empty for the default domain.
    Domain(AccountId, String),
    /// One link.
    Link(AccountId, LinkId),
}

/// How the range is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Not at all.
    None,
    /// By hour.
    Hour,
    /// By calendar day of the time zone.
    Day,
    /// By ISO week, which begins on Monday.
    Week,
    /// By calendar month.
    Month,
    /// By calendar year.
    Year,
}

/// What a report can filter and group by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// `human`, `prefetch`, `preview`, `bot`, `head`.
    Class,
    /// ISO 3166-1 alpha-2.
    Country,
    /// `desktop`, `mobile`, `tablet`, `other`.
    Device,
    /// `ios`, `android`, ...
    Os,
    /// The browser's family.
    Browser,
    /// The kind of place that visitors came from.
    Channel,
    /// A language's first subtag.
    Language,
    /// What supplied the destination.
    Source,
    /// The rule that supplied it.
    Rule,
    /// The split that supplied it.
    AbTest,
    /// Its variant.
    Variant,
    /// The host of the referrer.
    ReferrerHost,
    /// A UTM value of the final URL.
    UtmSource,
    /// See `UtmSource`.
    UtmMedium,
    /// See `UtmSource`.
    UtmCampaign,
    /// See `UtmSource`.
    UtmTerm,
    /// See `UtmSource`.
    UtmContent,
    /// The link; for account and domain.
    Link,
}

/// A condition on one dimension: any of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// On what.
    pub dimension: Dimension,
    /// Any of these; an empty string means "not known".
    pub values: Vec<String>,
}

/// The query of a report.
#[derive(Clone, Debug)]
pub struct ReportQuery {
    /// The scope of the report.
    pub scope: Scope,
    /// From this instant.
    pub from: Timestamp,
    /// To before this one.
    pub to: Timestamp,
    /// How the range is divided.
    pub interval: Interval,
    /// The time zone of days and intervals.
    pub time_zone: TimeZone,
    /// The classes that are counted; empty means all.
    pub classes: Vec<Class>,
    /// All of these must hold.
    pub filters: Vec<Filter>,
    /// One row for each value of this.
    pub group_by: Option<Dimension>,
    /// The most groups given, those with most clicks; the rest is summed up. At least 1 and at most [`GROUPS_MAX`], or
    /// fewer if there are so many intervals that the report would have more than 200,000 rows; other numbers are taken
    /// as the nearest of these.
    pub groups_max: usize,
}

/// Why a query cannot be answered. Each names what is possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The range ends before it begins.
    #[error("the range ends at or before its beginning; swap from and to")]
    RangeReversed,
    /// The range would have too many intervals.
    #[error("the range has more than {max} intervals; choose a longer interval or a shorter range")]
    TooManyIntervals {
        /// The most.
        max: usize,
    },
    /// The range is longer than anything stored can be.
    #[error("the range is longer than {max_days} days; choose a shorter one")]
    RangeTooLong {
        /// The most.
        max_days: i64,
    },
    /// These two cannot be combined.
    #[error("{first} and {second} cannot be combined in one report; {instead}")]
    NotCombined {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// What can be combined.
        instead: &'static str,
    },
    /// A name that is not a dimension's.
    #[error("{} is not a dimension; there are {known}", waypost_core::Quoted(name))]
    UnknownDimension {
        /// What was requested.
        name: String,
        /// What exists.
        known: String,
    },
    /// A value that the dimension cannot have.
    #[error("{} is not a valid {dimension}; {expected}", waypost_core::Quoted(value))]
    UnknownValue {
        /// The dimension.
        dimension: &'static str,
        /// What was requested.
        value: String,
        /// What exists.
        expected: String,
    },
}

impl Dimension {
    /// Its name in queries and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Country => "country",
            Self::Device => "device",
            Self::Os => "os",
            Self::Browser => "browser",
            Self::Channel => "channel",
            Self::Language => "language",
            Self::Source => "source",
            Self::Rule => "rule",
            Self::AbTest => "ab_test",
            Self::Variant => "variant",
            Self::ReferrerHost => "referrer_host",
            Self::UtmSource => "utm_source",
            Self::UtmMedium => "utm_medium",
            Self::UtmCampaign => "utm_campaign",
            Self::UtmTerm => "utm_term",
            Self::UtmContent => "utm_content",
            Self::Link => "link",
        }
    }

    /// All of them, in the order they are named to people.
    pub const ALL: [Self; 18] = [
        Self::Class,
        Self::Country,
        Self::Device,
        Self::Os,
        Self::Browser,
        Self::Channel,
        Self::Language,
        Self::Source,
        Self::Rule,
        Self::AbTest,
        Self::Variant,
        Self::ReferrerHost,
        Self::UtmSource,
        Self::UtmMedium,
        Self::UtmCampaign,
        Self::UtmTerm,
        Self::UtmContent,
        Self::Link,
    ];
}

impl FromStr for Dimension {
    type Err = QueryError;

    fn from_str(name: &str) -> Result<Self, QueryError> {
        let found = Self::ALL.into_iter().find(|dimension| dimension.name() == name);
        found.ok_or_else(|| QueryError::UnknownDimension {
            name: shortened(name),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

impl Interval {
    /// All of them with their names.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("none", Self::None),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("year", Self::Year),
    ];

    /// Its name in queries and answers.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

impl FromStr for Interval {
    type Err = QueryError;

    fn from_str(name: &str) -> Result<Self, QueryError> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, interval)| *interval).ok_or_else(|| unknown_value("interval", name, &Self::NAMES))
    }
}

impl FromStr for Filter {
    type Err = QueryError;

    /// Reads `country=DE,AT`. Nothing after the `=`, or between commas, stands for "not known"; `\,` for a comma within
    /// a value and `\\` for a backslash. The values are checked with the whole question.
    fn from_str(text: &str) -> Result<Self, QueryError> {
        let Some((name, values)) = text.split_once('=') else {
            return Err(QueryError::UnknownValue {
                dimension: "filter",
                value: shortened(text),
                expected: "write dimension=value or dimension=value,value".to_owned(),
            });
        };
        Ok(Self { dimension: name.trim().parse()?, values: split_values(values) })
    }
}

/// Reads classes, separated by commas, for [`ReportQuery::classes`]. `all` and the empty text give none, which means
/// all.
///
/// # Errors
/// [`QueryError::UnknownValue`] if one of them is no class.
pub fn classes_from_text(text: &str) -> Result<Vec<Class>, QueryError> {
    if matches!(text.trim(), "" | "all") {
        return Ok(Vec::new());
    }
    let class = |name: &str| Class::from_name(name).ok_or_else(|| unknown_value("class", name, &Class::NAMES));
    text.split(',').map(|name| class(name.trim())).collect()
}

fn split_values(text: &str) -> Vec<String> {
    let (mut values, mut value) = (Vec::new(), String::new());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ',' => values.push(std::mem::take(&mut value)),
            '\\' => value.push(letters.next().unwrap_or(letter)),
            letter => value.push(letter),
        }
    }
    values.push(value);
    values
}

fn unknown_value<T>(dimension: &'static str, value: &str, known: &[(&str, T)]) -> QueryError {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    QueryError::UnknownValue { dimension, value: shortened(value), expected: format!("there are {}", names.join(", ")) }
}

/// The beginning of a string, as long as an error may repeat it.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[track_caller]
    fn check_filter(text: &str, expect: Option<(Dimension, &[&str])>) {
        let parsed = text.parse::<Filter>().ok().map(|filter| (filter.dimension, filter.values));
        let expect = expect.map(|(dimension, values)| (dimension, values.iter().map(ToString::to_string).collect()));
        assert_eq!(parsed, expect, "{text}");
    }

    #[test]
    fn filters_as_text() {
        check_filter("country=DE,AT", Some((Dimension::Country, &["DE", "AT"])));
        check_filter("country=", Some((Dimension::Country, &[""])));
        check_filter(r"utm_term=a\,b,\\,c=d", Some((Dimension::UtmTerm, &["a,b", r"\", "c=d"])));
        check_filter(r"utm_term=\", Some((Dimension::UtmTerm, &[r"\"])));
        check_filter("country", None);
        check_filter("city=Berlin", None);
    }

    #[test]
    fn names_are_read_back() {
        for (name, interval) in Interval::NAMES {
            assert_eq!((interval.name(), name.parse()), (name, Ok(interval)));
        }
        assert!(Dimension::ALL.iter().all(|dimension| dimension.name().parse() == Ok(*dimension)));
        let error = "minute".parse::<Interval>().unwrap_err().to_string();
        assert_eq!(error, "\"minute\" is not a valid interval; there are none, hour, day, week, month, year");
        assert_eq!(classes_from_text("human, bot"), Ok(vec![Class::Human, Class::Bot]));
        assert_eq!(classes_from_text("all"), Ok(Vec::new()));
        let error = classes_from_text("robot").unwrap_err().to_string();
        assert_eq!(error, "\"robot\" is not a valid class; there are human, prefetch, preview, bot, head");
    }
}
