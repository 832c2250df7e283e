//! Whether this instance can do its work.
//!
//! Nothing here waits for a database as long as a transaction may: whoever watches gives up earlier, and learns nothing then.

use std::time::Duration;

use serde::Serialize;
use waypost_store::{RestReason, StoreError};

use crate::app::App;
use crate::outbox::PENDING_AGE_S_MAX;
use crate::problem::Chain;

/// How long a database may take to answer before it is said not to.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(2);
/// What is said of it then.
const NO_ANSWER: &str = "the database has not answered within 2 seconds";

/// What `/readyz` tells those whose instance it is. Everybody else is told `ready`.
#[derive(Debug, Serialize)]
pub(crate) struct Readiness {
    /// Whether redirects work. A balancer goes by it, so it says nothing of the rest.
    pub(crate) ready: bool,
    /// Whether something is not well that should be looked at.
    pub(crate) degraded: bool,
    /// Something that must go on and has ended: the process ends, to be started again. Absent where all goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'static str>,
    pub(crate) checks: Checks,
}

#[derive(Debug, Serialize)]
pub(crate) struct Checks {
    pub(crate) store: StoreCheck,
    pub(crate) table: TableCheck,
    clicks: ClicksCheck,
    /// Absent where there is no target outside this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sync: Option<SyncCheck>,
}

#[derive(Debug, Serialize)]
pub(crate) struct StoreCheck {
    /// Whether the database answers and takes writes.
    pub(crate) ok: bool,
    /// Whether it takes writes, as the last one says, or one that was committed to find out.
    pub(crate) writable: bool,
    /// Why it is not well; absent where it is, or where it answers and takes no writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TableCheck {
    /// Whether the table has caught up since the start, is being kept current and is not damaged.
    pub(crate) ok: bool,
    /// The outbox sequence up to which the table is current.
    pub(crate) cursor: u64,
    /// Changes that it has not taken yet; `null` where the database cannot say.
    pub(crate) behind: Option<u64>,
    /// Links since the start that cannot be served as they are stored.
    pub(crate) refused: u64,
    /// Parts of links that are passed over; a metric, and no one's business here.
    #[serde(skip)]
    pub(crate) skipped: u64,
    /// Whether a link that is not in the table is known not to exist; it is 503 otherwise.
    pub(crate) complete: bool,
    /// What is wrong with the table's file, which is being filled anew; `null` where nothing is.
    pub(crate) damage: Option<String>,
    /// Damaged tables since the start that were filled anew.
    pub(crate) mended: u64,
}

/// How the counting of clicks is doing. What is wrong here makes the instance degraded: redirects and the API for links work,
/// and clicks wait in the spool, which no other instance could count.
#[derive(Debug, Serialize)]
struct ClicksCheck {
    /// Whether clicks are recorded and counted: the database answers and takes writes, the last attempt to count did not
    /// fail, and none is being lost.
    ok: bool,
    /// Whether the database takes writes, as the last one says, or one that was committed to find out.
    writable: bool,
    /// Clicks that wait to be counted.
    pending: u64,
    /// How long the oldest of them has waited, in seconds.
    pending_age_s: f64,
    /// Clicks lost since the start, also those that are not declared in the database yet.
    lost: u64,
    /// Why clicks are being lost now; `null` where they are not.
    losing: Option<String>,
    /// Why the last attempt to count failed; `null` where it did not.
    last_error: Option<String>,
    /// Why raw clicks are not deleted by what the clock shows; absent where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_held: Option<String>,
}

/// How pushing links to the target outside this process is doing. What is wrong there makes the instance degraded: it answers
/// redirects and takes changes, which wait for the target in the database.
#[derive(Debug, Serialize)]
pub(crate) struct SyncCheck {
    /// Whether the job works, the target is not refused by its configuration, and no change has waited for 5 minutes.
    pub(crate) ok: bool,
    pub(crate) target: &'static str,
    /// What is pending; `null` where the database cannot say.
    #[serde(flatten)]
    pub(crate) state: Option<SyncCheckState>,
    /// Why the last round of the job failed; `null` where it did not.
    last_error: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SyncCheckState {
    /// Keys that the target is to be told of.
    pub(crate) pending: u64,
    /// Keys that it is just being told of.
    pub(crate) syncing: u64,
    /// Keys that failed.
    pub(crate) failed: u64,
    /// How long the oldest of those that are not given up has waited, in seconds.
    pub(crate) pending_age_s: f64,
    /// Why the target is not called just now; `null` where it is.
    pub(crate) rest_reason: Option<&'static str>,
    /// What the last call met; `null` where it succeeded.
    error: Option<String>,
}

impl App {
    pub(crate) async fn readiness(&self) -> Readiness {
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
            skipped: self.sync.skipped(),
            complete: self.table.knows_all(),
            damage,
            mended: self.sync.mended(),
        };
        let ended = self.ended_job();
        let is_well = ended.is_none() && store.ok && table.ok && clicks.ok && sync.as_ref().is_none_or(|sync| sync.ok);
        Readiness { ready: self.redirects(), degraded: !is_well, ended, checks: Checks { store, table, clicks, sync } }
    }

    /// Whether links are redirected: the table was current once since the start, or is trusted where the database was away then.
    /// Without a database it goes on.
    pub(crate) fn redirects(&self) -> bool {
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
            state.pending_age_s <= PENDING_AGE_S_MAX as f64 && state.rest_reason != Some("configuration")
        };
        let state = state.ok().map(|look| SyncCheckState {
            pending: look.counts.pending,
            syncing: look.counts.syncing,
            failed: look.counts.failed,
            pending_age_s: look.pending_age_s,
            rest_reason: look.rest_reason.map(rest_name),
            error: look.error,
        });
        let ok = last_error.is_none() && state.as_ref().is_some_and(is_well);
        Some(SyncCheck { ok, target: outbox.target().name(), state, last_error })
    }

    async fn outbox_last(&self) -> Result<u64, StoreError> {
        self.store.read("readyz").await?.outbox_last().await
    }
}

/// What a database answers in time, or why it does not. What drivers say stays in the log: it may name hosts, users and files.
pub(crate) async fn answer<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
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

fn rest_name(reason: RestReason) -> &'static str {
    RestReason::NAMES.iter().find(|(_, named)| *named == reason).map_or("", |(name, _)| name)
}
