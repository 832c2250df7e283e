//! What a report can ask.

use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::Serialize;
use waypost_core::Timestamp;
use waypost_core::class::Class;
use waypost_core::id::{AccountId, LinkId};

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
    /// The rule that did.
    Rule,
    /// The split that did.
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
    /// Any of these; an empty text means "not known".
    pub values: Vec<String>,
}

/// A report's question.
#[derive(Clone, Debug)]
pub struct ReportQuery {
    /// About what.
    pub scope: Scope,
    /// From this instant.
    pub from: Timestamp,
    /// To before this one.
    pub to: Timestamp,
    /// How the range is divided.
    pub interval: Interval,
    /// Whose calendar.
    pub time_zone: TimeZone,
    /// The classes that are counted; empty means all.
    pub classes: Vec<Class>,
    /// All of these must hold.
    pub filters: Vec<Filter>,
    /// One row for each value of this.
    pub group_by: Option<Dimension>,
    /// The most groups given, those with most clicks; the rest is summed up.
    pub groups_max: usize,
}

/// Why a question has no answer. Each says what to ask instead.
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
        /// What can.
        instead: &'static str,
    },
    /// The name of no dimension.
    #[error("{name:?} is nothing to filter or group by; there are {known}")]
    UnknownDimension {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A value that the dimension cannot have.
    #[error("{value:?} is no {dimension}; {expected}")]
    UnknownValue {
        /// Of what.
        dimension: &'static str,
        /// What was asked for.
        value: String,
        /// What there is.
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
            name: name.chars().take(64).collect(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}
