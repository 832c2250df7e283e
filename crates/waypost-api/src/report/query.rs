//! Reading a report's query from the parameters of a request. All errors are reported at once.
//!
//! What the parameters mean is in `docs/reports.md`; `waypost-rollup` decides whether they combine.

use jiff::tz::TimeZone;
use waypost_core::class::Class;
use waypost_core::quoted::kept;
use waypost_core::{Hostname, Timestamp};
use waypost_rollup::{Dimension, Filter, GROUPS_MAX, Interval, QueryError};

use crate::format::Format;
use crate::problem::{FieldError, Invalid, ProblemCode};
use crate::read::{ALIKE, Parameters, QueryPairs, read_end, read_start, read_time_zone, start_of_days};

/// Groups of a report where the caller does not say.
const GROUPS: usize = 100;
/// Calendar days of a report where the caller does not say.
const DAYS: i64 = 30;

/// What a report is about, as asked: whose link or domain it is has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedScope {
    /// All of the account.
    Account,
    /// The domain with this host.
    Domain(String),
    /// The link with this id.
    Link(String),
}

/// A question, read.
#[derive(Clone, Debug)]
pub struct GetReport {
    /// What it is about.
    pub scope: AskedScope,
    /// Where the range begins.
    pub from: Timestamp,
    /// Where it ends, this instant excluded.
    pub to: Timestamp,
    /// In what it is divided.
    pub interval: Interval,
    /// Whose calendar divides it.
    pub time_zone: TimeZone,
    /// Empty for all.
    pub classes: Vec<Class>,
    /// What clicks must have to be counted.
    pub filters: Vec<Filter>,
    /// By what clicks are told apart.
    pub group_by: Option<Dimension>,
    /// The most groups that are listed.
    pub groups_max: usize,
    /// In what form, where the query says.
    pub format: Option<Format>,
}

impl GetReport {
    /// Reads the question.
    ///
    /// # Errors
    /// 400 where there is no such parameter, 422 where a value is none; with every field that is at fault.
    pub fn read(pairs: QueryPairs, now: Timestamp) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let scope = parameters.scope();
        let time_zone = parameters.read("time_zone", ProblemCode::TimeZoneUnknown, read_time_zone);
        let time_zone = time_zone.unwrap_or(TimeZone::UTC);
        let to =
            parameters.read("to", ProblemCode::RangeInvalid, |text| read_end(text, &time_zone, now)).unwrap_or(now);
        let from = parameters
            .read("from", ProblemCode::RangeInvalid, |text| read_start(text, &time_zone, now, to))
            .or_else(|| start_of_days(DAYS, &time_zone, to))
            .unwrap_or(to);
        let asked = Self {
            scope,
            from,
            to,
            interval: parameters.one_of("interval", &Interval::NAMES).unwrap_or(Interval::None),
            time_zone,
            classes: parameters.classes(),
            group_by: parameters.group_by(),
            groups_max: parameters.read("limit", ProblemCode::InvalidField, read_limit).unwrap_or(GROUPS),
            format: parameters.one_of("format", &[("json", Format::Json), ("csv", Format::Csv)]),
            filters: parameters.filters(),
        };
        parameters.finish().map(|()| asked)
    }
}

impl Parameters {
    fn scope(&mut self) -> AskedScope {
        let (domain, link_id, link) = (self.take("domain"), self.take("link_id"), self.take("link"));
        if link_id.is_some() && link.is_some() {
            self.refuse("link", ProblemCode::BadRequest, "is the same as link_id; give one of them");
        }
        let link_id = link_id.or(link);
        let named = self.take("scope");
        match (named.as_deref(), domain, link_id) {
            (None | Some("account"), None, None) => AskedScope::Account,
            (None | Some("domain"), Some(domain), None) => AskedScope::Domain(domain),
            (None | Some("link"), None, Some(link_id)) => AskedScope::Link(link_id),
            (Some(scope @ ("account" | "domain" | "link")), ..) => {
                let takes = match scope {
                    "account" => "scope=account takes neither domain nor link_id",
                    "domain" => "scope=domain takes a domain, and no link_id",
                    _ => "scope=link takes a link_id, and no domain",
                };
                self.refuse("scope", ProblemCode::InvalidField, takes);
                AskedScope::Account
            }
            (Some(_), ..) => {
                self.refuse("scope", ProblemCode::InvalidField, "must be account, domain or link");
                AskedScope::Account
            }
            (None, Some(_), Some(_)) => {
                let detail = "a link is on one domain only: leave domain out, or link_id";
                self.refuse("domain", ProblemCode::InvalidField, detail);
                AskedScope::Account
            }
        }
    }

