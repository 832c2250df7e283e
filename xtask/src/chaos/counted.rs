//! Reads from the instance what it has counted, in every possible way: readiness, audit, reports, raw clicks.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use waypost_testkit::wait_until;

use super::instance::Instance;
use super::ledger::Counted;

/// Limit on waiting, when nothing more comes, for fewer clicks to wait than before.
const DRAIN_PATIENCE: Duration = Duration::from_secs(40);
/// How long the audit must say the same.
const STANDS_STILL: Duration = Duration::from_secs(1);
const AUDIT: &str = "/api/v1/clicks/audit";
/// Clicks requested at once.
const PAGE_CLICKS: u64 = 10_000;

/// Waits until nothing waits to be counted and the audit stands still; gives how long that took.
pub(crate) fn wait_until_drained(instance: &Instance) -> anyhow::Result<Duration> {
    let started_at = Instant::now();
    let mut last_stored = u64::MAX;
    loop {
        wait_until_none_waits(instance)?;
        let drained_after = started_at.elapsed();
        let mut counted = Counted::default();
        read_totals(&json(instance, AUDIT)?, &mut counted)?;
        // An instance that has just started may not have seen yet what waits.
        if counted.stored + counted.lost == last_stored {
            return Ok(drained_after.saturating_sub(STANDS_STILL));
        }
        last_stored = counted.stored + counted.lost;
        thread::sleep(STANDS_STILL);
    }
}

fn wait_until_none_waits(instance: &Instance) -> anyhow::Result<()> {
    let (mut fewest, mut last) = (u64::MAX, String::new());
    while fewest > 0 {
        let waited = wait_until(DRAIN_PATIENCE, "clicks to be counted", || {
            let readiness = instance.api("GET /readyz", b"").map(|answer| answer.text());
            last = readiness.unwrap_or_else(|error| format!("{error:#}"));
            let pending = pending_of(&last).unwrap_or(u64::MAX);
            let is_fewer = pending < fewest;
            fewest = fewest.min(pending);
            is_fewer
        });
        waited.with_context(|| format!("/readyz says {last}\n{}", instance.output()))?;
    }
    Ok(())
}

/// Clicks that wait, by what `/readyz` says; `None` while it says that something is not well.
fn pending_of(readiness: &str) -> Option<u64> {
    let readiness: Value = serde_json::from_str(readiness).ok()?;
    let clicks = &readiness["checks"]["clicks"];
    clicks["pending"].as_u64().filter(|_| clicks["ok"] == true)
}

/// Everything it says about these links.
pub(crate) fn read(instance: &Instance, link_ids: &[String]) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    read_audit(instance, &mut counted)?;
    counted.reported_total = report(instance, "")?;
    for link_id in link_ids {
        let clicks = report(instance, &format!("&link_id={link_id}"))?;
        counted.reported.insert(link_id.clone(), clicks);
    }
    // Links without a click are not in the raw clicks either.
    counted.reported.retain(|_, clicks| *clicks > 0);
    read_raw(instance, &mut counted)?;
    Ok(counted)
}

fn read_audit(instance: &Instance, counted: &mut Counted) -> anyhow::Result<()> {
    let audit = json(instance, AUDIT)?;
    let waiting = read_totals(&audit, counted)?;
    if waiting > 0 {
        counted.complaints.push(format!("the audit says that {waiting} clicks wait still"));
    }
    if audit["ok"] != true {
        let epochs = audit["epochs"].as_array().context("epochs")?.iter().filter(|epoch| epoch["ok"] != true);
        let epochs: Vec<String> = epochs.take(5).map(Value::to_string).collect();
        counted.complaints.push(format!("the audit is not well: spool {}, epochs {epochs:?}", audit["spool"]));
    }
    // The command must say the same, by its exit status.
    if let Err(error) = instance.command(&["clicks", "audit"]) {
        counted.complaints.push(format!("waypost clicks audit: {error:#}"));
    }
    Ok(())
}

/// Reads the sums, and gives how many clicks wait.
fn read_totals(audit: &Value, counted: &mut Counted) -> anyhow::Result<u64> {
    let total = |name: &str| audit["totals"][name].as_u64().with_context(|| format!("{name} in {audit}"));
    (counted.stored, counted.lost, counted.missing) = (total("stored")?, total("lost")?, total("missing")?);
    total("waiting")
}

fn report(instance: &Instance, scope: &str) -> anyhow::Result<u64> {
    let answer = json(instance, &format!("/api/v1/reports?class=all&{}{scope}", range()?))?;
    answer["clicks"].as_u64().with_context(|| format!("clicks in {answer}"))
}

/// From two years ago to six years ahead, which is all that can have happened, also by a clock that was wrong, and less
/// than the longest range there is.
fn range() -> anyhow::Result<String> {
    let year = 1970 + SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 31_556_952;
    Ok(format!("from={}-01-01T00:00:00Z&to={}-01-01T00:00:00Z", year - 2, year + 7))
}

/// Raw clicks by link and by day, and how many had an event id or a number that an earlier one had.
fn read_raw(instance: &Instance, counted: &mut Counted) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    let mut cursor = String::new();
    loop {
        let page = json(instance, &format!("/api/v1/clicks?limit={PAGE_CLICKS}{cursor}"))?;
        for click in page["clicks"].as_array().context("clicks")? {
            let text = |name: &str| click[name].as_str().with_context(|| format!("{name} in {click}"));
            *counted.raw.entry(text("link_id")?.to_owned()).or_insert(0) += 1;
            counted.days.insert(text("clicked_at")?.chars().take(10).collect());
            let number = format!("{}/{}/{}", text("edge_id")?, click["epoch"], click["sequence"]);
            // Both are looked at: one of them alone could hide a click that came twice.
            let is_new_id = seen.insert(text("event_id")?.to_owned());
            let is_new_number = seen.insert(number);
            counted.repeated_ids += u64::from(!is_new_id || !is_new_number);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(()),
        }
    }
}

fn json(instance: &Instance, target: &str) -> anyhow::Result<Value> {
    let answer = instance.api(&format!("GET {target}"), b"")?;
    ensure!(!answer.body.is_empty(), "{target} answered nothing");
    serde_json::from_slice(&answer.body).with_context(|| format!("{target} is not JSON"))
}
