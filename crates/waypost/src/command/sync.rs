//! `waypost sync`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api_path::component;
use crate::cli::{ClientArgs, LinkChoice, SomeLink, SyncCommand};
use crate::client::{Call, Client};
use crate::command::link_find::find_id;
use crate::command::sync_progress::SyncProgress;
use crate::command::{confirm, items, text, with_client};
use crate::print::{self, grouped};

const PATH: &str = "/api/v1/sync";
/// Something is not as it should be.
const EXIT_NOT_OK: u8 = 3;
/// Failed links that are shown with the state of the targets.
const SHOWN_MAX: usize = 20;

/// Runs the command.
///
/// # Errors
/// Where the instance refuses or cannot be reached, or a comparison was cut short.
pub(crate) async fn run_sync(command: &SyncCommand) -> anyhow::Result<ExitCode> {
    let is_ok = match command {
        SyncCommand::Status { link, client } => match choice(link) {
            Some(link) => link_status(client, &link).await?,
            None => status(client).await?,
        },
        SyncCommand::Retry { link, all, client, .. } => match choice(link) {
            Some(link) => retry_link(client, &link).await?,
            None => retry(client, *all).await?,
        },
        SyncCommand::Verify { repair, delete_foreign, yes, client } => {
            let question = "Delete every key of the namespace that belongs to no link of this instance?";
            if *delete_foreign && !yes && !confirm(question)? {
                bail!("nothing was compared");
            }
            verify(client, *repair, *delete_foreign).await?
        }
    };
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_OK) })
}

fn choice(link: &SomeLink) -> Option<LinkChoice> {
    Some(LinkChoice { link: link.link.clone()?, domain: link.domain.clone() })
}

async fn link_status(args: &ClientArgs, link: &LinkChoice) -> anyhow::Result<bool> {
    let client = Client::connect(args).await?;
    let shown = with_client(client, async |client| {
        let id = find_id(client, link).await?;
        client.call(Call::new(Method::GET, path_of(&id))).await
    });
    show_link(args, &shown.await?)
}

async fn retry_link(args: &ClientArgs, link: &LinkChoice) -> anyhow::Result<bool> {
    let client = Client::connect(args).await?;
    let shown = with_client(client, async |client| {
        let id = find_id(client, link).await?;
        client.call(Call::new(Method::POST, path_of(&id))).await
    });
    show_link(args, &shown.await?).map(|_| true)
}

fn path_of(id: &str) -> String {
    format!("/api/v1/links/{}/sync", component(id))
}

/// Shows how far each target is with a link, and gives whether none has failed.
fn show_link(args: &ClientArgs, link: &Value) -> anyhow::Result<bool> {
    let targets = items(link, "targets");
    if args.json {
        print::json(link)?;
    } else {
        let rows: Vec<Vec<String>> = targets.iter().map(link_row).collect();
        let headings = ["TARGET", "STATUS", "VERSION", "THERE", "ATTEMPTS", "NEXT", "ERROR"];
        print::table(&headings, &rows, "There are no targets.")?;
    }
    Ok(targets.iter().all(|target| text(target, "status") != "failed"))
}

fn link_row(target: &Value) -> Vec<String> {
    let there = target["synced_version"].as_u64().map_or_else(|| "none".to_owned(), |version| version.to_string());
    vec![
        text(target, "target").to_owned(),
        text(target, "status").to_owned(),
        target["version"].to_string(),
        there,
        target["attempts"].to_string(),
        text(target, "next_attempt_at").to_owned(),
        text(target, "error").to_owned(),
    ]
}

async fn status(args: &ClientArgs) -> anyhow::Result<bool> {
    let client = Client::connect(args).await?;
    with_client(client, async |client| {
        let overview = client.call(Call::new(Method::GET, format!("{PATH}?synced=true"))).await?;
        if args.json {
            print::json(&overview)?;
        } else {
            show_overview(&overview)?;
            show_left_out(&overview)?;
            let failed = client.call(Call::new(Method::GET, format!("{PATH}/links?status=failed&limit={SHOWN_MAX}")));
            show_failed(&failed.await?)?;
        }
        let is_ok = |target: &Value| target["health"]["ok"] == true && target["counts"]["failed"] == 0;
        Ok(items(&overview, "targets").iter().all(is_ok))
    })
    .await
}

