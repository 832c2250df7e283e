//! `waypost report`.

use anyhow::Context as _;
use http::Method;

use crate::api_path::with_query;
use crate::cli::{LinkChoice, LinkFilter, RangeArgs, ReportArgs, ReportFormat};
use crate::client::{Call, Client};
use crate::command::link_find::find_id;
use crate::command::report_table::show_report;
use crate::command::with_client;
use crate::print;

const PATH: &str = "/api/v1/reports";

/// Runs the command.
///
/// # Errors
/// If the instance refuses or cannot be reached.
pub(crate) async fn run_report(args: &ReportArgs) -> anyhow::Result<()> {
    let format = match args.format {
        Some(format) => format,
        None if args.client.json => ReportFormat::Json,
        None => ReportFormat::Table,
    };
    let client = Client::connect(&args.client).await?;
    with_client(client, async |client| {
        let target = target(client, args).await?;
        match format {
            ReportFormat::Csv => print_text(client, &target).await,
            ReportFormat::Json => client.call_patiently(Call::new(Method::GET, target)).await?.print(),
            ReportFormat::Table => show_report(&client.call_patiently(Call::new(Method::GET, target)).await?.read()?),
        }
    })
    .await
}

async fn target(client: &Client, args: &ReportArgs) -> anyhow::Result<String> {
    let LinkFilter { link, domain } = &args.link;
    let link_id = match link {
        Some(link) => Some(find_id(client, &LinkChoice { link: link.clone(), domain: domain.clone() }).await?),
        None => None,
    };
    let interval = args.interval.as_deref().or(if args.by.is_none() { Some("day") } else { None });
    let class = (!args.class.is_empty()).then(|| args.class.join(","));
    let limit = args.limit.map(|limit| limit.to_string());
    let is_csv = args.format == Some(ReportFormat::Csv);
    let mut pairs = vec![
        ("link_id", link_id.as_deref()),
        ("domain", domain.as_deref().filter(|_| link.is_none())),
        ("interval", interval),
        ("class", class.as_deref()),
        ("group_by", args.by.as_deref()),
        ("limit", limit.as_deref()),
        ("format", is_csv.then_some("csv")),
    ];
    pairs.extend(range_pairs(&args.range));
    pairs.extend(args.filters.iter().map(|(name, values)| (name.as_str(), Some(values.as_str()))));
    Ok(with_query(PATH, &pairs))
}

/// A range as the API takes it.
pub(crate) fn range_pairs(range: &RangeArgs) -> [(&'static str, Option<&str>); 3] {
    [("from", range.from.as_deref()), ("to", range.to.as_deref()), ("time_zone", range.time_zone.as_deref())]
}

async fn print_text(client: &Client, target: &str) -> anyhow::Result<()> {
    let mut answer = client.stream(Call::new(Method::GET, target)).await?;
    let mut text = Vec::new();
    while let Some(bytes) = answer.next().await? {
        text.extend_from_slice(&bytes);
    }
    let text = String::from_utf8(text).context("the response is not UTF-8")?;
    Ok(print::line(text.trim_end_matches(['\r', '\n']))?)
}