    /// Classes to count: humans where nothing is said, none named for all.
    fn classes(&mut self) -> Vec<Class> {
        self.named_classes().unwrap_or_else(|| vec![Class::Human])
    }

    fn group_by(&mut self) -> Option<Dimension> {
        let parse = |text: &str| {
            text.parse::<Dimension>().map_err(|error| match near_dimension(text) {
                Some(near) => format!("{error}; did you mean {near}?"),
                None => error.to_string(),
            })
        };
        self.read("group_by", ProblemCode::FilterInvalid, parse)
    }

    fn filters(&mut self) -> Vec<Filter> {
        let dimensions = Dimension::ALL.into_iter();
        // Both have parameters of their own: classes are counted or not, a link is a scope.
        let dimensions = dimensions.filter(|dimension| !matches!(dimension, Dimension::Class | Dimension::Link));
        let mut filters = Vec::new();
        for dimension in dimensions {
            if let Some(values) = self.list(dimension.name()) {
                let values = values.into_iter().map(|value| as_counted(dimension, value)).collect();
                filters.push(Filter { dimension, values });
            }
        }
        filters
    }
}

/// What is wrong with a question, as the field that has to change.
pub fn query_problem(error: &QueryError) -> Invalid {
    let (field, code) = match error {
        QueryError::UnknownValue { dimension, .. } if dimension.parse::<Dimension>().is_err() => {
            ("from", ProblemCode::RangeInvalid)
        }
        QueryError::NotCombined { second, .. } if second.parse::<Dimension>().is_err() => {
            ("group_by", ProblemCode::NotCombined)
        }
        QueryError::RangeReversed => ("to", ProblemCode::RangeInvalid),
        QueryError::RangeTooLong { .. } => ("from", ProblemCode::RangeInvalid),
        QueryError::TooManyIntervals { .. } => ("interval", ProblemCode::RangeInvalid),
        QueryError::NotCombined { second, .. } => (*second, ProblemCode::NotCombined),
        QueryError::UnknownDimension { .. } => ("group_by", ProblemCode::FilterInvalid),
        QueryError::UnknownValue { dimension, .. } => (*dimension, ProblemCode::FilterInvalid),
    };
    Invalid::of_fields(vec![FieldError { field: field.to_owned(), code, detail: error.to_string() }])
}

fn read_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=GROUPS_MAX).contains(limit));
    limit.ok_or_else(|| format!("must be a number from 1 to {GROUPS_MAX}"))
}

fn near_dimension(name: &str) -> Option<&'static str> {
    let name = kept(name);
    let near = Dimension::ALL.map(Dimension::name).map(|known| (strsim::jaro_winkler(known, &name), known));
    let near = near.into_iter().filter(|(likeness, _)| *likeness >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(near.1)
}

