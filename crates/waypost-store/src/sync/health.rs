//! How a target as a whole is doing, shared by all processes on the database: whether it rests, and how many calls are left.
//!
//! The allowance is one instant, `calls_full_at`: when a target that is left alone has its whole burst again. Each call moves it by
//! [`CALL_US`], and none is given that would move it further ahead than the burst is long (the generic cell rate algorithm of ATM
//! networks). A clock that was set back leaves instants far ahead: a rest of more than a day is over, an allowance is empty, not full.

use sqlx::any::AnyRow;
use waypost_core::Timestamp;
use waypost_core::sync::{RestReason, SyncTarget};
use waypost_sql::Statement;

use crate::error::StoreError;
use crate::rows::Columns;
use crate::sync::states::{cut_error, later};
use crate::tx::{ReadTx, Tx};

/// Calls that all processes together may make in [`CALLS_PERIOD_S`] on average: three quarters of Cloudflare's 1,200, which a
/// user's other tokens and the dashboard share.
pub const CALLS_PER_PERIOD: u32 = 900;
/// The period, in seconds.
pub const CALLS_PERIOD_S: u32 = 300;
/// Calls that may come at once after a pause. With the average it stays below 1,200 in any period.
pub const CALLS_BURST: u32 = 200;

/// What a call adds, in microseconds, rounded up.
const CALL_US: i64 = (CALLS_PERIOD_S as i64 * 1_000_000 - 1) / CALLS_PER_PERIOD as i64 + 1;
/// How far ahead an allowance can be spent, in microseconds.
const BURST_US: i64 = CALL_US * CALLS_BURST as i64;
/// The longest rest, in microseconds: what seems longer comes from a clock that was set back. A day's quota is the longest.
const REST_US_MAX: i64 = 25 * 3_600 * 1_000_000;

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

impl SyncHealth {
    /// Until when the target rests, if it does.
    pub(crate) fn resting(&self, now: Timestamp) -> Option<Timestamp> {
        let is_resting = self.rests_until > now && self.rests_until <= later(now, REST_US_MAX);
        is_resting.then_some(self.rests_until)
    }
}

/// A target's row, but for its cursor.
pub(crate) struct TargetRow {
    pub(crate) health: SyncHealth,
    calls_full_at: Timestamp,
}

impl TargetRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::new(row, "sync target");
        let rest_reason = match columns.get::<Option<String>>("rest_reason")? {
            Some(_) => Some(columns.parsed("rest_reason", RestReason::from_name)?),
            None => None,
        };
        Ok(Self {
            health: SyncHealth {
                rests_until: columns.time("rests_until")?,
                rest_reason,
                error: columns.get("error")?,
                faults: columns.small_count("faults")?,
                last_success_at: columns.optional_time("last_success_at")?,
            },
            calls_full_at: columns.time("calls_full_at")?,
        })
    }

    /// The allowance after one more call.
    ///
    /// # Errors
    /// The instant at which there is one to take.
    pub(crate) fn after_call(&self, now: Timestamp) -> Result<Timestamp, Timestamp> {
        // The clock was set back, and nothing says by how much: this call is lent against an empty allowance.
        if self.calls_full_at > later(now, BURST_US + CALL_US) {
            return Ok(later(now, BURST_US + CALL_US));
        }
        let after = later(self.calls_full_at.max(now), CALL_US);
        if after <= later(now, BURST_US) { Ok(after) } else { Err(later(after, -BURST_US)) }
    }
}

impl ReadTx {
    pub(crate) async fn target_row(&mut self, target: SyncTarget) -> Result<Option<TargetRow>, StoreError> {
        let statement = Statement::new(
            "SELECT rests_until, rest_reason, error, faults, last_success_at, calls_full_at FROM sync_targets
             WHERE target = $1",
        );
        let row = self.fetch_optional(statement.bind(target.name())).await?;
        row.as_ref().map(TargetRow::read).transpose()
    }

    /// How the target is doing; well where nothing is known yet.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn sync_health(&mut self, target: SyncTarget) -> Result<SyncHealth, StoreError> {
        Ok(self.target_row(target).await?.map_or(
            SyncHealth {
                rests_until: Timestamp::from_micros(0),
                rest_reason: None,
                error: None,
                faults: 0,
                last_success_at: None,
            },
            |row| row.health,
        ))
    }
}

impl Tx {
    /// Keeps how the target is doing, for all processes. Others may have called it meanwhile: what is kept here should be made from
    /// what [`ReadTx::sync_health`] says in this same transaction, or a success ends the rest that another process was told to take.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_sync_health(&mut self, target: SyncTarget, health: &SyncHealth) -> Result<(), StoreError> {
        self.add_target(target).await?;
        let statement = Statement::new(
            "UPDATE sync_targets SET rests_until = $2, rest_reason = $3, error = $4, faults = $5, last_success_at = $6
             WHERE target = $1",
        );
        let statement = statement
            .bind(target.name())
            .bind(health.rests_until.as_micros())
            .bind(health.rest_reason.map(RestReason::name))
            .bind(health.error.as_deref().map(cut_error))
            .bind(i64::from(health.faults))
            .bind(health.last_success_at.map(Timestamp::as_micros));
        self.execute(statement).await.map(drop)
    }

    /// Takes one call off the target's allowance. `Some` is the instant at which to ask again; nothing was taken then.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn take_sync_call(&mut self, target: SyncTarget) -> Result<Option<Timestamp>, StoreError> {
        self.add_target(target).await?;
        let Some(row) = self.target_row(target).await? else { return Err(StoreError::NotFound { what: "target" }) };
        match row.after_call(self.now()) {
            Ok(full_at) => self.set_calls_full_at(target, full_at).await.map(|()| None),
            Err(until) => Ok(Some(until)),
        }
    }

    pub(crate) async fn set_calls_full_at(&mut self, target: SyncTarget, full_at: Timestamp) -> Result<(), StoreError> {
        let statement = Statement::new("UPDATE sync_targets SET calls_full_at = $2 WHERE target = $1");
        self.execute(statement.bind(target.name()).bind(full_at.as_micros())).await.map(drop)
    }
}
