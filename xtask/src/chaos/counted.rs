//! Asks the instance what it has counted, in every way there is: readiness, audit, reports, raw clicks.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use waypost_testkit::{http, wait_until};

use super::instance::Instance;
use super::ledger::Counted;

/// Limit on counting what waits when nothing more comes.
const DRAIN_DEADLINE: Duration = Duration::from_secs(180);
/// Clicks asked for at once.
const PAGE_CLICKS: u64 = 10_000;
/// Everything that can have happened, also by a clock that was wrong.
const RANGE: &str = "from=2020-01-01T00:00:00Z&to=2045-01-01T00:00:00Z";

/// Waits until nothing waits to be counted; gives how long that took.
pub(crate) fn wait_until_drained(instance: &Instance) -> anyhow::Result<Duration> {
    let started_at = Instant::now();
    let mut last = String::new();
    let drained = wait_until(DRAIN_DEADLINE, "every click to be counted", || {
        let readiness = http::get(instance.address(), "/readyz").map(|answer| answer.text());
        last = readiness.unwrap_or_else(|error| format!("{error:#}"));
        let clicks = serde_json::from_str::<Value>(&last).map(|all| all["checks"]["clicks"].clone());
        clicks.is_ok_and(|clicks| clicks["ok"] == true && clicks["pending"] == 0)
    });
    drained.with_context(|| format!("/readyz says {last}\n{}", instance.output()))?;
    Ok(started_at.elapsed())
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
    let (raw, repeated_ids) = read_raw(instance)?;
    counted.raw = Some(raw);
    counted.repeated_ids = repeated_ids;
    Ok(counted)
}

fn read_audit(instance: &Instance, counted: &mut Counted) -> anyhow::Result<()> {
    let audit = json(instance, "/api/v1/clicks/audit")?;
    let total = |name: &str| audit["totals"][name].as_u64().with_context(|| format!("{name} in {audit}"));
    (counted.stored, counted.lost, counted.missing) = (total("stored")?, total("lost")?, total("missing")?);
    let waiting = total("waiting")?;
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

fn report(instance: &Instance, scope: &str) -> anyhow::Result<u64> {
    let answer = json(instance, &format!("/api/v1/reports?class=all&{RANGE}{scope}"))?;
    answer["clicks"].as_u64().with_context(|| format!("clicks in {answer}"))
}

/// Raw clicks by link, and how many had an event id or a number that an earlier one had.
fn read_raw(instance: &Instance) -> anyhow::Result<(BTreeMap<String, u64>, u64)> {
    let (mut by_link, mut seen, mut repeated) = (BTreeMap::new(), HashSet::new(), 0);
    let mut cursor = String::new();
    loop {
        let page = json(instance, &format!("/api/v1/clicks?limit={PAGE_CLICKS}{cursor}"))?;
        for click in page["clicks"].as_array().context("clicks")? {
            let text = |name: &str| click[name].as_str().with_context(|| format!("{name} in {click}"));
            *by_link.entry(text("link_id")?.to_owned()).or_insert(0) += 1;
            let number = format!("{}/{}/{}", text("edge_id")?, click["epoch"], click["sequence"]);
            // Both are looked at: one of them alone could hide a click that came twice.
            let is_new_id = seen.insert(text("event_id")?.to_owned());
            let is_new_number = seen.insert(number);
            repeated += u64::from(!is_new_id || !is_new_number);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok((by_link, repeated)),
        }
    }
}

fn json(instance: &Instance, target: &str) -> anyhow::Result<Value> {
    let answer = instance.api(&format!("GET {target}"), b"")?;
    ensure!(!answer.body.is_empty(), "{target} answered nothing");
    serde_json::from_slice(&answer.body).with_context(|| format!("{target} is not JSON"))
}
