//! Reports as CSV.

use waypost_api::report::Report;
use waypost_rollup::{Dimension, Interval};

use crate::csv::CsvText;

/// The rows as CSV, in columns that depend on the question alone; the totals in one line if it asks for no rows.
pub(crate) fn to_csv(report: &Report) -> Vec<u8> {
    let has_intervals = report.query.interval != Interval::None.name();
    let group_by = report.query.group_by.as_deref();
    let is_by_link = group_by == Some(Dimension::Link.name());
    let group_columns: Vec<&str> = match group_by {
        None => Vec::new(),
        Some(_) if is_by_link => vec!["link_id", "domain", "slug", "short_url"],
        Some(dimension) => vec![dimension],
    };
    let columns = has_intervals.then_some("starts_at").into_iter().chain(group_columns);
    let mut csv = CsvText::new();
    csv.line(columns.chain(["clicks", "visitors", "visitors_estimated"]));
    if !has_intervals && group_by.is_none() {
        csv.number(report.clicks).number(report.visitors).text(flag(report.visitors_estimated)).end_line();
        return csv.into_bytes();
    }
    for row in &report.rows {
        if has_intervals {
            csv.text(row.starts_at.as_deref().unwrap_or_default());
        }
        if group_by.is_some() {
            csv.text(row.group.as_deref().unwrap_or_default());
        }
        if is_by_link {
            let name = row.link.as_ref();
            csv.text(name.map_or("", |name| &name.domain)).text(name.map_or("", |name| &name.slug));
            csv.text(name.map_or("", |name| &name.short_url));
        }
        csv.number(row.clicks).optional_number(row.visitors);
        csv.text(row.visitors_estimated.map_or("", flag)).end_line();
    }
    csv.into_bytes()
}

const fn flag(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}
