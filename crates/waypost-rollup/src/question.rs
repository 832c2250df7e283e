//! A checked query: its dimensions can be combined, and its values exist.

use waypost_core::class::Class;

use crate::query::{FILTER_VALUES_MAX, shortened};
use crate::schema::{MAIN, Plain, SOURCES};
use crate::words::OTHER;
use crate::{Dimension, Filter, QueryError, ReportQuery, Scope};

const COMBINES: &str = "class and channel combine with everything but link; country, device, os, browser, language, source, rule, \
                        ab_test and variant with each other; referrer_host and the utm dimensions with each other; link with class";

/// The counts that answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Main,
    Sources,
    /// Main or sources: both have the requested dimensions.
    Either,
    Links,
}

/// That a dimension has one of these values, which are in order.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) dimension: Dimension,
    pub(crate) values: Vec<String>,
}

impl Condition {
    pub(crate) fn allows(&self, text: &str) -> bool {
        self.values.binary_search_by(|value| value.as_str().cmp(text)).is_ok()
    }
}

/// A query that can be answered.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) counts: Counts,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) group_by: Option<Dimension>,
}

impl Question {
    pub(crate) fn new(query: &ReportQuery) -> Result<Self, QueryError> {
        let mut conditions = query.filters.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        conditions.extend(class_condition(&query.classes));
        let counts = counts(query)?;
        Ok(Self { counts, conditions, group_by: query.group_by })
    }

    /// A query of only these classes; of all classes if there are none.
    pub(crate) fn of_classes(classes: &[Class]) -> Self {
        Self { counts: Counts::Either, conditions: class_condition(classes).into_iter().collect(), group_by: None }
    }

    /// Whether its only conditions are on classes.
    pub(crate) fn is_of_classes(&self) -> bool {
        let mut dimensions = self.conditions.iter().map(|condition| condition.dimension).chain(self.group_by);
        dimensions.all(|dimension| dimension == Dimension::Class)
    }
}

/// That the class is one of these; none means all.
fn class_condition(classes: &[Class]) -> Option<Condition> {
    let mut values: Vec<String> = classes.iter().map(|class| class.name().to_owned()).collect();
    values.sort_unstable();
    (!values.is_empty()).then_some(Condition { dimension: Dimension::Class, values })
}

fn counts(query: &ReportQuery) -> Result<Counts, QueryError> {
    let dimensions = || query.filters.iter().map(|filter| filter.dimension).chain(query.group_by);
    let refused = |first, second, instead| Err(QueryError::NotCombined { first, second, instead });
    if query.filters.iter().any(|filter| filter.dimension == Dimension::Link) {
        return refused("link", "filters", "ask for the report of that link instead (scope link)");
    }
    if query.group_by == Some(Dimension::Link) {
        if matches!(query.scope, Scope::Link(..)) {
            return refused("link", "the report of one link", "group the report of an account or a domain by link");
        }
        let other = query.filters.iter().find(|filter| filter.dimension != Dimension::Class);
        return match other {
            None => Ok(Counts::Links),
            Some(filter) => refused(
                "link",
                filter.dimension.name(),
                "links combine with class; ask for the report of one link for more",
            ),
        };
    }
    let main = dimensions().find(|dimension| MAIN.has(*dimension) && !SOURCES.has(*dimension));
    let sources = dimensions().find(|dimension| SOURCES.has(*dimension) && !MAIN.has(*dimension));
    match (main, sources) {
        (None, None) => Ok(Counts::Either),
        (Some(_), None) => Ok(Counts::Main),
        (None, Some(_)) => Ok(Counts::Sources),
        (Some(main), Some(sources)) => refused(main.name(), sources.name(), COMBINES),
    }
}

/// The filter with its values as they are stored.
fn condition(filter: &Filter) -> Result<Condition, QueryError> {
    let dimension = filter.dimension;
    if filter.values.len() > FILTER_VALUES_MAX {
        return Err(QueryError::UnknownValue {
            dimension: "filter",
            value: format!("{} with {} values", dimension.name(), filter.values.len()),
            expected: format!("give at most {FILTER_VALUES_MAX}"),
        });
    }
    let values = filter.values.iter().map(|value| stored_value(dimension, value));
    let mut values = values.collect::<Result<Vec<_>, _>>()?;
    values.sort_unstable();
    Ok(Condition { dimension, values })
}

fn stored_value(dimension: Dimension, value: &str) -> Result<String, QueryError> {
    let unknown =
        |expected: String| QueryError::UnknownValue { dimension: dimension.name(), value: shortened(value), expected };
    if let Some(plain) = Plain::of(dimension) {
        let value = value.to_ascii_lowercase();
        let is_known = plain.names().contains(&value.as_str());
        return if is_known { Ok(value) } else { Err(unknown(format!("there are {}", plain.names().join(", ")))) };
    }
    match dimension {
        Dimension::Country if value.is_empty() || value == OTHER => Ok(value.to_owned()),
        Dimension::Country if value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            Ok(value.to_ascii_uppercase())
        }
        Dimension::Country => {
            Err(unknown("give two letters of ISO 3166-1 such as DE, or nothing for \"not known\"".to_owned()))
        }
        Dimension::Language | Dimension::ReferrerHost => Ok(value.to_lowercase()),
        Dimension::Class
        | Dimension::Device
        | Dimension::Os
        | Dimension::Browser
        | Dimension::Channel
        | Dimension::Source
        | Dimension::Rule
        | Dimension::AbTest
        | Dimension::Variant
        | Dimension::UtmSource
        | Dimension::UtmMedium
        | Dimension::UtmCampaign
        | Dimension::UtmTerm
        | Dimension::UtmContent
        | Dimension::Link => Ok(value.to_owned()),
    }
}
