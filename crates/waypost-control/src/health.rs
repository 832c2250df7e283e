//! Whether this instance can do its work.

use waypost_api::health::{Checks, ClicksCheck, Readiness, StoreCheck, SyncCheck, SyncCheckState, TableCheck};
use waypost_core::sync::RestReason;
use waypost_jobs::Chain;
use waypost_sync::PENDING_AGE_S_MAX;

use crate::app::App;

impl App {
    /// How everything is doing. Asks the databases.
    pub async fn readiness(&self) -> Readiness {
        let (last, writable, clicks, sync) =
            tokio::join!(self.outbox_last(), self.store.is_writable(), self.clicks_check(), self.sync_check());
        let (cursor, damage) = (self.table.cursor(), self.table.damage());
        let store = StoreCheck { ok: last.is_some() && writable, writable };
        let table = TableCheck {
            ok: self.sync.is_well() && damage.is_none(),
            cursor,
            behind: last.map(|last| last.saturating_sub(cursor)),
            refused: self.sync.refused(),
            complete: self.table.knows_all(),
            damage,
            mended: self.sync.mended(),
        };
        let is_well = store.ok && table.ok && clicks.ok && sync.as_ref().is_none_or(|sync| sync.ok);
        Readiness { ready: self.redirects(), degraded: !is_well, checks: Checks { store, table, clicks, sync } }
    }

    /// Whether links are redirected: the table was current once since the start, or is trusted where the database was away then.
    /// Without a database it goes on.
    pub fn redirects(&self) -> bool {
        self.sync.has_caught_up() || self.table.knows_all()
    }

    async fn clicks_check(&self) -> ClicksCheck {
        let (ping, writable) = tokio::join!(self.click_store().ping(), self.click_store().is_writable());
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
            last_error: status.last_error.or_else(|| ping.err().map(|error| error.to_string())),
            retention_held: status.retention_held,
        }
    }

    async fn sync_check(&self) -> Option<SyncCheck> {
        let outbox = self.outbox.as_ref()?;
        let state = outbox.look().await;
        let state = state.inspect_err(|error| tracing::warn!(error = %Chain(error), "the database does not answer"));
        let last_error = outbox.status().last_error;
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

    async fn outbox_last(&self) -> Option<u64> {
        let read = async { self.store.read("readyz").await?.outbox_last().await };
        read.await.inspect_err(|error| tracing::warn!(error = %Chain(error), "the database does not answer")).ok()
    }
}
