//! How a target as a whole is doing, shared by all processes on the database: whether it rests, and how many calls are left.

use waypost_core::Timestamp;

use crate::error::StoreError;
use crate::sync_states::SyncTarget;
use crate::tx::{ReadTx, Tx};

/// Calls that all processes together may make in [`CALLS_PERIOD_S`] on average: three quarters of Cloudflare's 1,200, which a
/// user's other tokens and the dashboard share.
pub const CALLS_PER_PERIOD: u32 = 900;
/// The period, in seconds.
pub const CALLS_PERIOD_S: u32 = 300;
/// Calls that may come at once after a pause. With the average it stays below 1,200 in any period.
pub const CALLS_BURST: u32 = 200;

/// Why a target rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestReason {
    /// It asked for fewer calls.
    RateLimited,
    /// The day's writes are used up.
    Quota,
    /// It refuses this configuration: the token, the account or the namespace. A person must act.
    Configuration,
    /// Calls fail.
    Fault,
}

impl RestReason {
    /// Every reason with its name in SQL, JSON and metrics.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("rate_limited", Self::RateLimited),
        ("quota", Self::Quota),
        ("configuration", Self::Configuration),
        ("fault", Self::Fault),
    ];
}

/// How a target is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncHealth {
    /// Until when it is not called; in the past where it may be.
    pub rests_until: Timestamp,
    /// Why it rests, or rested last; `None` where the last call succeeded.
    pub rest_reason: Option<RestReason>,
    /// What the last call that failed met; `None` where the last call succeeded.
    pub error: Option<String>,
    /// Calls that failed, less those that succeeded since: not below 0. The more, the fewer keys are pushed at once.
    pub faults: u32,
    /// When a call last succeeded.
    pub last_success_at: Option<Timestamp>,
}

impl ReadTx {
    /// How the target is doing; well where nothing is known yet.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sync_health(&mut self, target: SyncTarget) -> Result<SyncHealth, StoreError> {
        todo!("{target:?}")
    }
}

impl Tx {
    /// Keeps how the target is doing, for all processes.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_sync_health(&mut self, target: SyncTarget, health: &SyncHealth) -> Result<(), StoreError> {
        todo!("{target:?} {health:?}")
    }

    /// Takes one call off the target's allowance. `Some` is the instant at which to ask again; nothing was taken then.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn take_sync_call(&mut self, target: SyncTarget) -> Result<Option<Timestamp>, StoreError> {
        todo!("{target:?}")
    }
}