fn show_overview(overview: &Value) -> anyhow::Result<()> {
    let targets = items(overview, "targets");
    let rows: Vec<Vec<String>> = targets.iter().map(overview_row).collect();
    print::table(
        &["TARGET", "PENDING", "SYNCING", "SYNCED", "FAILED", "OLDEST", "STATE"],
        &rows,
        "There are no targets.",
    )?;
    for target in targets {
        let (name, health) = (text(target, "target"), &target["health"]);
        if let Some(progress) = fill_progress(target) {
            print::line(&format!("{name}: {progress}"))?;
        }
        if let Some(error) = health["error"].as_str() {
            let until = health["until"].as_str().map(|until| format!(", next call at {until}")).unwrap_or_default();
            print::line(&print::plain(&format!("{name}: {error}{until}")))?;
        }
        if target["objective_met"] == false {
            let objective_s = overview["objective_s"].as_u64().unwrap_or_default();
            print::line(&format!("{name}: a change has not arrived within {objective_s} s"))?;
        }
    }
    if targets.len() == 1 {
        print::line("Links are pushed nowhere else: see the section [cloudflare] of the configuration.")?;
    }
    Ok(())
}

fn overview_row(target: &Value) -> Vec<String> {
    let count = |name: &str| target["counts"][name].as_u64().map(grouped).unwrap_or_default();
    let oldest = target["oldest_pending_age_s"].as_f64().map(|age_s| format!("{age_s:.0} s")).unwrap_or_default();
    let health = &target["health"];
    let state = match (health["ok"] == true, text(health, "reason")) {
        (true, _) => "ok".to_owned(),
        (false, "") => "NOT OK".to_owned(),
        (false, reason) => reason.replace('_', " "),
    };
    let counts = ["pending", "syncing", "synced", "failed"].map(count);
    [vec![text(target, "target").to_owned()], counts.to_vec(), vec![oldest, state]].concat()
}

/// How far a first fill is, while there is one.
fn fill_progress(target: &Value) -> Option<String> {
    let (links, synced) = (target["links"].as_u64()?, target["counts"]["synced"].as_u64()?);
    let is_filling = target["behind"] == true && synced < links;
    let percent = synced * 100 / links.max(1);
    is_filling.then(|| format!("{} of {} there ({percent} %)", grouped(synced), print::counted(links, "link")))
}

/// The links that this instance's own table cannot serve as they are stored.
fn show_left_out(overview: &Value) -> anyhow::Result<()> {
    for target in items(overview, "targets") {
        let named = |link: &Value| {
            let mut link = link.clone();
            link["target"] = target["target"].clone();
            failed_row(&link)
        };
        let rows: Vec<Vec<String>> = items(target, "failed_links").iter().take(SHOWN_MAX).map(named).collect();
        if !rows.is_empty() {
            print::line("")?;
            print::table(&FAILED_HEADINGS, &rows, "")?;
        }
    }
    Ok(())
}

const FAILED_HEADINGS: [&str; 4] = ["FAILED", "ID", "TARGET", "ERROR"];

fn failed_row(link: &Value) -> Vec<String> {
    vec![
        format!("{}/{}", text(link, "domain"), text(link, "slug")),
        text(link, "link_id").to_owned(),
        text(link, "target").to_owned(),
        text(link, "error").to_owned(),
    ]
}

fn show_failed(page: &Value) -> anyhow::Result<()> {
    let links = items(page, "links");
    if links.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = links.iter().map(failed_row).collect();
    print::line("")?;
    print::table(&FAILED_HEADINGS, &rows, "")?;
    if page["next_cursor"].is_string() {
        print::note("There are more: see GET /api/v1/sync/links.");
    }
    Ok(())
}

