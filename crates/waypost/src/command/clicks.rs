//! `waypost clicks`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api_path::{component, with_query};
use crate::cli::{ClicksCommand, ClientArgs, ExportFormat, LinkChoice, LinkId, RangeArgs};
use crate::client::{Call, Client};
use crate::command::link_find::find_id;
use crate::command::report::range_pairs;
use crate::command::server_events::{EventReader, ServerEvent};
use crate::command::{confirm, items, text, with_client};
use crate::print::{self, counted, grouped};
use crate::transfer::export::{Target, format_of};

const PATH: &str = "/api/v1/clicks";
/// Some clicks are not accounted for.
const EXIT_NOT_OK: u8 = 1;

/// Runs the command.
///
/// # Errors
/// Where the instance refuses or cannot be reached, or a file cannot be written.
pub(crate) async fn run_clicks(command: &ClicksCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClicksCommand::Export { link, range, format, output, client } => {
            let format = format.or_else(|| format_of(output.as_deref()?)).unwrap_or(ExportFormat::Ndjson);
            export(client, (link, range), format, output.as_deref()).await?;
        }
        ClicksCommand::Tail { link, class, client } => tail(client, link, class).await?,
        ClicksCommand::Audit { client } => return audit(client).await,
        ClicksCommand::Refused { limit, cursor, client } => refused(client, *limit, cursor.as_deref()).await?,
        ClicksCommand::Erase { link, visitor, yes, client } => erase(client, link, visitor.as_deref(), *yes).await?,
        ClicksCommand::Retention { days, client } => retention(client, days.as_deref()).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn export(
    args: &ClientArgs,
    (link, range): (&LinkId, &RangeArgs),
    format: ExportFormat,
    output: Option<&Path>,
) -> anyhow::Result<()> {
    let target = Target::create(output)?;
    let client = Client::connect(args).await?;
    with_client(client, async |client| {
        let link_id = chosen(client, link).await?;
        let format = match format {
            ExportFormat::Csv => "csv",
            ExportFormat::Ndjson => "ndjson",
        };
        let mut pairs = vec![("link_id", link_id.as_deref()), ("format", Some(format))];
        pairs.extend(range_pairs(range));
        let mut answer = client.stream(Call::new(Method::GET, with_query(PATH, &pairs))).await?;
        let mut writer = target.writer()?;
        let mut bytes_written = 0;
        while let Some(bytes) = answer.next().await? {
            writer.write_all(&bytes)?;
            bytes_written += bytes.len() as u64;
        }
        writer.flush()?;
        target.keep()?;
        if output.is_some() {
            print::note(&format!("{} written", counted(bytes_written, "byte")));
        }
        Ok(())
    })
    .await
}

/// The id of the link that is named, if one is.
async fn chosen(client: &Client, link: &LinkId) -> anyhow::Result<Option<String>> {
    let Some(text) = &link.link else { return Ok(None) };
    let choice = LinkChoice { link: text.clone(), domain: link.domain.clone() };
    find_id(client, &choice).await.map(Some)
}

async fn tail(args: &ClientArgs, link: &LinkId, class: &[String]) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    with_client(client, async |client| {
        anyhow::ensure!(!client.is_in_process(), "no server runs on this data folder: there are no clicks to follow");
        let link_id = chosen(client, link).await?;
        let class = (!class.is_empty()).then(|| class.join(","));
        let pairs = [("link_id", link_id.as_deref()), ("class", class.as_deref())];
        let target = with_query(&format!("{PATH}/live"), &pairs);
        let mut answer = client.stream(Call::new(Method::GET, target)).await?;
        let mut reader = EventReader::default();
        while let Some(bytes) = answer.next().await? {
            for event in reader.push(&bytes)? {
                show_event(&event, args.json)?;
            }
        }
        bail!("the server has ended the feed")
    })
    .await
}

fn show_event(event: &ServerEvent, as_json: bool) -> anyhow::Result<()> {
    let data: Value = serde_json::from_str(&event.data).context("the feed carries something that is not JSON")?;
    match event.kind.as_str() {
        "click" if as_json => print::json(&data)?,
        "click" => print::line(&print::plain(&show_click(&data)))?,
        "missed" => match data["clicks"].as_u64() {
            Some(clicks) => print::note(&format!("{} came too fast to be shown", counted(clicks, "click"))),
            None => print::note("some clicks came too fast to be shown"),
        },
        _ => {}
    }
    Ok(())
}

/// When, what was followed, and who followed it, as far as it is known.
fn show_click(click: &Value) -> String {
    let domain = text(click, "domain");
    let place = if domain.is_empty() { "/".to_owned() } else { format!("{domain}/") };
    let known = ["class", "country_code", "device_type", "os", "browser", "referrer"].map(|field| text(click, field));
    let known: Vec<&str> = known.into_iter().filter(|value| !value.is_empty()).collect();
    format!("{}  {place}{}  {}", text(click, "clicked_at"), text(click, "slug"), known.join(" "))
}

async fn audit(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    let client = Client::connect(args).await?;
    let target = format!("{PATH}/audit");
    let audit = with_client(client, async |client| client.call(Call::new(Method::GET, target)).await).await?;
    if args.json {
        print::json(&audit)?;
    } else {
        show_audit(&audit)?;
    }
    Ok(if audit["ok"] == true { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_OK) })
}

