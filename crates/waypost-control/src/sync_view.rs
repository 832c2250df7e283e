//! How far targets are, as it is shown.

use serde::Serialize;
use waypost_core::Timestamp;
use waypost_core::id::LinkId;
use waypost_store::{Link, RestReason, SyncCounts, SyncHealth, SyncState, SyncStatus, SyncTarget};

use crate::left_out::LeftOutLink;

/// The name under which the link table of this process is shown.
const TABLE: &str = "table";
/// How long a change may take to reach every target, in seconds.
const OBJECTIVE_S: u32 = 300;

/// How far each target is with one link.
#[derive(Debug, Serialize)]
pub(crate) struct LinkSyncView {
    pub(crate) link_id: LinkId,
    pub(crate) version: u64,
    pub(crate) targets: Vec<StateView>,
}

/// How far one target is with one key.
#[derive(Debug, Serialize)]
pub(crate) struct StateView {
    target: &'static str,
    status: &'static str,
    /// The version that the target must come to have.
    version: u64,
    /// The newest that it is known to have had.
    synced_version: Option<u64>,
    /// Attempts that failed since the last success, edit or retry by hand.
    attempts: u32,
    /// Why the last of them failed.
    error: Option<String>,
    next_attempt_at: Option<Timestamp>,
    /// When the target last acknowledged; the table does not keep it.
    synced_at: Option<Timestamp>,
    pending_since: Option<Timestamp>,
}

/// A link that a target is behind with.
#[derive(Debug, Serialize)]
pub(crate) struct BehindView {
    pub(crate) link_id: Option<LinkId>,
    pub(crate) domain: Option<String>,
    pub(crate) slug: String,
    #[serde(flatten)]
    pub(crate) state: StateView,
}

/// A page of such links.
#[derive(Debug, Serialize)]
pub(crate) struct BehindPage {
    pub(crate) links: Vec<BehindView>,
    pub(crate) next_cursor: Option<String>,
}

/// How far every target is.
#[derive(Debug, Serialize)]
pub(crate) struct SyncOverview {
    /// How long a change may take, in seconds.
    objective_s: u32,
    /// Whether no target is behind for longer.
    objective_met: bool,
    targets: Vec<TargetView>,
}

/// How far one target is.
#[derive(Debug, Serialize)]
pub(crate) struct TargetView {
    target: &'static str,
    /// Live links of the instance, as the link table counts them.
    links: u64,
    /// Whether there are changes, or links of a first fill, that the target has not read of yet; they are pending.
    behind: bool,
    counts: CountsView,
    oldest_pending_since: Option<Timestamp>,
    oldest_pending_age_s: Option<f64>,
    objective_met: bool,
    health: HealthView,
    /// The first of the links that cannot be served as they are stored. Those of other targets are listed page by page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_links: Vec<LeftOutLink>,
}

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

#[derive(Debug, Serialize)]
struct CountsView {
    pending: u64,
    syncing: u64,
    /// `null` where it was not asked for.
    synced: Option<u64>,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct HealthView {
    ok: bool,
    /// Whether the target is not called just now.
    resting: bool,
    reason: Option<&'static str>,
    until: Option<Timestamp>,
    error: Option<String>,
    last_success_at: Option<Timestamp>,
}

impl StateView {
    pub(crate) fn new(target: SyncTarget, state: SyncState) -> Self {
        Self {
            target: target.name(),
            status: name_of(state.status),
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
    pub(crate) fn of_link(target: SyncTarget, link: &Link, state: Option<SyncState>) -> Self {
        let (synced_version, synced_at, since) = match state {
            Some(state) if state.version >= link.version => return Self::new(target, state),
            Some(state) => (state.synced_version, state.synced_at, state.pending_since),
            None => (None, None, None),
        };
        Self {
            target: target.name(),
            status: name_of(SyncStatus::Pending),
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
    pub(crate) fn of_table(link: &Link, held: Option<u64>, error: Option<String>) -> Self {
        let is_synced = held.is_some_and(|version| version >= link.version);
        let status = match (is_synced, &error) {
            (true, _) => SyncStatus::Synced,
            (false, Some(_)) => SyncStatus::Failed,
            (false, None) => SyncStatus::Pending,
        };
        Self {
            target: TABLE,
            status: name_of(status),
            version: link.version,
            synced_version: held,
            attempts: 0,
            error,
            next_attempt_at: None,
            synced_at: None,
            pending_since: (!is_synced).then_some(link.updated_at),
        }
    }
}

impl SyncOverview {
    pub(crate) fn new(targets: Vec<TargetView>) -> Self {
        let objective_met = targets.iter().all(|target| target.objective_met);
        Self { objective_s: OBJECTIVE_S, objective_met, targets }
    }
}

impl TargetView {
    /// A target outside this process.
    pub(crate) fn of_outside(facts: TargetFacts) -> Self {
        let TargetFacts { target, links, is_behind, counts, with_synced, health, now } = facts;
        let age_s = counts.oldest_pending_since.map(|since| seconds_between(since, now));
        Self {
            target: target.name(),
            links,
            behind: is_behind,
            counts: CountsView {
                pending: counts.pending,
                syncing: counts.syncing,
                synced: with_synced.then_some(counts.synced),
                failed: counts.failed,
            },
            oldest_pending_since: counts.oldest_pending_since,
            oldest_pending_age_s: age_s,
            objective_met: age_s.is_none_or(|age_s| age_s <= f64::from(OBJECTIVE_S)),
            health: HealthView::new(health, now),
            failed_links: Vec::new(),
        }
    }

    /// The link table of this process: changes that it has not taken, and records that it cannot hold.
    pub(crate) fn of_table(
        (links, behind): (u64, u64),
        (failed, failed_links): (u64, Vec<LeftOutLink>),
        is_well: bool,
    ) -> Self {
        Self {
            target: TABLE,
            links,
            behind: behind > 0,
            counts: CountsView { pending: behind, syncing: 0, synced: Some(links.saturating_sub(failed)), failed },
            oldest_pending_since: None,
            oldest_pending_age_s: None,
            objective_met: is_well,
            health: HealthView {
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
}

impl HealthView {
    fn new(health: SyncHealth, now: Timestamp) -> Self {
        let resting = health.rests_until > now;
        Self {
            ok: health.rest_reason.is_none(),
            resting,
            reason: health.rest_reason.map(name_of_reason),
            until: resting.then_some(health.rests_until),
            error: health.error,
            last_success_at: health.last_success_at,
        }
    }
}

fn seconds_between(since: Timestamp, now: Timestamp) -> f64 {
    // Milliseconds are enough for people, and easier to read.
    (now.as_micros().saturating_sub(since.as_micros()).max(0) / 1_000) as f64 / 1_000.0
}

/// A status as it is shown.
pub(crate) fn name_of(status: SyncStatus) -> &'static str {
    let named = SyncStatus::NAMES.iter().find(|(_, named)| *named == status);
    named.map_or("", |(name, _)| name)
}

fn name_of_reason(reason: RestReason) -> &'static str {
    let named = RestReason::NAMES.iter().find(|(_, named)| *named == reason);
    named.map_or("", |(name, _)| name)
}
