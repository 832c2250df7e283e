//! Keeps Workers KV up to date: one job compares the outbox and the rows of `sync_states` with what KV has
//! acknowledged, and acts.
//!
//! It takes no input. Every commit of a change wakes it; it also looks by itself. A round reads what changed, claims
//! keys that are due, reads their current state, sends it to KV, and releases the keys. No transaction is open during a
//! call to KV. Several processes on one database share the work by their claims, and a limit that the target set for
//! one of them applies to all. If a process dies its keys stay claimed until their lease expires; what it may have sent
//! late is sent again.
//!
//! What follows from a response is decided in `policy.rs`; where the value of a key comes from, in `load.rs`.

mod load;
mod policy;
mod push;
mod status;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use waypost_core::Timestamp;
use waypost_core::sync::SyncTarget;
use waypost_jobs::{BackOff, Chain, Switch, Waited};
use waypost_store::{Claimed, Store, StoreError};

use crate::kv::KvClient;

pub use status::{FaultCounts, Look, OutboxStatus, PENDING_AGE_S_MAX};

use policy::{LEASE_MS, batch_keys, until_ms};
use status::Notes;

/// Entries of the outbox, or links of a walk, that are taken in at once. While they are, nobody else writes to the
/// database.
const ADVANCE_ENTRIES: u32 = 5_000;
/// How long more changes are waited for after the first, in milliseconds.
const COALESCE_MS: u64 = 100;
/// The pause for each call of a round that left nothing due, in milliseconds: changes that go on and on make about
/// three calls a second.
const CALL_PAUSE_MS: u64 = 350;
/// The pause after a failure of the database: doubled each time from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long a call that is under way when the job is to end is waited for.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// Gives a number of at least 0 and less than 1, for jitter.
pub type Chance = Arc<dyn Fn() -> f64 + Send + Sync>;

/// How the job goes about it.
#[derive(Clone)]
pub struct OutboxOptions {
    /// How often it looks without being told to, in milliseconds.
    pub poll_ms: u64,
    /// Where jitter comes from.
    pub chance: Chance,
}

impl OutboxOptions {
    /// Looks so often, with jitter from the system's generator.
    pub fn new(poll_ms: u64) -> Self {
        Self { poll_ms, chance: Arc::new(system_chance) }
    }
}

impl std::fmt::Debug for OutboxOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboxOptions").field("poll_ms", &self.poll_ms).finish_non_exhaustive()
    }
}

/// The job. Shared by `Arc`.
#[derive(Debug)]
pub struct OutboxWorker {
    store: Store,
    kv: Arc<KvClient>,
    target: SyncTarget,
    options: OutboxOptions,
    switch: Switch,
    notes: Notes,
}

/// What comes after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// How long until the next round.
    pub ms: u64,
    /// Whether a change that is committed meanwhile ends it.
    pub ends_by_wake: bool,
}

impl OutboxWorker {
    /// The job for Workers KV. It does nothing until it is run.
    pub fn new(store: Store, kv: Arc<KvClient>, options: OutboxOptions) -> Self {
        Self {
            store,
            kv,
            target: SyncTarget::CloudflareKv,
            options,
            switch: Switch::default(),
            notes: Notes::default(),
        }
    }

    /// Says that there may be something to do.
    pub fn wake(&self) {
        self.switch.wake();
    }

    /// Ends the job: after the call that is under way, or in three seconds. Keys whose call had no answer by then are
    /// left to their lease, because it may still take effect.
    pub fn stop(&self) {
        self.switch.stop();
    }

    /// What the job has done and met since the start.
    pub fn status(&self) -> OutboxStatus {
        self.notes.status()
    }

    /// Which target the job tells.
    pub const fn target(&self) -> SyncTarget {
        self.target
    }

    /// Runs until [`OutboxWorker::stop`].
    pub async fn run(&self) {
        let (first, last) = BACK_OFF;
        let mut back_off = BackOff::new(first, last);
        while !self.is_stopping() {
            let pause = tokio::select! {
                outcome = AssertUnwindSafe(self.round()).catch_unwind() => self.note_round(outcome, &mut back_off),
                () = self.stopped_in_vain() => return,
            };
            match self.switch.pause(Duration::from_millis(pause.ms), pause.ends_by_wake).await {
                Waited::Stopped => return,
                Waited::Woken => tokio::time::sleep(Duration::from_millis(COALESCE_MS)).await,
                Waited::Elapsed => {}
            }
        }
    }