fn show_audit(audit: &Value) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = items(audit, "epochs").iter().map(show_epoch).collect();
    let headings = ["EDGE", "EPOCH", "RECEIVED", "GAPS", "STORED", "LOST", "LAST", "STATE"];
    print::table(&headings, &rows, "No edge has reported clicks yet.")?;
    let totals = &audit["totals"];
    let total = |field: &str| grouped(totals[field].as_u64().unwrap_or_default());
    let mut sum = format!("{} answered = {} stored", total("answered"), total("stored"));
    for (field, what) in [("lost", "lost"), ("waiting", "waiting"), ("missing", "missing")] {
        // What should not be is named only where it is.
        if field != "missing" || totals[field].as_u64() != Some(0) {
            sum = format!("{sum} + {} {what}", total(field));
        }
    }
    print::line(&format!("\n{sum}"))?;
    let verdict = match (audit["ok"] == true, totals["lost"].as_u64().unwrap_or_default()) {
        (true, 0) => "Every click is accounted for.".to_owned(),
        (true, 1) => "Every click is accounted for, and 1 of them is lost.".to_owned(),
        (true, lost) => format!("Every click is accounted for, and {} of them are lost.", grouped(lost)),
        (false, _) => "NOT every click is accounted for: see the epochs with gaps, and the totals.".to_owned(),
    };
    Ok(print::line(&verdict)?)
}

fn show_epoch(epoch: &Value) -> Vec<String> {
    let ranges = |field: &str| {
        let ranges = items(epoch, field).iter().map(|range| format!("{}-{}", range[0], range[1]));
        ranges.collect::<Vec<_>>().join(" ")
    };
    let lost = epoch["lost"].as_object().into_iter().flatten();
    let lost: Vec<String> =
        lost.filter(|(_, count)| **count != 0).map(|(cause, count)| format!("{count} {cause}")).collect();
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    vec![
        text(epoch, "edge_id").to_owned(),
        epoch["epoch"].to_string(),
        or_none(ranges("received")),
        or_none(ranges("gaps")),
        epoch["stored"].to_string(),
        or_none(lost.join(", ")),
        text(epoch, "last_at").to_owned(),
        if epoch["ok"] == true { "ok" } else { "NOT OK" }.to_owned(),
    ]
}

async fn refused(args: &ClientArgs, limit: u32, cursor: Option<&str>) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let limit = limit.to_string();
    let target = with_query(&format!("{PATH}/refused"), &[("limit", Some(&limit)), ("cursor", cursor)]);
    let page = with_client(client, async |client| client.call(Call::new(Method::GET, target)).await).await?;
    if args.json {
        return Ok(print::json(&page)?);
    }
    let row = |event: &Value| ["received_at", "edge_id", "reason"].map(|field| text(event, field).to_owned()).to_vec();
    let rows: Vec<Vec<String>> = items(&page, "events").iter().map(row).collect();
    print::list(&["RECEIVED", "EDGE", "REASON"], &rows, "No event was refused.")?;
    if let Some(cursor) = page["next_cursor"].as_str() {
        print::note(&format!("there are more: --cursor {cursor}"));
    }
    Ok(())
}

async fn erase(args: &ClientArgs, link: &LinkId, visitor: Option<&str>, yes: bool) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let erased = with_client(client, async |client| {
        let (target, whose) = match (chosen(client, link).await?, visitor) {
            (Some(id), _) => {
                (format!("/api/v1/links/{}/clicks", component(&id)), format!("of the link {}", text_of(link)))
            }
            (None, Some(key)) => (format!("/api/v1/visitors/{}/clicks", component(key)), "of this visitor".to_owned()),
            (None, None) => bail!("give --link or --visitor"),
        };
        let question = format!("Erase all clicks {whose}, from the totals, too? They do not come back.");
        if !yes && !confirm(&question)? {
            bail!("nothing was erased");
        }
        client.call(Call::new(Method::DELETE, target)).await
    });
    let erased = erased.await?;
    if args.json {
        return Ok(print::json(&erased)?);
    }
    Ok(print::line(&format!("Erased {}.", counted(erased["deleted"].as_u64().unwrap_or_default(), "click")))?)
}

fn text_of(link: &LinkId) -> &str {
    link.link.as_deref().unwrap_or_default()
}

async fn retention(args: &ClientArgs, days: Option<&str>) -> anyhow::Result<()> {
    let target = format!("{PATH}/retention");
    let call = match days {
        None => Call::new(Method::GET, target),
        Some(days) => {
            let days = match days {
                "default" => Value::Null,
                days => json!(days.parse::<u32>().ok().context("give a number of days, or `default`")?),
            };
            Call::new(Method::PUT, target).body(&Map::from_iter([("days".to_owned(), days)]))
        }
    };
    let client = Client::connect(args).await?;
    let retention = with_client(client, async |client| client.call(call).await).await?;
    if args.json {
        return Ok(print::json(&retention)?);
    }
    let text = match retention["days"].as_u64() {
        Some(days) => format!("Clicks are kept for {days} days."),
        None => "Clicks are kept for as long as the instance is configured to.".to_owned(),
    };
    print::line(&format!("{text} Totals are kept for ever."))?;
    if let Some(reason) = retention["held"].as_str() {
        print::note(reason);
    }
    Ok(())
}
