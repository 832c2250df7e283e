//! The sync status of targets, retries, and comparisons.

mod verify;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use waypost_core::Timestamp;
use waypost_core::id::{DomainId, LinkId};
use waypost_core::sync::{RestReason, SyncStatus, SyncTarget};

pub use verify::{
    Difference, DifferenceKind, Repaired, VerifyLine, VerifyProgress, VerifySummary, VerifySync, VerifyTally,
};

use crate::link::{PAGE_LINKS, PAGE_LINKS_MAX};
use crate::problem::{FieldError, Invalid, ProblemCode};
use crate::read::{Fields, Parameters, QueryPairs};

/// How far each target is with one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkSync {
    /// The link.
    pub link_id: LinkId,
    /// The version that targets must come to have.
    pub version: u64,
    /// Each target.
    pub targets: Vec<TargetState>,
}

/// How far one target is with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TargetState {
    /// `table`, which is this process's own, or a target outside it.
    pub target: String,
    /// How the key stands there.
    pub status: SyncStatus,
    /// The version that the target must come to have.
    pub version: u64,
    /// The newest that it is known to have had.
    pub synced_version: Option<u64>,
    /// Attempts that failed since the last success, edit or retry by hand.
    pub attempts: u32,
    /// Why the last of them failed.
    pub error: Option<String>,
    /// When it is tried again.
    pub next_attempt_at: Option<Timestamp>,
    /// When the target last acknowledged; the table does not keep it.
    pub synced_at: Option<Timestamp>,
    /// Since when there is a change that the target does not have.
    pub pending_since: Option<Timestamp>,
}

/// A link that a target is behind with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkBehind {
    /// The link; `null` where none is known.
    pub link_id: Option<LinkId>,
    /// The host of its domain.
    pub domain: Option<String>,
    /// Its slug.
    pub slug: String,
    /// How the target stands.
    #[serde(flatten)]
    pub state: TargetState,
}

/// A page of links that a target is behind with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BehindPage {
    /// Failed ones first.
    pub links: Vec<LinkBehind>,
    /// What asks for the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// How far every target is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SyncOverview {
    /// How long a change may take to reach every target, in seconds.
    pub objective_s: u32,
    /// Whether no target is behind for longer.
    pub objective_met: bool,
    /// Each target.
    pub targets: Vec<TargetOverview>,
}

/// How far one target is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TargetOverview {
    /// `table`, which is this process's own, or a target outside it.
    pub target: String,
    /// Live links of the instance, as the link table counts them.
    pub links: u64,
    /// Whether there are changes, or links of a first fill, that the target has not read of yet; they are pending.
    pub behind: bool,
    /// How many keys are in each status.
    pub counts: StatusCounts,
    /// Since when the oldest change waits.
    pub oldest_pending_since: Option<Timestamp>,
    /// How long that is, in seconds.
    pub oldest_pending_age_s: Option<f64>,
    /// Whether it is not behind for longer than it may.
    pub objective_met: bool,
    /// How the target is doing.
    pub health: TargetHealth,
    /// The first of the links that cannot be served as they are stored. Those of other targets are listed page by page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_links: Vec<FailedLink>,
}

/// A link that the link table does not have as it is stored, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailedLink {
    /// Its id; `null` where that cannot be read.
    pub link_id: Option<String>,
    /// The host of its domain.
    pub domain: String,
    /// Its slug.
    pub slug: String,
    /// Its version.
    pub version: u64,
    /// What is wrong.
    pub error: String,
}

/// How many keys are in each status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs)]
pub struct StatusCounts {
    pub pending: u64,
    pub syncing: u64,
    /// `null` where it was not asked for.
    pub synced: Option<u64>,
    pub failed: u64,
}

/// How a target is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TargetHealth {
    /// Whether nothing is wrong with it.
    pub ok: bool,
    /// Whether it is not called just now.
    pub resting: bool,
    /// Why.
    pub reason: Option<RestReason>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// What the last call met.
    pub error: Option<String>,
    /// When a call last succeeded.
    pub last_success_at: Option<Timestamp>,
}

/// Whether synced keys are to be counted in an overview, which takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetSync {
    /// Whether they are.
    pub synced: bool,
}

impl GetSync {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Every parameter that is at fault.
    pub fn read(pairs: QueryPairs) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let flag = |text: &str| text.parse().map_err(|_| "must be true or false".to_owned());
        let synced = parameters.read("synced", ProblemCode::InvalidField, flag).unwrap_or(false);
        parameters.finish().map(|()| Self { synced })
    }
}