/// A value as clicks carry it: `unknown` is the empty text, countries are capital letters, hosts and words small ones.
fn as_counted(dimension: Dimension, value: String) -> String {
    if value == "unknown" {
        return String::new();
    }
    match dimension {
        Dimension::Country => value.to_ascii_uppercase(),
        Dimension::Device | Dimension::Os | Dimension::Channel | Dimension::Language | Dimension::Source => {
            value.to_ascii_lowercase()
        }
        Dimension::ReferrerHost => Hostname::parse(&value).map_or_else(|_| value.to_ascii_lowercase(), String::from),
        Dimension::Class
        | Dimension::Browser
        | Dimension::Rule
        | Dimension::AbTest
        | Dimension::Variant
        | Dimension::UtmSource
        | Dimension::UtmMedium
        | Dimension::UtmCampaign
        | Dimension::UtmTerm
        | Dimension::UtmContent
        | Dimension::Link => value,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Parameters of a report that are no dimension.
    const PARAMETERS: [&str; 11] =
        ["scope", "domain", "link_id", "from", "to", "interval", "time_zone", "class", "group_by", "limit", "format"];

    fn read(query: &str) -> Result<GetReport, Invalid> {
        let now = "2026-03-29T10:30:00Z".parse().unwrap();
        GetReport::read(QueryPairs::of_query(query), now)
    }

    #[track_caller]
    fn refused(query: &str, field: &str, code: ProblemCode, part: &str) {
        let problem = read(query).unwrap_err();
        let errors = problem.errors.clone();
        assert_eq!((errors[0].field.as_str(), problem.code), (field, code), "{query}: {errors:?}");
        assert!(errors[0].detail.contains(part), "{query}: {errors:?}");
    }

    #[test]
    fn nothing_asked_is_humans_of_thirty_days() {
        let asked = read("").unwrap();
        assert_eq!(asked.scope, AskedScope::Account);
        assert_eq!(
            (asked.from.to_string(), asked.to.to_string()),
            ("2026-02-28T00:00:00Z".into(), "2026-03-29T10:30:00Z".into())
        );
        assert_eq!((asked.interval, asked.classes, asked.groups_max), (Interval::None, vec![Class::Human], GROUPS));
        assert!(asked.filters.is_empty() && asked.group_by.is_none() && asked.format.is_none());
    }

    #[test]
    fn filters() {
        let asked = read("country=de,AT&country=unknown&browser=&utm_source=a%5C,b,c&class=all&limit=7").unwrap();
        let filters: Vec<_> =
            asked.filters.iter().map(|filter| (filter.dimension.name(), filter.values.join("|"))).collect();
        assert_eq!(filters, [("country", "DE|AT|".into()), ("browser", String::new()), ("utm_source", "a,b|c".into())]);
        assert!(asked.classes.is_empty());
        assert_eq!(asked.groups_max, 7);
        assert_eq!(read("class=bot,human").unwrap().classes, [Class::Bot, Class::Human]);
    }

    #[test]
    fn scopes() {
        assert_eq!(read("link=link_1").unwrap().scope, AskedScope::Link("link_1".into()));
        assert_eq!(read("scope=link&link_id=link_1").unwrap().scope, AskedScope::Link("link_1".into()));
        assert_eq!(read("domain=a.example").unwrap().scope, AskedScope::Domain("a.example".into()));
        for bad in ["scope=link", "scope=domain&link_id=x", "scope=account&domain=x", "scope=world", "scope="] {
            refused(bad, "scope", ProblemCode::InvalidField, "");
        }
        refused("domain=a&link_id=b", "domain", ProblemCode::InvalidField, "leave domain out");
        refused("link=a&link_id=b", "link", ProblemCode::BadRequest, "same as link_id");
    }

    #[test]
    fn refusals_say_what_to_do() {
        refused("contry=DE", "contry", ProblemCode::BadRequest, "did you mean country?");
        refused("zzz=1", "zzz", ProblemCode::BadRequest, "no query parameter");
        refused("time_zone=Europe/Belin", "time_zone", ProblemCode::TimeZoneUnknown, "Europe/Berlin");
        refused("from=soon", "from", ProblemCode::RangeInvalid, "such as 7d");
        refused("from=1d&from=2d", "from", ProblemCode::BadRequest, "more than once");
        refused("to=7d", "to", ProblemCode::RangeInvalid, "2026-01-15");
        refused("interval=fortnight", "interval", ProblemCode::InvalidField, "hour, day");
        refused("class=robot", "class", ProblemCode::FilterInvalid, "human, prefetch");
        refused("class=", "class", ProblemCode::FilterInvalid, "human, prefetch");
        refused("class=all,bot", "class", ProblemCode::FilterInvalid, "all");
        refused("group_by=contry", "group_by", ProblemCode::FilterInvalid, "did you mean country?");
        refused("limit=0", "limit", ProblemCode::InvalidField, "1 to 1000");
        refused("limit=1001", "limit", ProblemCode::InvalidField, "1 to 1000");
        refused("format=xml", "format", ProblemCode::InvalidField, "json, csv");
        refused(&format!("browser={}", "x,".repeat(2_000)), "browser", ProblemCode::FilterInvalid, "values");
        refused(&format!("browser={}", "x".repeat(2_000)), "browser", ProblemCode::FilterInvalid, "bytes");
        refused("browser=%00", "browser", ProblemCode::FilterInvalid, "NUL");
        let several = read("from=x&to=y&limit=z&colour=1").unwrap_err();
        assert_eq!(several.errors.len(), 4, "{several:?}");
    }

    #[test]
    fn every_parameter_is_read_by_somebody() {
        for name in PARAMETERS.into_iter().chain(Dimension::ALL.map(Dimension::name)) {
            let problem = read(&format!("{name}=x&{name}=x")).err().map(|invalid| format!("{invalid:?}"));
            assert!(!problem.unwrap_or_default().contains("no query parameter"), "{name}");
        }
    }
}
