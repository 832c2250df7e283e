//! Reports as the API answers them: whose link or domain is asked about, what the clicks database says, and what links
//! are called. What a question means is in `report_query.rs`, how it is counted in `waypost-rollup`.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;
use serde::Serialize;
use waypost_core::class::Class;
use waypost_core::domain::HostnameError;
use waypost_core::id::{AccountId, LinkId};
use waypost_core::{Hostname, Timestamp};
use waypost_rollup::{Dimension, Interval, Report, ReportQuery, ReportRow, Scope};
use waypost_store::{Link, ReportError};

use crate::app::App;
use crate::caller::Caller;
use crate::csv::CsvText;
use crate::links::parse_link_id;
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::report_query::{AskedReport, AskedScope, query_problem};
use crate::when::{show, zone_name};

/// A report's answer.
#[derive(Debug, Serialize)]
pub(crate) struct ReportAnswer {
    query: QueryView,
    clicks: u64,
    visitors: u64,
    visitors_estimated: bool,
    rows: Vec<RowView>,
    other: OtherView,
    #[serde(skip)]
    group_by: Option<Dimension>,
}

/// The question as it was understood.
#[derive(Debug, Serialize)]
struct QueryView {
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<String>,
    /// Where the link still exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    short_url: Option<String>,
    from: String,
    to: String,
    time_zone: String,
    interval: &'static str,
    classes: Vec<&'static str>,
    filters: BTreeMap<&'static str, Vec<String>>,
    group_by: Option<Dimension>,
    limit: usize,
}

#[derive(Debug, Serialize)]
struct RowView {
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(flatten)]
    link: Option<LinkName>,
    clicks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitors_estimated: Option<bool>,
}

/// Groups beyond the limit.
#[derive(Debug, Serialize)]
struct OtherView {
    groups: u64,
    clicks: u64,
}

/// How a link that still exists is called.
#[derive(Clone, Debug, Serialize)]
struct LinkName {
    domain: String,
    slug: String,
    short_url: String,
}

impl App {
    /// Answers a question about the caller's clicks.
    pub(crate) async fn report(&self, caller: &Caller, asked: AskedReport) -> Result<ReportAnswer, Problem> {
        let (scope, mut view) = self.resolve(caller, &asked).await?;
        let query = ReportQuery {
            scope,
            from: asked.from,
            to: asked.to,
            interval: asked.interval,
            time_zone: asked.time_zone,
            classes: asked.classes,
            filters: asked.filters,
            group_by: asked.group_by,
            groups_max: asked.groups_max,
        };
        let mut report = self.click_store().report(&query).await.map_err(report_problem)?;
        if query.group_by == Some(Dimension::Link) {
            // Counts by link know no visitors; those of all links together are another question.
            let totals = ReportQuery { group_by: None, interval: Interval::None, ..query.clone() };
            let totals = self.click_store().report(&totals).await.map_err(report_problem)?;
            // More may have been counted between the two.
            report.visitors = totals.visitors.min(report.clicks);
            report.visitors_are_estimated = totals.visitors_are_estimated;
        }
        let names = match query.group_by {
            Some(Dimension::Link) => self.link_names(&caller.account_id, &report.rows).await?,
            Some(_) | None => HashMap::new(),
        };
        view.filters = query.filters.into_iter().map(|filter| (filter.dimension.name(), filter.values)).collect();
        Ok(ReportAnswer::new(view, report, &query.time_zone, &names))
    }

    /// What is asked about, if it is the caller's.
    async fn resolve(&self, caller: &Caller, asked: &AskedReport) -> Result<(Scope, QueryView), Problem> {
        let mut view = QueryView::of(asked);
        let account_id = caller.account_id.clone();
        let scope = match &asked.scope {
            AskedScope::Account => Scope::Account(account_id),
            AskedScope::Domain(host) => {
                let host = Hostname::parse(host).map_err(|error| Problem::of_fields(vec![not_a_host(&error)]))?;
                let domain = self.domain_for(&account_id, Some(&host)).await;
                let domain = domain.ok_or_else(|| Problem::not_found("domain"))?;
                view.domain = Some(host.into());
                // Clicks carry the name under which edges keep a domain.
                Scope::Domain(
                    account_id,
                    if domain.is_default { String::new() } else { domain.host.as_str().to_owned() },
                )
            }
            AskedScope::Link(id) => {
                let link_id = self.known_link_id(caller, id).await?;
                let mut tx = self.store.read("get_link").await?;
                let link = tx.get_link(&account_id, &link_id).await?;
                view.short_url = link.map(|link| self.short_url(&link.host, &link.slug));
                view.link_id = Some(link_id.as_str().to_owned());
                Scope::Link(account_id, link_id)
            }
        };
        Ok((scope, view))
    }

