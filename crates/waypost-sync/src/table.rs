//! Keeps the link table up to date: one job compares the outbox with what the table contains, and acts.
//!
//! It takes no input. A request that committed a change wakes it and waits until the table's cursor has passed the
//! change ([`TableSync::wait_for_links`]); the job also looks by itself, because another process may have written.
//! Changes that were committed while it was writing go into the next batch together. It is the only writer of the
//! table.
//!
//! A request that creates links passes their records on ([`TableSync::hand_over`]), because reading them back takes
//! longer than everything else. They are written only if the table's cursor is directly before them, so the result is
//! the same.
//!
//! The store reads the current state, the table writes it, and the core knows what a record means.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use waypost_api::sync::FailedLink;
use waypost_core::{DomainSettings, SchemePolicy, Timestamp};
use waypost_jobs::{BackOff, Chain, Switch, Waited};
use waypost_store::{Domain, EdgeRecord, Engine, IDEMPOTENCY_HOURS, OutboxEntry, Store, StoreError, UnreadableLink};
use waypost_table::{Table, TableError};

use crate::compiled::{LeftOut, compile_records};
use crate::fresh::{FreshQueue, FreshRecords};
use crate::left_out::LeftOutLinks;
use crate::rebuild::rebuild;

/// Outbox entries taken at once. Records that were handed over come in whole transactions, so the last may go past it.
const BATCH_ENTRIES: u32 = 2_000;
/// Outbox entries kept behind the table's cursor, for tables of other processes on the same database that are slower.
const OUTBOX_KEPT: u64 = 200_000;
/// As many where no other process has the database. Targets outside this process are quick to read the outbox: what
/// they have yet to be sent is in their states.
const OUTBOX_KEPT_ALONE: u64 = 10_000;
/// How far the outbox grows beyond what is kept before it is trimmed.
const OUTBOX_TRIM_EVERY: u64 = 10_000;
/// How often idempotency keys that have had their day are removed.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
/// An empty table with more to read than this is filled from the links rather than from the outbox.
const REBUILD_ENTRIES_MIN: u64 = 20_000;
/// The least time between two fillings of tables that were damaged.
const MEND_EVERY: Duration = Duration::from_secs(60);
/// The pause after a failure: doubled each time from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// What of that pause a wake cannot cut short: a full disk is not asked a thousand times a second, and whoever changes
/// a link once the disk is well does not wait for the pause to end.
const BACK_OFF_LEAST: Duration = Duration::from_millis(250);

/// What the job has done so far, for readiness and for whoever waits.
#[derive(Debug)]
pub struct TableSync {
    store: Store,
    table: Arc<Table>,
    schemes: SchemePolicy,
    poll: Duration,
    switch: Switch,
    /// Records that need not be read from the store.
    fresh: FreshQueue,
    /// The highest outbox sequence that anyone waits for.
    wanted: AtomicU64,
    /// The table's cursor, once everything up to it can be looked up.
    cursor: watch::Sender<u64>,
    /// How often anyone asked for the domains to be read again.
    domains_asked: AtomicU64,
    /// Up to which of those it was done, and the domains.
    domains: watch::Sender<(u64, Arc<Vec<Domain>>)>,
    /// Whether the table has been current once since the start.
    caught_up: watch::Sender<bool>,
    /// Whether the last round failed.
    is_failing: AtomicBool,
    /// Whether the table is known to lack something, since a round that could not bring it in.
    is_behind: AtomicBool,
    /// Records since the start that cannot be served as they are stored.
    refused: AtomicU64,
    /// Those of which that is true now.
    left_out: LeftOutLinks,
    /// Parts of records that could not.
    skipped: AtomicU64,
    /// Damaged tables that were filled anew since the start.
    mended: AtomicU64,
    /// When that was last done. Touched by the job alone.
    last_mended: tokio::sync::Mutex<Option<Instant>>,
}