async fn retry(args: &ClientArgs, all: bool) -> anyhow::Result<bool> {
    let body = if all { json!({ "refill": true }) } else { json!({ "status": "failed" }) };
    let retried = {
        let client = Client::connect(args).await?;
        let call = Call::new(Method::POST, PATH).body(&object(body));
        with_client(client, async |client| client.call(call).await).await?
    };
    if args.json {
        print::json(&retried)?;
    } else if all {
        print::line("All links will be pushed anew; see `waypost sync status`.")?;
    } else {
        let links = retried["retried"].as_u64().unwrap_or_default();
        let verb = if links == 1 { "is" } else { "are" };
        print::line(&format!("{} {verb} tried again.", print::counted(links, "link")))?;
    }
    Ok(true)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

async fn verify(args: &ClientArgs, repair: bool, delete_foreign: bool) -> anyhow::Result<bool> {
    let body = object(json!({ "repair": repair, "delete_foreign": delete_foreign }));
    let client = Client::connect(args).await?;
    let summary = with_client(client, async |client| {
        let mut answer = client.stream(Call::new(Method::POST, format!("{PATH}/verify")).body(&body)).await?;
        let (mut rest, mut progress, mut summary) = (Vec::new(), SyncProgress::start(args.json), None);
        while let Some(bytes) = answer.next().await? {
            rest.extend_from_slice(&bytes);
            let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in rest[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line: Value = serde_json::from_slice(line).context("the answer is not JSON")?;
                if let Some(found) = line.get("summary") {
                    summary = Some(found.clone());
                }
                progress.take(&line)?;
            }
            rest.drain(..end);
        }
        progress.finish();
        summary.context("the comparison was cut short")
    })
    .await?;
    if !args.json {
        show_summary(&summary, delete_foreign)?;
    }
    Ok(summary["ok"] == true)
}

fn show_summary(summary: &Value, delete_foreign: bool) -> anyhow::Result<()> {
    let count = |name: &str| summary[name].as_u64().unwrap_or_default();
    let counted = |name: &str| grouped(count(name));
    let seconds = count("took_ms") as f64 / 1_000.0;
    let (links, keys) = (print::counted(count("links"), "link"), print::counted(count("keys"), "key"));
    print::line(&format!("Compared {links} with {keys} in {seconds:.1} s."))?;
    print::line(&format!(
        "{} missing, {} different, {} deleted, {} foreign; {} on their way.",
        counted("missing"),
        counted("different"),
        counted("deleted"),
        counted("foreign"),
        counted("in_flight")
    ))?;
    if count("unreadable") > 0 {
        let links = print::counted(count("unreadable"), "link");
        print::line(&format!("{links} cannot be read from the database: see docs/backup.md."))?;
    }
    if let Some(repaired) = summary["repaired"].as_object() {
        let part = |name: &str| grouped(repaired.get(name).and_then(Value::as_u64).unwrap_or_default());
        print::line(&format!(
            "Repaired {}, failed {}, still to be pushed {}.",
            part("synced"),
            part("failed"),
            part("unfinished")
        ))?;
        if let Some(error) = repaired.get("error").and_then(Value::as_str) {
            print::line(&print::plain(error))?;
        }
    }
    if delete_foreign {
        print::line(&format!("Deleted {}.", print::counted(count("foreign_deleted"), "foreign key")))?;
    }
    let differs = count("missing") + count("different") + count("deleted") > 0;
    let verdict = match (summary["ok"] == true, differs) {
        (true, false) => "Workers KV holds every link.",
        (true, true) => "Workers KV holds every link now.",
        (false, _) if summary["repaired"].is_null() => "Workers KV does NOT hold every link: see --repair.",
        (false, _) => "Workers KV does NOT hold every link: see `waypost sync status`.",
    };
    Ok(print::line(verdict)?)
}
