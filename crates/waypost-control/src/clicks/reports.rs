//! Reports: finds the link or domain, asks the clicks database, and adds the names of links. What a query means is in
//! `waypost-api`, how it is counted in `waypost-rollup`.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;
use waypost_api::read::{show_instant, zone_name};
use waypost_api::report::{self as api, AskedScope, GetReport, LinkName, OtherGroups, query_problem};
use waypost_api::{FieldError, ProblemCode};
use waypost_clicks::ReportError;
use waypost_core::class::Class;
use waypost_core::domain::HostnameError;
use waypost_core::id::{AccountId, LinkId};
use waypost_core::{Hostname, Timestamp};
use waypost_rollup::{Dimension, Interval, Report, ReportQuery, ReportRow, Scope};
use waypost_store::{Link, LinkOwner};

use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::links::parse_link_id;
use crate::problem::Problem;

impl App {
    /// Answers a question about the caller's clicks.
    ///
    /// # Errors
    /// Where there is no such link or domain, the question has no answer, or the database fails.
    pub async fn report(&self, caller: &Caller, asked: GetReport) -> Result<api::Report, Problem> {
        caller.may(Operation::ReadClicks)?;
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
        view.filters =
            query.filters.into_iter().map(|filter| (filter.dimension.name().to_owned(), filter.values)).collect();
        Ok(show(view, report, &query.time_zone, &names))
    }

    /// What is asked about, if it is the caller's.
    async fn resolve(&self, caller: &Caller, asked: &GetReport) -> Result<(Scope, api::ReportQuery), Problem> {
        let mut view = understood(asked);
        let account_id = caller.account_id.clone();
        let scope = match &asked.scope {
            AskedScope::Account => {
                caller.require_whole_account()?;
                Scope::Account(account_id)
            }
            AskedScope::Domain(host) => {
                let host = Hostname::parse(host).map_err(|error| Problem::of_fields(vec![not_a_host(&error)]))?;
                let domain = self.domain_for(&account_id, Some(&host)).await;
                let domain = domain.filter(|domain| caller.reaches_domain(&domain.domain_id));
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
        let owners = tx.link_owners(std::slice::from_ref(&link_id)).await?;
        let is_theirs =
            |owner: &LinkOwner| owner.account_id == caller.account_id && caller.reaches_domain(&owner.domain_id);
        if owners.iter().any(is_theirs) { Ok(link_id) } else { Err(Problem::not_found("link")) }
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

/// The question as it was understood, as far as it is known before it is answered.
fn understood(asked: &GetReport) -> api::ReportQuery {
    let classes = match asked.classes.as_slice() {
        [] => Class::ALL.map(|class| class.name().to_owned()).to_vec(),
        some => some.iter().map(|class| class.name().to_owned()).collect(),
    };
    let scope = match asked.scope {
        AskedScope::Account => "account",
        AskedScope::Domain(_) => "domain",
        AskedScope::Link(_) => "link",
    };
    api::ReportQuery {
        scope: scope.to_owned(),
        domain: None,
        link_id: None,
        short_url: None,
        from: show_instant(asked.from, &asked.time_zone),
        to: show_instant(asked.to, &asked.time_zone),
        time_zone: zone_name(&asked.time_zone).to_owned(),
        interval: asked.interval.name().to_owned(),
        classes,
        filters: BTreeMap::new(),
        group_by: asked.group_by.map(|dimension| dimension.name().to_owned()),
        limit: asked.groups_max,
    }
}

fn show(query: api::ReportQuery, report: Report, zone: &TimeZone, names: &HashMap<String, LinkName>) -> api::Report {
    let starts_at = |instant: Timestamp| show_instant(instant, zone);
    let rows = report.rows.into_iter().map(|row| api::ReportRow {
        starts_at: row.starts_at.map(starts_at),
        link: row.group.as_ref().and_then(|id| names.get(id).cloned()),
        group: row.group,
        clicks: row.clicks,
        visitors: row.visitors,
        visitors_estimated: row.visitors.map(|_| row.visitors_are_estimated),
    });
    api::Report {
        query,
        clicks: report.clicks,
        visitors: report.visitors,
        visitors_estimated: report.visitors_are_estimated,
        rows: rows.collect(),
        other: OtherGroups { groups: report.other_groups, clicks: report.other_clicks },
    }
}

fn report_problem(error: ReportError) -> Problem {
    match error {
        ReportError::Query(error) => query_problem(&error).into(),
        ReportError::Store(error) => error.into(),
    }
}

fn not_a_host(error: &HostnameError) -> FieldError {
    FieldError { field: "domain".to_owned(), code: ProblemCode::InvalidField, detail: error.to_string() }
}