    /// The id of a link that the caller has or had: clicks outlive their link.
    pub(crate) async fn known_link_id(&self, caller: &Caller, id: &str) -> Result<LinkId, Problem> {
        let link_id = parse_link_id(id)?;
        let mut tx = self.store.read("known_link").await?;
        let versions = tx.link_versions(&caller.account_id, &link_id, None, 1).await?;
        if versions.is_empty() { Err(Problem::not_found("link")) } else { Ok(link_id) }
    }

    /// What the links of these rows are called; nothing of those that are gone.
    async fn link_names(
        &self,
        account_id: &AccountId,
        rows: &[ReportRow],
    ) -> Result<HashMap<String, LinkName>, Problem> {
        let mut tx = self.store.read("link_names").await?;
        let mut names = HashMap::new();
        for id in rows.iter().filter_map(|row| row.group.as_deref()) {
            let Ok(link_id) = id.parse::<LinkId>() else { continue };
            if !names.contains_key(id)
                && let Some(link) = tx.get_link(account_id, &link_id).await?
            {
                names.insert(id.to_owned(), self.link_name(&link));
            }
        }
        Ok(names)
    }

    fn link_name(&self, link: &Link) -> LinkName {
        LinkName {
            domain: link.host.clone(),
            slug: link.slug.clone(),
            short_url: self.short_url(&link.host, &link.slug),
        }
    }
}

impl QueryView {
    fn of(asked: &AskedReport) -> Self {
        let classes = match asked.classes.as_slice() {
            [] => Class::NAMES.iter().map(|(name, _)| *name).collect(),
            some => some.iter().map(|class| class.name()).collect(),
        };
        Self {
            scope: match asked.scope {
                AskedScope::Account => "account",
                AskedScope::Domain(_) => "domain",
                AskedScope::Link(_) => "link",
            },
            domain: None,
            link_id: None,
            short_url: None,
            from: show(asked.from, &asked.time_zone),
            to: show(asked.to, &asked.time_zone),
            time_zone: zone_name(&asked.time_zone).to_owned(),
            interval: asked.interval.name(),
            classes,
            filters: BTreeMap::new(),
            group_by: asked.group_by,
            limit: asked.groups_max,
        }
    }
}

impl ReportAnswer {
    fn new(query: QueryView, report: Report, zone: &TimeZone, names: &HashMap<String, LinkName>) -> Self {
        let starts_at = |instant: Timestamp| show(instant, zone);
        let rows = report.rows.into_iter().map(|row| RowView {
            starts_at: row.starts_at.map(starts_at),
            link: row.group.as_ref().and_then(|id| names.get(id).cloned()),
            group: row.group,
            clicks: row.clicks,
            visitors: row.visitors,
            visitors_estimated: row.visitors.map(|_| row.visitors_are_estimated),
        });
        Self {
            group_by: query.group_by,
            query,
            clicks: report.clicks,
            visitors: report.visitors,
            visitors_estimated: report.visitors_are_estimated,
            rows: rows.collect(),
            other: OtherView { groups: report.other_groups, clicks: report.other_clicks },
        }
    }

    /// The rows as CSV, in columns that depend on the question alone; the totals in one line where it asks for no rows.
    pub(crate) fn to_csv(&self) -> Vec<u8> {
        let has_intervals = self.query.interval != Interval::None.name();
        let group_columns: &[&str] = match self.group_by {
            None => &[],
            Some(Dimension::Link) => &["link_id", "domain", "slug", "short_url"],
            Some(dimension) => &[dimension.name()],
        };
        let columns = has_intervals.then_some("starts_at").into_iter().chain(group_columns.iter().copied());
        let mut csv = CsvText::new();
        csv.line(columns.chain(["clicks", "visitors", "visitors_estimated"]));
        if !has_intervals && self.group_by.is_none() {
            csv.number(self.clicks).number(self.visitors).text(flag(self.visitors_estimated)).end_line();
            return csv.into_bytes();
        }
        for row in &self.rows {
            if has_intervals {
                csv.text(row.starts_at.as_deref().unwrap_or_default());
            }
            if self.group_by.is_some() {
                csv.text(row.group.as_deref().unwrap_or_default());
            }
            if self.group_by == Some(Dimension::Link) {
                let name = row.link.as_ref();
                csv.text(name.map_or("", |name| &name.domain)).text(name.map_or("", |name| &name.slug));
                csv.text(name.map_or("", |name| &name.short_url));
            }
            csv.number(row.clicks).optional_number(row.visitors);
            csv.text(row.visitors_estimated.map_or("", flag)).end_line();
        }
        csv.into_bytes()
    }
}

const fn flag(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

fn report_problem(error: ReportError) -> Problem {
    match error {
        ReportError::Query(error) => query_problem(&error),
        ReportError::Store(error) => error.into(),
    }
}

fn not_a_host(error: &HostnameError) -> FieldError {
    FieldError { field: "domain".to_owned(), code: ProblemCode::InvalidField, detail: error.to_string() }
}
