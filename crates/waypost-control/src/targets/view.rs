//! The sync status of targets as the API returns it.

use waypost_api::sync::{FailedLink, StatusCounts, SyncOverview, TargetHealth, TargetOverview, TargetState};
use waypost_core::Timestamp;
use waypost_core::sync::{SyncStatus, SyncTarget};
use waypost_store::{Link, SyncCounts, SyncHealth, SyncState};

/// The name under which the link table of this process is shown.
const TABLE: &str = "table";
/// How long a change may take to reach every target, in seconds.
const OBJECTIVE_S: u32 = 300;

/// What is known of a target outside this process.
#[derive(Debug)]
pub(crate) struct TargetFacts {
    pub(crate) target: SyncTarget,
    /// Live links of the instance.
    pub(crate) links: u64,
    pub(crate) is_behind: bool,
    pub(crate) counts: SyncCounts,
    /// Whether synced keys were counted.
    pub(crate) with_synced: bool,
    pub(crate) health: SyncHealth,
    pub(crate) now: Timestamp,
}

/// How a target stands with a key, as its row says.
pub(crate) fn target_state(target: SyncTarget, state: SyncState) -> TargetState {
    TargetState {
        target: target.name().to_owned(),
        status: state.status,
        version: state.version,
        synced_version: state.synced_version,
        attempts: state.attempts,
        error: state.error,
        next_attempt_at: state.next_attempt_at,
        synced_at: state.synced_at,
        pending_since: state.pending_since,
    }
}

/// As the row says; a link that the row does not know of yet is pending.
pub(crate) fn link_state(target: SyncTarget, link: &Link, state: Option<SyncState>) -> TargetState {
    let (synced_version, synced_at, since) = match state {
        Some(state) if state.version >= link.version => return target_state(target, state),
        Some(state) => (state.synced_version, state.synced_at, state.pending_since),
        None => (None, None, None),
    };
    TargetState {
        target: target.name().to_owned(),
        status: SyncStatus::Pending,
        version: link.version,
        synced_version,
        attempts: 0,
        error: None,
        next_attempt_at: None,
        synced_at,
        pending_since: since.or(Some(link.updated_at)),
    }
}

/// What the link table of this process has of a link: this version, or nothing for this reason.
pub(crate) fn table_state(link: &Link, held: Option<u64>, error: Option<String>) -> TargetState {
    let is_synced = held.is_some_and(|version| version >= link.version);
    let status = match (is_synced, &error) {
        (true, _) => SyncStatus::Synced,
        (false, Some(_)) => SyncStatus::Failed,
        (false, None) => SyncStatus::Pending,
    };
    TargetState {
        target: TABLE.to_owned(),
        status,
        version: link.version,
        synced_version: held,
        attempts: 0,
        error,
        next_attempt_at: None,
        synced_at: None,
        pending_since: (!is_synced).then_some(link.updated_at),
    }
}

/// How far all of them are.
pub(crate) fn overview(targets: Vec<TargetOverview>) -> SyncOverview {
    let objective_met = targets.iter().all(|target| target.objective_met);
    SyncOverview { objective_s: OBJECTIVE_S, objective_met, targets }
}

/// A target outside this process.
pub(crate) fn outside_overview(facts: TargetFacts) -> TargetOverview {
    let TargetFacts { target, links, is_behind, counts, with_synced, health, now } = facts;
    let age_s = counts.oldest_pending_since.map(|since| seconds_between(since, now));
    TargetOverview {
        target: target.name().to_owned(),
        links,
        behind: is_behind,
        counts: StatusCounts {
            pending: counts.pending,
            syncing: counts.syncing,
            synced: with_synced.then_some(counts.synced),
            failed: counts.failed,
        },
        oldest_pending_since: counts.oldest_pending_since,
        oldest_pending_age_s: age_s,
        objective_met: age_s.is_none_or(|age_s| age_s <= f64::from(OBJECTIVE_S)),
        health: target_health(health, now),
        failed_links: Vec::new(),
    }
}

/// The link table of this process: changes that it has not taken, and records that it cannot hold.
pub(crate) fn table_overview(
    (links, behind): (u64, u64),
    (failed, failed_links): (u64, Vec<FailedLink>),
    is_well: bool,
) -> TargetOverview {
    TargetOverview {
        target: TABLE.to_owned(),
        links,
        behind: behind > 0,
        counts: StatusCounts { pending: behind, syncing: 0, synced: Some(links.saturating_sub(failed)), failed },
        oldest_pending_since: None,
        oldest_pending_age_s: None,
        objective_met: is_well,
        health: TargetHealth {
            ok: is_well,
            resting: false,
            reason: None,
            until: None,
            error: None,
            last_success_at: None,
        },
        failed_links,
    }
}

fn target_health(health: SyncHealth, now: Timestamp) -> TargetHealth {
    let resting = health.rests_until > now;
    TargetHealth {
        ok: health.rest_reason.is_none(),
        resting,
        reason: health.rest_reason,
        until: resting.then_some(health.rests_until),
        error: health.error,
        last_success_at: health.last_success_at,
    }
}

fn seconds_between(since: Timestamp, now: Timestamp) -> f64 {
    // Milliseconds are enough for people, and easier to read.
    (now.as_micros().saturating_sub(since.as_micros()).max(0) / 1_000) as f64 / 1_000.0
}
