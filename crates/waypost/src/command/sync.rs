//! `waypost sync`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use http::Method;
use waypost_api::sync::{
    BehindPage, FailedLink, LinkBehind, LinkSync, Repaired, Retried, RetrySync, SyncOverview, TargetOverview,
    TargetState, VerifyLine, VerifySummary, VerifySync,
};
use waypost_core::sync::SyncStatus;

use crate::api_path::component;
use crate::cli::{ClientArgs, LinkChoice, SomeLink, SyncCommand};
use crate::client::{Call, Client};
use crate::command::link_find::find_id;
use crate::command::sync_progress::SyncProgress;
use crate::command::{confirm, with_client};
use crate::print::{self, grouped};
use crate::reply::{Kept, Reply, read_json};

const PATH: &str = "/api/v1/sync";
/// A target is not reached, a link failed, or a link differs.
const EXIT_NOT_OK: u8 = 3;
/// How many failed links are shown below the state of the targets.
const SHOWN_MAX: usize = 20;

/// Runs the command.
///
/// # Errors
/// If the instance refuses or cannot be reached, or a comparison did not finish.
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

/// Shows the state of a link at each target, and returns whether none has failed.
fn show_link(args: &ClientArgs, reply: &Reply) -> anyhow::Result<bool> {
    let LinkSync { targets, .. } = reply.read()?;
    if args.json {
        reply.print()?;
    } else {
        let rows: Vec<Vec<String>> = targets.iter().map(link_row).collect();
        let headings = ["TARGET", "STATUS", "VERSION", "THERE", "ATTEMPTS", "NEXT", "ERROR"];
        print::table(&headings, &rows, "There are no targets.")?;
    }
    Ok(targets.iter().all(|target| target.status != SyncStatus::Failed))
}

fn link_row(target: &TargetState) -> Vec<String> {
    vec![
        target.target.clone(),
        target.status.name().to_owned(),
        target.version.to_string(),
        target.synced_version.map_or_else(|| "none".to_owned(), |version| version.to_string()),
        target.attempts.to_string(),
        target.next_attempt_at.map(|at| at.to_string()).unwrap_or_default(),
        target.error.clone().unwrap_or_default(),
    ]
}

async fn status(args: &ClientArgs) -> anyhow::Result<bool> {
    let client = Client::connect(args).await?;
    with_client(client, async |client| {
        let reply = client.call(Call::new(Method::GET, format!("{PATH}?synced=true"))).await?;
        let overview: SyncOverview = reply.read()?;
        if args.json {
            reply.print()?;
        } else {
            show_overview(&overview)?;
            show_left_out(&overview)?;
            let failed = client.call(Call::new(Method::GET, format!("{PATH}/links?status=failed&limit={SHOWN_MAX}")));
            show_failed(&failed.await?.read()?)?;
        }
        Ok(overview.targets.iter().all(|target| target.health.ok && target.counts.failed == 0))
    })
    .await
}

fn show_overview(overview: &SyncOverview) -> anyhow::Result<()> {
    let targets = &overview.targets;
    let rows: Vec<Vec<String>> = targets.iter().map(overview_row).collect();
    print::table(
        &["TARGET", "PENDING", "SYNCING", "SYNCED", "FAILED", "OLDEST", "STATE"],
        &rows,
        "There are no targets.",
    )?;
    for target in targets {
        let (name, health) = (&target.target, &target.health);
        if let Some(progress) = fill_progress(target) {
            print::line(&format!("{name}: {progress}"))?;
        }
        if let Some(error) = &health.error {
            let until = health.until.map(|until| format!(", next call at {until}")).unwrap_or_default();
            print::line(&print::plain(&format!("{name}: {error}{until}")))?;
        }
        if !target.objective_met {
            print::line(&format!("{name}: a change has not arrived within {} s", overview.objective_s))?;
        }
    }
    if targets.len() == 1 {
        print::line("Links are pushed nowhere else: see the section [cloudflare] of the configuration.")?;
    }
    Ok(())
}

fn overview_row(target: &TargetOverview) -> Vec<String> {
    let (counts, health) = (&target.counts, &target.health);
    let state = match (health.ok, health.reason) {
        (true, _) => "ok".to_owned(),
        (false, None) => "NOT OK".to_owned(),
        (false, Some(reason)) => reason.name().replace('_', " "),
    };
    vec![
        target.target.clone(),
        grouped(counts.pending),
        grouped(counts.syncing),
        counts.synced.map(grouped).unwrap_or_default(),
        grouped(counts.failed),
        target.oldest_pending_age_s.map(|age_s| format!("{age_s:.0} s")).unwrap_or_default(),
        state,
    ]
}

/// The progress of a first fill, while one is running.
fn fill_progress(target: &TargetOverview) -> Option<String> {
    let (links, synced) = (target.links, target.counts.synced?);
    let is_filling = target.behind && synced < links;
    let percent = synced * 100 / links.max(1);
    is_filling.then(|| format!("{} of {} there ({percent} %)", grouped(synced), print::counted(links, "link")))
}

