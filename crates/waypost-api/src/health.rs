//! The health of an instance.

use serde::{Deserialize, Serialize};
use waypost_core::sync::{RestReason, SyncTarget};

/// What `/readyz` shows to everybody but the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ready {
    /// As [`Readiness::ready`].
    pub ready: bool,
}

/// What `/readyz` shows to the operator while the server waits for its database, so that nothing else can be checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartingReadiness {
    /// As [`Readiness::ready`].
    pub ready: bool,
    /// As [`Readiness::degraded`].
    pub degraded: bool,
    /// What was checked.
    pub checks: StartingChecks,
}

/// What is checked while the server waits for its database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartingChecks {
    /// The database of the links.
    pub store: StoreCheck,
}

/// What `/readyz` shows to the operator. Everybody else gets [`Ready`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Readiness {
    /// Whether redirects work. A balancer goes by it, so it says nothing of the rest.
    pub ready: bool,
    /// Whether something is not well that should be looked at.
    pub degraded: bool,
    /// Something that must go on and has ended: the process ends, to be started again. Absent where all goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// What was looked at.
    pub checks: Checks,
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Checks {
    /// The database of the links.
    pub store: StoreCheck,
    /// The link table.
    pub table: TableCheck,
    /// The counting of clicks.
    pub clicks: ClicksCheck,
    /// Absent where there is no target outside this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncCheck>,
}

/// How the database of the links is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoreCheck {
    /// Whether the database answers and takes writes.
    pub ok: bool,
    /// Whether it takes writes, as the last one says, or one that was committed to find out.
    pub writable: bool,
    /// Why it is not well; absent where it is, or where it answers and takes no writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How the link table is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TableCheck {
    /// Whether the table has caught up since the start, is being kept current and is not damaged.
    pub ok: bool,
    /// The outbox sequence up to which the table is current.
    pub cursor: u64,
    /// Changes that it has not taken yet; `null` where the database cannot say.
    pub behind: Option<u64>,
    /// Links since the start that cannot be served as they are stored.
    pub refused: u64,
    /// Whether a link that is not in the table is known not to exist; it is 503 otherwise.
    pub complete: bool,
    /// What is wrong with the table's file, which is being filled anew; `null` where nothing is.
    pub damage: Option<String>,
    /// Damaged tables since the start that were filled anew.
    pub mended: u64,
}

/// How the counting of clicks is doing. What is wrong here makes the instance degraded: redirects and the API for links
/// work, and clicks wait in the spool, which no other instance could count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClicksCheck {
    /// Whether clicks are recorded and counted: the database answers and takes writes, the last attempt to count did
    /// not fail, and none is being lost.
    pub ok: bool,
    /// Whether the database takes writes, as the last one says, or one that was committed to find out.
    pub writable: bool,
    /// Clicks that wait to be counted.
    pub pending: u64,
    /// How long the oldest of them has waited, in seconds.
    pub pending_age_s: f64,
    /// Clicks lost since the start, also those that are not declared in the database yet.
    pub lost: u64,
    /// Why clicks are being lost now; `null` where they are not.
    pub losing: Option<String>,
    /// Why the last attempt to count failed; `null` where it did not.
    pub last_error: Option<String>,
    /// Why raw clicks are not deleted by what the clock shows; absent where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_held: Option<String>,
}

/// How pushing links to the target outside this process is doing. What is wrong there makes the instance degraded: it
/// answers redirects and takes changes, which wait for the target in the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SyncCheck {
    /// Whether the job works, the target is not refused by its configuration, and no change has waited for 5 minutes.
    pub ok: bool,
    /// Which target.
    pub target: SyncTarget,
    /// What is pending; `null` where the database cannot say.
    #[serde(flatten)]
    pub state: Option<SyncCheckState>,
    /// Why the last round of the job failed; `null` where it did not.
    pub last_error: Option<String>,
}

/// What is pending at the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SyncCheckState {
    /// Keys that the target is to be told of.
    pub pending: u64,
    /// Keys that it is just being told of.
    pub syncing: u64,
    /// Keys that failed.
    pub failed: u64,
    /// How long the oldest of those that are not given up has waited, in seconds.
    pub pending_age_s: f64,
    /// Why the target is not called just now; `null` where it is.
    pub rest_reason: Option<RestReason>,
    /// What the last call met; `null` where it succeeded.
    pub error: Option<String>,
}
