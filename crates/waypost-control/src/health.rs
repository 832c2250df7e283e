//! Whether this instance can do its work.
//!
//! No check waits for a database as long as a transaction may: monitoring gives up earlier, and would learn nothing.

use std::time::Duration;

use waypost_api::health::{Checks, ClicksCheck, Readiness, StoreCheck, SyncCheck, SyncCheckState, TableCheck};
use waypost_core::sync::RestReason;
use waypost_jobs::Chain;
use waypost_store::StoreError;
use waypost_sync::PENDING_AGE_S_MAX;

use crate::app::App;

/// How long a database may take to answer before it is said not to.
pub const ANSWER_MAX: Duration = Duration::from_secs(2);
/// What is said of it then.
const NO_ANSWER: &str = "the database has not answered within 2 seconds";

impl App {
    /// How everything is doing. Asks the databases.
    pub async fn readiness(&self) -> Readiness {
        let (last, writable, clicks, sync) = tokio::join!(
            answer(self.outbox_last()),
            is_yes(self.store.is_writable()),
            self.clicks_check(),
            self.sync_check()
        );
        let (cursor, damage) = (self.table.cursor(), self.table.damage());
        let store = StoreCheck { ok: last.is_ok() && writable, writable, error: last.as_ref().err().cloned() };
        let last = last.ok();
        let table = TableCheck {
            ok: self.sync.is_well() && damage.is_none(),
            cursor,
            behind: last.map(|last| last.saturating_sub(cursor)),
            refused: self.sync.refused(),
            complete: self.table.knows_all(),
            damage,
            mended: self.sync.mended(),
        };
        let ended = self.ended_job().map(str::to_owned);
        let is_well = ended.is_none() && store.ok && table.ok && clicks.ok && sync.as_ref().is_none_or(|sync| sync.ok);
        Readiness { ready: self.redirects(), degraded: !is_well, ended, checks: Checks { store, table, clicks, sync } }
    }

    /// Whether links are redirected: the table was current once since the start, or is trusted where the database was
    /// away then. Without a database it goes on.
    pub fn redirects(&self) -> bool {
        self.sync.has_caught_up() || self.table.knows_all()
    }

    async fn clicks_check(&self) -> ClicksCheck {
        let (ping, writable) =
            tokio::join!(answer(self.click_store().ping()), is_yes(self.click_store().is_writable()));
        // The ingest knows what it has seen; the spool knows also what has come since, and before the first look.
        let spool = self.settings.spool_stats.as_ref().map(|read| read()).unwrap_or_default();
        let status = self.clicks.status();
        ClicksCheck {
            ok: ping.is_ok() && writable && !status.is_failing && spool.losing.is_none(),
            writable,
            pending: status.pending.max(spool.pending),
            pending_age_s: status.pending_age_s,
            lost: status.lost_by_now(&spool),
            losing: spool.losing.map(|no_room| no_room.to_string()),
            last_error: status.last_error.or_else(|| ping.err()),
            retention_held: status.retention_held,
        }
    }

    async fn sync_check(&self) -> Option<SyncCheck> {
        let outbox = self.outbox.as_ref()?;
        let state = answer(outbox.look()).await;
        let last_error = outbox.status().last_error.or_else(|| state.as_ref().err().cloned());
        let is_well = |state: &SyncCheckState| {
            state.pending_age_s <= PENDING_AGE_S_MAX as f64 && state.rest_reason != Some(RestReason::Configuration)
        };
        let state = state.ok().map(|look| SyncCheckState {
            pending: look.counts.pending,
            syncing: look.counts.syncing,
            failed: look.counts.failed,
            pending_age_s: look.pending_age_s,
            rest_reason: look.rest_reason,
            error: look.error,
        });
        let ok = last_error.is_none() && state.as_ref().is_some_and(is_well);
        Some(SyncCheck { ok, target: outbox.target(), state, last_error })
    }

    async fn outbox_last(&self) -> Result<u64, StoreError> {
        self.store.read("readyz").await?.outbox_last().await
    }
}

/// What a database answers in time, or why it does not. What drivers say stays in the log: it may name hosts, users and
/// files.
async fn answer<T, E: std::error::Error>(work: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_MAX, work).await {
        Ok(Ok(answered)) => Ok(answered),
        Ok(Err(error)) => {
            tracing::warn!(error = %Chain(&error), "the database does not answer");
            Err(error.to_string())
        }
        Err(_) => {
            tracing::warn!("{NO_ANSWER}");
            Err(NO_ANSWER.to_owned())
        }
    }
}

/// Whether the answer is yes, and comes in time.
async fn is_yes(work: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(ANSWER_MAX, work).await.unwrap_or(false)
}
