//! `waypost clicks`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use http::Method;
use waypost_api::clicks::{
    AuditTotals, ClickAudit, EpochAudit, Erased, MissedClicks, RefusedEvent, RefusedPage, Retention, SetRetention,
};
use waypost_core::click::ClickEvent;

use crate::api_path::{component, with_query};
use crate::cli::{ClicksCommand, ClientArgs, ExportFormat, LinkChoice, LinkId, RangeArgs};
use crate::client::{Call, Client};
use crate::command::link_find::find_id;
use crate::command::report::range_pairs;
use crate::command::server_events::{EventReader, ServerEvent};
use crate::command::{confirm, with_client};
use crate::print::{self, counted, grouped};
use crate::reply::{Kept, read_json};
use crate::transfer::export::{Target, format_of};

const PATH: &str = "/api/v1/clicks";
/// Some clicks are not accounted for.
const EXIT_NOT_OK: u8 = 1;

/// Runs the command.
///
/// # Errors
/// If the instance refuses or cannot be reached, or a file cannot be written.
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

/// The id of the named link; `None` if no link is named.
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
    let data = event.data.as_bytes();
    match event.kind.as_str() {
        "click" => {
            let click: Kept<ClickEvent> = read_json(data)?;
            if as_json {
                print::json(&click.json)?;
            } else {
                print::line(&print::plain(&show_click(&click.value)))?;
            }
        }
        "missed" => match read_json::<MissedClicks>(data)?.clicks {
            Some(clicks) => print::note(&format!("{} came too fast to be shown", counted(clicks, "click"))),
            None => print::note("some clicks came too fast to be shown"),
        },
        _ => {}
    }
    Ok(())
}

/// One line about a click: time, link, and what is known of the visitor.
fn show_click(click: &ClickEvent) -> String {
    let ClickEvent { clicked_at, domain, slug, class, country_code, device_type, os, browser, referrer, .. } = click;
    let known = [class, country_code, device_type, os, browser, referrer];
    let known: Vec<&str> = known.into_iter().map(String::as_str).filter(|value| !value.is_empty()).collect();
    let clicked_at = clicked_at.map(|at| at.to_string()).unwrap_or_default();
    format!("{clicked_at}  {domain}/{slug}  {}", known.join(" "))
}

async fn audit(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    let client = Client::connect(args).await?;
    let target = format!("{PATH}/audit");
    let reply = with_client(client, async |client| client.call(Call::new(Method::GET, target)).await).await?;
    let audit: ClickAudit = reply.read()?;
    if args.json {
        reply.print()?;
    } else {
        show_audit(&audit)?;
    }
    Ok(if audit.ok { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_OK) })
}

fn show_audit(audit: &ClickAudit) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = audit.epochs.iter().map(show_epoch).collect();
    let headings = ["EDGE", "EPOCH", "RECEIVED", "GAPS", "STORED", "LOST", "LAST", "STATE"];
    print::table(&headings, &rows, "No edge has reported clicks yet.")?;
    let AuditTotals { answered, stored, lost, waiting, missing } = audit.totals;
    // Columns and lines about errors are shown only if there are any.
    let missing = if missing == 0 { String::new() } else { format!(" + {} missing", grouped(missing)) };
    print::line(&format!(
        "\n{} answered = {} stored + {} lost + {} waiting{missing}",
        grouped(answered),
        grouped(stored),
        grouped(lost),
        grouped(waiting)
    ))?;
    let verdict = match (audit.ok, lost) {
        (true, 0) => "Every click is accounted for.".to_owned(),
        (true, 1) => "Every click is accounted for, and 1 of them is lost.".to_owned(),
        (true, lost) => format!("Every click is accounted for, and {} of them are lost.", grouped(lost)),
        (false, _) => "NOT every click is accounted for: see the epochs with gaps, and the totals.".to_owned(),
    };
    Ok(print::line(&verdict)?)
}

fn show_epoch(epoch: &EpochAudit) -> Vec<String> {
    let ranges = |ranges: &[(u64, u64)]| {
        let ranges = ranges.iter().map(|(first, last)| format!("{first}-{last}"));
        ranges.collect::<Vec<_>>().join(" ")
    };
    let lost = [(epoch.lost.damaged, "damaged"), (epoch.lost.full, "full"), (epoch.lost.unreadable, "unreadable")];
    let lost: Vec<String> =
        lost.into_iter().filter(|(count, _)| *count != 0).map(|(count, cause)| format!("{count} {cause}")).collect();
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    vec![
        epoch.edge_id.clone(),
        epoch.epoch.to_string(),
        or_none(ranges(&epoch.received)),
        or_none(ranges(&epoch.gaps)),
        epoch.stored.to_string(),
        or_none(lost.join(", ")),
        epoch.last_at.to_string(),
        if epoch.ok { "ok" } else { "NOT OK" }.to_owned(),
    ]
}

async fn refused(args: &ClientArgs, limit: u32, cursor: Option<&str>) -> anyhow::Result<()> {
    let client = Client::connect(args).await?;
    let limit = limit.to_string();
    let target = with_query(&format!("{PATH}/refused"), &[("limit", Some(&limit)), ("cursor", cursor)]);
    let reply = with_client(client, async |client| client.call(Call::new(Method::GET, target)).await).await?;
    if args.json {
        return reply.print();
    }
    let RefusedPage { events, next_cursor } = reply.read()?;
    let row = |event: RefusedEvent| vec![event.received_at.to_string(), event.edge_id, event.reason];
    let rows: Vec<Vec<String>> = events.into_iter().map(row).collect();
    print::list(&["RECEIVED", "EDGE", "REASON"], &rows, "No event was refused.")?;
    if let Some(cursor) = next_cursor {
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
        let question = format!("Erase all clicks {whose}, also from the totals? They cannot be restored.");
        if !yes && !confirm(&question)? {
            bail!("nothing was erased");
        }
        client.call(Call::new(Method::DELETE, target)).await
    });
    let reply = erased.await?;
    if args.json {
        return reply.print();
    }
    let Erased { deleted } = reply.read()?;
    Ok(print::line(&format!("Erased {}.", counted(deleted, "click")))?)
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
                "default" => None,
                days => Some(days.parse().ok().context("give a number of days, or `default`")?),
            };
            Call::new(Method::PUT, target).body(&SetRetention { days })
        }
    };
    let client = Client::connect(args).await?;
    let reply = with_client(client, async |client| client.call(call).await).await?;
    if args.json {
        return reply.print();
    }
    let Retention { days, held } = reply.read()?;
    let text = match days {
        Some(days) => format!("Clicks are kept for {days} days."),
        None => "Clicks are kept for as long as the instance's configuration says.".to_owned(),
    };
    print::line(&format!("{text} Totals are kept for ever."))?;
    if let Some(reason) = held {
        print::note(&reason);
    }
    Ok(())
}
