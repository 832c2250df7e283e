//! How long reports take: varied questions, each asked several times.

use std::path::Path;
use std::time::Instant;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use waypost_clicks::{ClickStore, Clock, StoreOptions};
use waypost_core::Timestamp;
use waypost_core::class::Class;
use waypost_core::id::{AccountId, LinkId};
use waypost_rollup::{Dimension, Filter, Interval, ReportQuery, Scope};
use waypost_testkit::clicks::{ClickWorld, ClickWorldOptions};

use crate::Outcome;

/// How often each question is asked; its time is the middle one.
const ROUNDS: usize = 5;
const DAY_MICROS: i64 = 86_400_000_000;

/// A question and how it is called.
type Question = (String, ReportQuery);

pub(crate) fn measure(folder: &Path, world: &ClickWorld, days: i64) -> Outcome<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let file = folder.join("clicks.db");
        // The day after the last click: the months before are over.
        let now = Timestamp::from_micros(ClickWorldOptions::default().starts_at.as_micros() + days * DAY_MICROS);
        let options = StoreOptions { clock: Clock::new(move || now), ..StoreOptions::default() };
        let store = ClickStore::open(&file.display().to_string(), options).await?;
        let questions = questions(world, days)?;
        let mut reports = Vec::new();
        // What a server's job does within a second or two after the first report of a kind.
        let began = Instant::now();
        let first = store.report(&questions[0].1).await.map(|_| began.elapsed().as_micros() as u64)?;
        let months = store.make_months().await?;
        let making_us = began.elapsed().as_micros() as u64 - first;
        for (name, query) in &questions {
            let (mut micros, mut clicks, mut rows) = (Vec::new(), 0, 0);
            for _ in 0..ROUNDS {
                let began = Instant::now();
                let report = store.report(query).await.map_err(|error| format!("{name}: {error}"))?;
                micros.push(began.elapsed().as_micros() as u64);
                (clicks, rows) = (report.clicks, report.rows.len());
            }
            micros.sort_unstable();
            reports.push(json!({
                "name": name, "clicks": clicks, "rows": rows, "median_us": micros[ROUNDS / 2], "worst_us": micros[ROUNDS - 1],
            }));
        }
        store.close().await;
        let mut medians: Vec<u64> = reports.iter().filter_map(|report| report["median_us"].as_u64()).collect();
        medians.sort_unstable();
        Ok(json!({
            "first_us": first, "months": months, "making_us": making_us, "reports": reports, "median_us": medians[medians.len() / 2], "worst_us": medians[medians.len() - 1],
        }))
    })
}

fn questions(world: &ClickWorld, days: i64) -> Outcome<Vec<Question>> {
    let first = &world.links()[0];
    let account: AccountId = first.account_id.parse()?;
    let starts_at = ClickWorldOptions::default().starts_at.as_micros();
    let base = |scope| ReportQuery {
        scope,
        from: Timestamp::from_micros(starts_at),
        to: Timestamp::from_micros(starts_at + days * DAY_MICROS),
        interval: Interval::None,
        time_zone: TimeZone::UTC,
        classes: vec![Class::Human],
        filters: Vec::new(),
        group_by: None,
        groups_max: 100,
    };
    if world.links().len() == 1 {
        let link: LinkId = first.link_id.parse()?;
        return on_link(&base(Scope::Link(account, link)));
    }
    Ok(overview(&base(Scope::Account(account))))
}

/// What a page about an account shows, and a little more.
fn overview(base: &ReportQuery) -> Vec<Question> {
    let by = |dimension: Dimension| ReportQuery { group_by: Some(dimension), groups_max: 10, ..base.clone() };
    let last_week = Timestamp::from_micros(base.to.as_micros() - 7 * DAY_MICROS);
    let questions = [
        ("totals", base.clone()),
        ("time series by day", ReportQuery { interval: Interval::Day, ..base.clone() }),
        ("last week by hour", ReportQuery { interval: Interval::Hour, from: last_week, ..base.clone() }),
        ("top countries", by(Dimension::Country)),
        ("top links", by(Dimension::Link)),
        ("top referrers", by(Dimension::ReferrerHost)),
        ("top campaigns", by(Dimension::UtmCampaign)),
        ("devices", by(Dimension::Device)),
        ("by class", ReportQuery { classes: Vec::new(), ..by(Dimension::Class) }),
    ];
    questions.map(|(name, query)| (name.to_owned(), query)).to_vec()
}

/// About thirty questions on one link, over everything that can be asked.
fn on_link(base: &ReportQuery) -> Outcome<Vec<Question>> {
    let filter =
        |dimension, values: &[&str]| Filter { dimension, values: values.iter().map(ToString::to_string).collect() };
    let berlin = TimeZone::get("Europe/Berlin")?;
    let mut questions = vec![
        ("totals".to_owned(), base.clone()),
        ("totals, all classes".to_owned(), ReportQuery { classes: Vec::new(), ..base.clone() }),
    ];
    let intervals =
        [("day", Interval::Day), ("week", Interval::Week), ("month", Interval::Month), ("year", Interval::Year)];
    for (name, interval) in intervals {
        let query = ReportQuery { interval, time_zone: berlin.clone(), ..base.clone() };
        questions.push((format!("by {name} in Berlin"), query));
    }
    let last_week = Timestamp::from_micros(base.to.as_micros() - 7 * DAY_MICROS);
    let hourly = ReportQuery { interval: Interval::Hour, from: last_week, ..base.clone() };
    questions.push(("last week by hour".to_owned(), hourly));
    // Links are no group of one link.
    for dimension in Dimension::ALL.into_iter().filter(|dimension| *dimension != Dimension::Link) {
        let query = ReportQuery { group_by: Some(dimension), classes: Vec::new(), ..base.clone() };
        questions.push((format!("by {}", dimension.name()), query));
    }
    let filters = [
        ("from Germany", vec![filter(Dimension::Country, &["DE"])]),
        (
            "mobile in three countries",
            vec![filter(Dimension::Country, &["DE", "FR", "US"]), filter(Dimension::Device, &["mobile"])],
        ),
        ("from search", vec![filter(Dimension::Channel, &["search"])]),
        ("iOS in German", vec![filter(Dimension::Os, &["ios"]), filter(Dimension::Language, &["de"])]),
        ("of a source", vec![filter(Dimension::UtmSource, &["newsletter", "google"])]),
    ];
    for (name, filters) in filters {
        let query = ReportQuery { filters: filters.clone(), interval: Interval::Day, ..base.clone() };
        questions.push((format!("{name} by day"), query));
        // What combines with the filter.
        let is_utm = filters.iter().any(|filter| filter.dimension == Dimension::UtmSource);
        let group = if is_utm { Dimension::UtmCampaign } else { Dimension::Country };
        let query = ReportQuery { filters, group_by: Some(group), interval: Interval::Month, ..base.clone() };
        questions.push((format!("{name} by month and {}", group.name()), query));
    }
    Ok(questions)
}