    /// One round: takes in what changed, and tells KV what is due. Gives when the next should be.
    ///
    /// # Errors
    /// Where the database fails. What was claimed waits for its lease to end.
    pub async fn round(&self) -> Result<Pause, StoreError> {
        let mut tx = self.store.read("sync_look").await?;
        let (work, health, now) = (tx.sync_work(self.target).await?, tx.sync_health(self.target).await?, tx.now());
        drop(tx);
        self.notes.see_behind(work.is_behind, now);
        let limit = batch_keys(health.faults);
        let is_behind = work.is_behind && self.advance(limit, now).await?;
        self.watch_age(now).await?;
        let is_due = work.is_behind || work.due_at.is_some_and(|due_at| due_at <= now);
        let pause =
            if is_due && !self.is_stopping() { self.claim(limit).await? } else { self.pause_until(now, work.due_at) };
        Ok(if is_behind { Pause { ms: 0, ends_by_wake: false } } else { pause })
    }

    /// Takes in as much as one batch has room for, but at least something. Gives whether there is more.
    async fn advance(&self, keys: u32, now: Timestamp) -> Result<bool, StoreError> {
        let mut taken = 0;
        loop {
            let mut tx = self.store.begin("sync_advance").await?;
            let advance = tx.advance_sync(self.target, ADVANCE_ENTRIES).await?;
            tx.commit().await?;
            self.notes.see_behind(!advance.is_current, now);
            taken += advance.keys;
            if advance.is_current || taken >= u64::from(keys) || self.is_stopping() {
                return Ok(!advance.is_current);
            }
        }
    }

    async fn claim(&self, limit: u32) -> Result<Pause, StoreError> {
        let mut tx = self.store.begin("sync_claim").await?;
        let now = tx.now();
        let claimed = tx.claim_sync(self.target, limit, LEASE_MS).await?;
        tx.commit().await?;
        match claimed {
            Claimed::Keys(claim) => {
                let is_full = claim.keys.len() >= limit as usize;
                let calls = self.push(claim).await?;
                let ms = if is_full { 0 } else { calls * CALL_PAUSE_MS };
                Ok(Pause { ms, ends_by_wake: false })
            }
            Claimed::Nothing { due_at } => Ok(self.pause_until(now, due_at)),
            // A rest may be ended by hand, so it is not slept through.
            Claimed::Wait { until } => Ok(self.pause_until(now, Some(until))),
        }
    }

    fn pause_until(&self, now: Timestamp, at: Option<Timestamp>) -> Pause {
        let ms = at.map_or(u64::MAX, |at| until_ms(now, at)).min(self.options.poll_ms.max(1));
        Pause { ms, ends_by_wake: true }
    }

    /// Keeps what became of a round, and logs when that changed.
    fn note_round(
        &self,
        outcome: Result<Result<Pause, StoreError>, Box<dyn std::any::Any + Send>>,
        back_off: &mut BackOff,
    ) -> Pause {
        let error = match outcome {
            Ok(Ok(pause)) => {
                if back_off.succeeded() {
                    tracing::info!(sync.target = self.target.name(), "links are being pushed to the target again");
                }
                self.notes.set_failing(None);
                return pause;
            }
            Ok(Err(error)) => Chain(&error).to_string(),
            Err(panic) => format!("the job panicked: {}", panic_text(&*panic)),
        };
        if back_off.failures() == 0 {
            tracing::error!(sync.target = self.target.name(), %error, "links cannot be pushed to the target; trying again");
        } else {
            tracing::debug!(sync.target = self.target.name(), %error, "links still cannot be pushed to the target");
        }
        self.notes.set_failing(Some(error));
        let ms = u64::try_from(back_off.failed().as_millis()).unwrap_or(u64::MAX);
        Pause { ms, ends_by_wake: false }
    }

    fn is_stopping(&self) -> bool {
        self.switch.is_stopped()
    }

    async fn stopped_in_vain(&self) {
        self.switch.stopped().await;
        tokio::time::sleep(STOP_WAIT).await;
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}

fn system_chance() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness there is no jitter.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