/// Which links behind to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListBehind {
    /// Only those that this target is behind with.
    pub target: Option<SyncTarget>,
    /// Only those in this status.
    pub status: Option<SyncStatus>,
    /// How many at the most.
    pub limit: u32,
    /// The place that the page begins after.
    pub after: Option<BehindPlace>,
}

/// A place in the list of links behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BehindPlace {
    /// The status of the last link of the page before.
    pub status: SyncStatus,
    /// Its domain.
    pub domain_id: DomainId,
    /// Its slug.
    pub slug: String,
}

impl ListBehind {
    /// The statuses of keys that are behind, in the order in which they are listed.
    pub const STATUSES: [SyncStatus; 3] = [SyncStatus::Failed, SyncStatus::Syncing, SyncStatus::Pending];

    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Every parameter that is at fault.
    pub fn read(pairs: QueryPairs) -> Result<Self, Invalid> {
        const CURSOR_INVALID: &str = "is none that this list has handed out";
        let mut parameters = Parameters::of(pairs);
        let bad = ProblemCode::BadRequest;
        let asked = Self {
            target: parameters.read("target", ProblemCode::InvalidField, read_target),
            status: parameters.read("status", ProblemCode::InvalidField, |text| {
                read_status(text).ok_or_else(|| "must be failed, syncing or pending".to_owned())
            }),
            limit: parameters.limit(bad, PAGE_LINKS_MAX).unwrap_or(PAGE_LINKS),
            after: parameters
                .read("cursor", bad, |text| BehindPlace::read(text).ok_or_else(|| CURSOR_INVALID.to_owned())),
        };
        let does_fit = match (&asked.after, asked.status) {
            (Some(place), Some(status)) => place.status == status,
            (Some(_) | None, _) => true,
        };
        if !does_fit {
            parameters.refuse("cursor", bad, CURSOR_INVALID);
        }
        parameters.finish().map(|()| asked)
    }
}

impl BehindPlace {
    /// The cursor that stands for it.
    pub fn to_cursor(&self) -> String {
        format!("{}.{}.{}", self.status.name(), self.domain_id, self.slug)
    }

    fn read(text: &str) -> Option<Self> {
        let (status, rest) = text.split_once('.')?;
        let (domain_id, slug) = rest.split_once('.')?;
        let domain_id = domain_id.parse().ok()?;
        // No database takes NUL.
        let slug = Some(slug).filter(|slug| !slug.contains('\0'))?.to_owned();
        Some(Self { status: read_status(status)?, domain_id, slug })
    }
}

fn read_status(text: &str) -> Option<SyncStatus> {
    SyncStatus::from_name(text).filter(|status| ListBehind::STATUSES.contains(status))
}

fn read_target(text: &str) -> Result<SyncTarget, String> {
    SyncTarget::from_name(text).ok_or_else(|| format!("must be {}", SyncTarget::CloudflareKv.name()))
}

/// What is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetrySync {
    /// What failed.
    Failed,
    /// All links.
    Refill,
}

/// What is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Retried {
    /// At which target.
    pub target: SyncTarget,
    /// How many keys; 0 where all links are.
    pub retried: u64,
}

impl Serialize for RetrySync {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(1))?;
        match self {
            Self::Failed => object.serialize_entry("status", SyncStatus::Failed.name())?,
            Self::Refill => object.serialize_entry("refill", &true)?,
        }
        object.end()
    }
}

impl RetrySync {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        let target = fields.text("target");
        if target.is_some_and(|target| target != SyncTarget::CloudflareKv.name()) {
            let wanted = "`cloudflare_kv`, which is the only target that is retried by hand";
            fields.refuse(FieldError::invalid("target", wanted));
        }
        let status = fields.text("status");
        if status.as_ref().is_some_and(|status| status != "failed") {
            fields.refuse(FieldError::invalid("status", "`failed`: what is pending is tried anyway"));
        }
        let refill = fields.flag("refill").unwrap_or(false);
        fields.finish()?;
        match (status.is_some(), refill) {
            (true, false) => Ok(Self::Failed),
            (false, true) => Ok(Self::Refill),
            _ => {
                let wanted = "an object with either \"status\": \"failed\" or \"refill\": true";
                Err(Invalid::of_fields(vec![FieldError::invalid("", wanted)]))
            }
        }
    }
}