/// The table did not take a change in time. It is in the store, and the job goes on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSynced;

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    #[error("the changes could not be read")]
    Store(#[from] StoreError),
    #[error("the link table could not be written")]
    Table(#[from] TableError),
    #[error("the job's thread ended")]
    Join(#[from] tokio::task::JoinError),
}

impl TableSync {
    /// The job for this table. It does nothing until it is run; `poll_ms` is how often it looks without a wake, in
    /// milliseconds.
    pub fn new(store: Store, table: Arc<Table>, schemes: SchemePolicy, poll_ms: u64) -> Self {
        Self {
            cursor: watch::Sender::new(table.cursor()),
            store,
            table,
            schemes,
            poll: Duration::from_millis(poll_ms.max(1)),
            switch: Switch::default(),
            fresh: FreshQueue::default(),
            wanted: AtomicU64::new(0),
            domains_asked: AtomicU64::new(1),
            domains: watch::Sender::new((0, Arc::default())),
            caught_up: watch::Sender::new(false),
            is_failing: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            left_out: LeftOutLinks::default(),
            skipped: AtomicU64::new(0),
            mended: AtomicU64::new(0),
            last_mended: tokio::sync::Mutex::new(None),
        }
    }

    /// Takes in what a transaction made, in the order of commits.
    pub fn hand_over(&self, fresh: FreshRecords) {
        let newest = fresh.newest;
        self.fresh.push(fresh);
        self.want(newest);
    }

    /// Waits until the table holds everything up to this outbox sequence.
    pub async fn wait_for_links(&self, sequence: u64, wait_ms: u64) -> Result<(), NotSynced> {
        self.want(sequence);
        let waited = reached(self.cursor.subscribe(), |cursor| *cursor >= sequence, wait_ms).await;
        // Whoever asks for the link is not to be told that there is none.
        waited.inspect_err(|NotSynced| self.table.doubt())
    }

    fn want(&self, sequence: u64) {
        self.wanted.fetch_max(sequence, Ordering::SeqCst);
        self.switch.wake();
    }

    /// Has the domains read again and waits until the table holds them.
    pub async fn refresh_domains(&self, wait_ms: u64) -> Result<(), NotSynced> {
        let asked = self.domains_asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.switch.wake();
        reached(self.domains.subscribe(), |(done, _)| *done >= asked, wait_ms).await
    }

    /// Waits until the table has been current once.
    pub async fn wait_until_caught_up(&self, wait: Duration) -> Result<(), NotSynced> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        reached(self.caught_up.subscribe(), |caught_up| *caught_up, wait_ms).await
    }

    /// All domains of the instance, as last read.
    pub fn domains(&self) -> Arc<Vec<Domain>> {
        Arc::clone(&self.domains.borrow().1)
    }

    /// Whether the table was current once since the start.
    pub fn has_caught_up(&self) -> bool {
        *self.caught_up.borrow()
    }

    /// Whether the table was current once and the last round worked.
    pub fn is_well(&self) -> bool {
        *self.caught_up.borrow() && !self.is_failing.load(Ordering::SeqCst)
    }

    /// Records since the start that cannot be served as they are stored; their slugs keep what they led to.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Rules and other parts of records since the start that could not be compiled; their links do without.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::SeqCst)
    }

    /// The number of links that cannot be served as they are stored, as far as that is known, and the first of them.
    pub fn left_out(&self, links_max: usize) -> (u64, Vec<FailedLink>) {
        self.left_out.first(links_max)
    }

    fn count_left_out(&self, left_out: LeftOut) {
        self.refused.fetch_add(left_out.links.len() as u64, Ordering::SeqCst);
        self.skipped.fetch_add(left_out.skipped, Ordering::SeqCst);
        self.left_out.add(left_out.links);
    }

    /// Damaged tables since the start that were filled anew.
    pub fn mended(&self) -> u64 {
        self.mended.load(Ordering::SeqCst)
    }

    /// Ends the job after its current round.
    pub fn stop(&self) {
        self.switch.stop();
    }

    /// The job: runs until [`TableSync::stop`].
    pub async fn run(&self) {
        let (first, last) = BACK_OFF;
        let mut back_off = BackOff::new(first, last);
        let mut tick_due = Instant::now();
        let mut tidy_due = Instant::now() + TIDY_EVERY;
        loop {
            // After a failure nothing is taken for granted.
            let is_tick = back_off.failures() > 0 || Instant::now() >= tick_due;
            if is_tick {
                self.domains_asked.fetch_add(1, Ordering::SeqCst);
                tick_due = Instant::now() + self.poll;
            }
            let outcome = self.round(is_tick).await;
            let is_ok = outcome.is_ok();
            self.note(outcome);
            let waited = if is_ok {
                back_off.succeeded();
                if Instant::now() >= tidy_due {
                    self.tidy().await;
                    tidy_due = Instant::now() + TIDY_EVERY;
                }
                self.switch.pause(self.poll, true).await
            } else {
                self.pause_after_failure(back_off.failed()).await
            };
            if waited == Waited::Stopped {
                return;
            }
        }
    }

    /// Pauses; a wake ends what is left after the part of it that nothing cuts short.
    async fn pause_after_failure(&self, pause: Duration) -> Waited {
        match self.switch.pause(pause.min(BACK_OFF_LEAST), false).await {
            Waited::Stopped => Waited::Stopped,
            Waited::Woken | Waited::Elapsed => self.switch.pause(pause.saturating_sub(BACK_OFF_LEAST), true).await,
        }
    }

    /// Keeps what became of a round, and logs when that changed.
    fn note(&self, outcome: Result<(), SyncError>) {
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::SeqCst);
        self.judge_table(&outcome);
        match outcome {
            // The table has said what is wrong with it, and the next round fills it anew.
            Err(SyncError::Table(TableError::Damaged { .. })) => {}
            Err(error) if was_failing => tracing::debug!(error = %Chain(&error), "the link table is still behind"),
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the link table could not be brought up to date; trying again");
            }
            Ok(()) if was_failing => tracing::info!(cursor = self.table.cursor(), "the link table is up to date again"),
            Ok(()) => {}
        }
    }

    /// Whether a link that is not in the table is said not to exist. Not where a change is known that the table did not
    /// take, as on a full disk: that ends with the round that brings it in.
    fn judge_table(&self, outcome: &Result<(), SyncError>) {
        let lacks = match outcome {
            Ok(()) => false,
            Err(SyncError::Table(_) | SyncError::Join(_)) => true,
            Err(SyncError::Store(_)) => {
                self.is_behind.load(Ordering::SeqCst) || self.table.cursor() < self.wanted.load(Ordering::SeqCst)
            }
        };
        self.is_behind.store(lacks, Ordering::SeqCst);
        if lacks {
            self.table.doubt();
        } else if outcome.is_err() && !*self.caught_up.borrow() {
            // Nobody can say what the table lacks. Links of one that was complete once are more than none.
            if let Err(error) = self.table.trust() {
                tracing::error!(error = %Chain(&error), "the link table cannot be read");
            }
        }
    }

    async fn round(&self, is_tick: bool) -> Result<(), SyncError> {
        self.mend().await?;
        self.sync_domains().await?;
        self.sync_links(is_tick).await?;
        if !self.table.knows_all() {
            let table = Arc::clone(&self.table);
            tokio::task::spawn_blocking(move || table.confirm()).await??;
        }
        self.caught_up.send_replace(true);
        if is_tick { self.trim_outbox().await } else { Ok(()) }
    }

    /// Fills a damaged table anew, beside what of it verifies. Not over and over, where damage comes back at once.
    async fn mend(&self) -> Result<(), SyncError> {
        if self.table.damage().is_none() {
            return Ok(());
        }
        let is_due = |last: &Instant| last.elapsed() >= MEND_EVERY;
        let mut last_mended = self.last_mended.lock().await;
        if last_mended.as_ref().is_none_or(is_due) {
            self.rebuild().await?;
            *last_mended = Some(Instant::now());
            self.mended.fetch_add(1, Ordering::SeqCst);
            tracing::info!(cursor = self.table.cursor(), "the damaged link table was filled again");
        }
        Ok(())
    }

    /// Brings the domain settings into the table, where anyone asked since it was last done.
    async fn sync_domains(&self) -> Result<(), SyncError> {
        let asked = self.domains_asked.load(Ordering::SeqCst);
        if self.domains.borrow().0 >= asked {
            return Ok(());
        }
        let domains = self.store.read("sync_domains").await?.list_all_domains().await?;
        let settings: Vec<DomainSettings> = domains.iter().map(Domain::settings).collect();
        if self.table.borrow_domains().all() != settings {
            let is_another = is_another_default(self.table.borrow_domains().all(), &settings);
            if is_another {
                // Its links are in the table under its host. Those under the empty name are first, so that a process that dies
                // in between finds the same to do.
                self.rebuild().await?;
            }
            let table = Arc::clone(&self.table);
            tokio::task::spawn_blocking(move || table.set_domains(&settings)).await??;
        }
        self.domains.send_replace((asked, Arc::new(domains)));
        Ok(())
    }

    /// Brings the links into the table. On a tick it looks for changes that nobody here knows of, too.
    async fn sync_links(&self, is_tick: bool) -> Result<(), SyncError> {
        // Until the outbox has been read once, nobody knows that the table's cursor means this very store.
        let is_known = *self.caught_up.borrow();
        loop {
            let cursor = self.table.cursor();
            if is_known && let Some(fresh) = self.fresh.take(cursor, BATCH_ENTRIES as usize) {
                self.apply((fresh.records, Vec::new()), fresh.newest).await?;
                continue;
            }
            if !is_tick && cursor >= self.wanted.load(Ordering::SeqCst) {
                return Ok(());
            }
            let (entries, last) = match self.read_entries(cursor).await {
                Ok(read) => read,
                Err(SyncError::Store(StoreError::OutboxGap { first, last, .. })) => {
                    tracing::warn!(
                        cursor,
                        first,
                        last,
                        "the outbox does not continue at the link table: filling it again"
                    );
                    self.rebuild().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(newest) = entries.last().map(|entry| entry.sequence) else {
                self.cursor.send_replace(cursor);
                return Ok(());
            };
            if !is_known {
                self.table.doubt();
            }
            if cursor == 0 && last >= REBUILD_ENTRIES_MIN {
                self.rebuild().await?;
                continue;
            }
            // Read in a transaction of its own: it sees at least what the entries tell of, perhaps more.
            let read = self.store.read("sync_records").await?.edge_records(&entries).await?;
            self.apply((read.records, read.unreadable), newest).await?;
        }
    }

    /// The next entries after the cursor, and the newest sequence there is.
    async fn read_entries(&self, cursor: u64) -> Result<(Vec<OutboxEntry>, u64), SyncError> {
        let mut tx = self.store.read("sync_entries").await?;
        let entries = tx.outbox_after(cursor, BATCH_ENTRIES).await?;
        let last = if entries.is_empty() { cursor } else { tx.outbox_last().await? };
        Ok((entries, last))
    }

    async fn apply(
        &self,
        (records, unreadable): (Vec<EdgeRecord>, Vec<UnreadableLink>),
        newest: u64,
    ) -> Result<(), SyncError> {
        let (table, schemes) = (Arc::clone(&self.table), self.schemes.clone());
        self.left_out.forget(&records);
        let left_out = tokio::task::spawn_blocking(move || {
            let mut batch = compile_records(records, &unreadable, &schemes);
            batch.keep_held(&table);
            table.apply(&batch.changes(), newest).map(|_| batch.left_out)
        });
        self.count_left_out(left_out.await??);
        self.cursor.send_replace(newest);
        Ok(())
    }

    async fn rebuild(&self) -> Result<(), SyncError> {
        // Until the round's end: what is filled anew lacks something.
        self.table.doubt();
        let (left_out, cursor) = rebuild(&self.store, &self.table, &self.schemes).await?;
        self.left_out.forget_all();
        self.count_left_out(left_out);
        self.cursor.send_replace(cursor);
        Ok(())
    }

    /// Removes what nobody will ask for again. Can wait for the next time where it fails.
    async fn tidy(&self) {
        let before = self.store.now().as_micros() - IDEMPOTENCY_HOURS * 3_600_000_000;
        if let Err(error) = self.store.trim_idempotency_keys(Timestamp::from_micros(before)).await {
            tracing::warn!(error = %Chain(&error), "old idempotency keys were not deleted");
        }
    }

    async fn trim_outbox(&self) -> Result<(), SyncError> {
        let kept = match self.store.engine() {
            Engine::Sqlite => OUTBOX_KEPT_ALONE,
            Engine::Postgres => OUTBOX_KEPT,
        };
        let below = self.table.cursor().saturating_sub(kept);
        if below == 0 {
            return Ok(());
        }
        let first = self.store.read("outbox_first").await?.outbox_first().await?;
        if below > first + OUTBOX_TRIM_EVERY {
            // Edits that wait for the table go first; the rest is for another time.
            let nobody_waits = || self.table.cursor() >= self.wanted.load(Ordering::SeqCst);
            let trimmed = self.store.trim_outbox(below, nobody_waits).await?;
            tracing::debug!(entries = trimmed, "outbox trimmed");
        }
        Ok(())
    }
}

/// Whether a domain that the table holds beside the default one is the default one now.
fn is_another_default(held: &[DomainSettings], now: &[DomainSettings]) -> bool {
    let default = now.iter().find(|domain| domain.is_default);
    default.is_some_and(|default| held.iter().any(|domain| !domain.is_default && domain.host == default.host))
}

async fn reached<T>(
    mut receiver: watch::Receiver<T>,
    is_reached: impl FnMut(&T) -> bool,
    wait_ms: u64,
) -> Result<(), NotSynced> {
    match timeout(Duration::from_millis(wait_ms), receiver.wait_for(is_reached)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(NotSynced),
    }
}