const FAILED_HEADINGS: [&str; 4] = ["FAILED", "ID", "TARGET", "ERROR"];

/// The links that this instance's link table cannot serve as they are stored.
fn show_left_out(overview: &SyncOverview) -> anyhow::Result<()> {
    for target in &overview.targets {
        let row = |link: &FailedLink| {
            let FailedLink { link_id, domain, slug, error, .. } = link.clone();
            vec![format!("{domain}/{slug}"), link_id.unwrap_or_default(), target.target.clone(), error]
        };
        let rows: Vec<Vec<String>> = target.failed_links.iter().take(SHOWN_MAX).map(row).collect();
        if !rows.is_empty() {
            print::line("")?;
            print::table(&FAILED_HEADINGS, &rows, "")?;
        }
    }
    Ok(())
}

fn show_failed(page: &BehindPage) -> anyhow::Result<()> {
    if page.links.is_empty() {
        return Ok(());
    }
    let row = |link: &LinkBehind| {
        let LinkBehind { link_id, domain, slug, state } = link.clone();
        let id = link_id.map(String::from).unwrap_or_default();
        vec![format!("{}/{slug}", domain.unwrap_or_default()), id, state.target, state.error.unwrap_or_default()]
    };
    let rows: Vec<Vec<String>> = page.links.iter().map(row).collect();
    print::line("")?;
    print::table(&FAILED_HEADINGS, &rows, "")?;
    if page.next_cursor.is_some() {
        print::note("There are more: see GET /api/v1/sync/links.");
    }
    Ok(())
}

async fn retry(args: &ClientArgs, all: bool) -> anyhow::Result<bool> {
    let asked = if all { RetrySync::Refill } else { RetrySync::Failed };
    let client = Client::connect(args).await?;
    let call = Call::new(Method::POST, PATH).body(&asked);
    let reply = with_client(client, async |client| client.call(call).await).await?;
    if args.json {
        reply.print()?;
    } else if all {
        print::line("All links will be pushed again; see `waypost sync status`.")?;
    } else {
        let Retried { retried, .. } = reply.read()?;
        let verb = if retried == 1 { "is" } else { "are" };
        print::line(&format!("{} {verb} tried again.", print::counted(retried, "link")))?;
    }
    Ok(true)
}

async fn verify(args: &ClientArgs, repair: bool, delete_foreign: bool) -> anyhow::Result<bool> {
    let asked = VerifySync { repair, delete_foreign };
    let client = Client::connect(args).await?;
    let summary = with_client(client, async |client| {
        let mut answer = client.stream(Call::new(Method::POST, format!("{PATH}/verify")).body(&asked)).await?;
        let (mut rest, mut progress, mut summary) = (Vec::new(), SyncProgress::start(args.json), None);
        while let Some(bytes) = answer.next().await? {
            rest.extend_from_slice(&bytes);
            let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in rest[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line: Kept<VerifyLine> = read_json(line)?;
                progress.take(&line)?;
                if let VerifyLine::Summary { summary: found } = line.value {
                    summary = Some(found);
                }
            }
            rest.drain(..end);
        }
        progress.finish();
        summary.context("the comparison did not finish")
    })
    .await?;
    if !args.json {
        show_summary(&summary, delete_foreign)?;
    }
    Ok(summary.ok)
}

fn show_summary(summary: &VerifySummary, delete_foreign: bool) -> anyhow::Result<()> {
    let tally = &summary.tally;
    let seconds = summary.took_ms as f64 / 1_000.0;
    let (links, keys) = (print::counted(tally.links, "link"), print::counted(tally.keys, "key"));
    print::line(&format!("Compared {links} with {keys} in {seconds:.1} s."))?;
    print::line(&format!(
        "{} missing, {} different, {} deleted, {} foreign; {} being pushed.",
        grouped(tally.missing),
        grouped(tally.different),
        grouped(tally.deleted),
        grouped(tally.foreign),
        grouped(tally.in_flight)
    ))?;
    if tally.unreadable > 0 {
        let links = print::counted(tally.unreadable, "link");
        print::line(&format!("{links} cannot be read from the database: see docs/backup.md."))?;
    }
    if let Some(Repaired { synced, failed, unfinished, error }) = &summary.repaired {
        let [synced, failed, unfinished] = [*synced, *failed, *unfinished].map(grouped);
        print::line(&format!("Repaired {synced}, failed {failed}, still to be pushed {unfinished}."))?;
        if let Some(error) = error {
            print::line(&print::plain(error))?;
        }
    }
    if delete_foreign {
        print::line(&format!("Deleted {}.", print::counted(tally.foreign_deleted, "foreign key")))?;
    }
    let differs = tally.missing + tally.different + tally.deleted > 0;
    let verdict = match (summary.ok, differs) {
        (true, false) => "Workers KV holds every link.",
        (true, true) => "Workers KV holds every link now.",
        (false, _) if summary.repaired.is_none() => "Workers KV does NOT hold every link: see --repair.",
        (false, _) => "Workers KV does NOT hold every link: see `waypost sync status`.",
    };
    Ok(print::line(verdict)?)
}
