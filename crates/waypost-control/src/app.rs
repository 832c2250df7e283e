//! The control plane as one value: the store, the link table, the settings, and the jobs that keep the table and
//! Workers KV up to date. Use cases are methods of [`App`], each in the file of its noun; handlers call nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use waypost_api::ProblemCode;
use waypost_clicks::ClickStore;
use waypost_core::id::AccountId;
use waypost_core::sync::SyncTarget;
use waypost_core::webhook::WebhookKeys;
use waypost_core::{Hostname, SchemePolicy};
use waypost_ingest::Clicks;
use waypost_jobs::{Job, Jobs};
use waypost_spool::SpoolStats;
use waypost_store::{Domain, Setup, Store, StoreError};
use waypost_sync::{KvClient, KvSetupError, NotSynced, OutboxOptions, OutboxStatus, OutboxWorker, TableSync, Verifier};
use waypost_table::{Table, TableError};

use crate::access::throttle::{AddressKey, Throttle};
use crate::clicks::feeds::Feeds;
use crate::links::create_queue::CreateQueue;
use crate::links::own_hosts::OwnHosts;
use crate::problem::Problem;
use crate::settings::ControlSettings;
use crate::unlocking::limits::UnlockLimits;
use crate::unlocking::password::Passwords;
use crate::webhooks::WebhookCounts;

/// The setting of the database that holds the public URL of the last start, for commands that are not told one.
pub const PUBLIC_URL_SETTING: &str = "public_url";
/// Notes of the use of api keys that are written at one time.
const USE_NOTES_MAX: usize = 4;
/// Previews that read from the database at one time: fewer than it has connections.
const PREVIEWS_AT_ONCE: usize = 2;
/// QR codes that are drawn at one time: each keeps a core busy, and an uploaded logo takes up to 32 MB while it is read.
const DRAWINGS_AT_ONCE: usize = 2;

/// The control plane. Shared by `Arc`.
#[derive(Debug)]
pub struct App {
    pub(crate) store: Store,
    pub(crate) table: Arc<Table>,
    pub(crate) clicks: Arc<Clicks>,
    pub(crate) feeds: Feeds,
    /// Counts changes of API keys, for answers that go on only while their key opens.
    pub(crate) key_changes: watch::Sender<u64>,
    pub(crate) sync: Arc<TableSync>,
    pub(crate) verifier: Verifier,
    /// The job that keeps Workers KV current, where there is one.
    pub(crate) outbox: Option<Arc<OutboxWorker>>,
    kv: Option<Arc<KvClient>>,
    pub(crate) settings: ControlSettings,
    pub(crate) setup: Setup,
    pub(crate) create_queue: CreateQueue,
    pub(crate) passwords: Passwords,
    /// Room for notes of the use of api keys that are being written.
    pub(crate) use_notes: Arc<Semaphore>,
    /// Turns of previews.
    pub(crate) previews: Semaphore,
    /// Turns of QR codes.
    pub(crate) drawings: Semaphore,
    pub(crate) anonymous_throttle: Option<Throttle<AddressKey>>,
    pub(crate) api_throttle: Option<Throttle<String>>,
    pub(crate) unlock_limits: UnlockLimits,
    /// What became of signed deliveries.
    pub(crate) webhooks: WebhookCounts,
    jobs: Jobs,
}

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What every instance has could not be read or made.
    #[error("the database could not be prepared")]
    Store(#[from] StoreError),
    /// The link table has the links of another database and could not be emptied.
    #[error("the link table could not be taken over from another database")]
    Table(#[from] TableError),
    /// Work on another thread panicked.
    #[error("the link table could not be prepared")]
    Join(#[from] tokio::task::JoinError),
    /// Workers KV cannot be called as it is configured.
    #[error("links cannot be pushed to Workers KV")]
    Kv(#[from] KvSetupError),
}

impl App {
    /// Prepares the database, starts the jobs that keep the table and Workers KV current, and returns at once: until
    /// the table has caught up `/readyz` says so, and [`App::wait_until_ready`] waits. Must be called within a Tokio
    /// runtime. Whoever started `clicks` stops them, after this.
    ///
    /// # Errors
    /// [`StartError::Store`] where the database fails, or another domain has the public URL's host and cannot become
    /// the default one; [`StartError::Table`] where the table has another database's links and cannot be emptied;
    /// [`StartError::Kv`] where the settings of Workers KV cannot be used.
    pub async fn start(
        store: Store,
        table: Arc<Table>,
        clicks: Arc<Clicks>,
        settings: ControlSettings,
    ) -> Result<Arc<Self>, StartError> {
        let host = settings.public_url.host().clone();
        let kv = settings.kv.as_ref().map(KvClient::new).transpose()?.map(Arc::new);
        let mut tx = store.begin("init").await?;
        let setup = tx.init(&host).await?;
        if setup.renamed_from.is_some() {
            // Every record of the default domain names its host.
            tx.refill_sync(SyncTarget::CloudflareKv).await?;
        }
        // In this transaction, so that a start that is refused leaves the one that worked.
        tx.set_setting(PUBLIC_URL_SETTING, settings.public_url.origin()).await?;
        tx.commit().await?;
        clicks.set_default_host(&host);
        if let Some(old) = &setup.renamed_from {
            tracing::warn!(domain.host = %host, old_host = %old, "the default domain has another host than before");
        }
        let (of_table, instance_id) = (Arc::clone(&table), setup.instance_id.clone());
        tokio::task::spawn_blocking(move || of_table.belong_to(&instance_id)).await??;
        let sync = TableSync::new(store.clone(), Arc::clone(&table), settings.schemes.clone(), settings.sync_poll_ms);
        let sync = Arc::new(sync);
        let outbox = kv
            .clone()
            .map(|kv| Arc::new(OutboxWorker::new(store.clone(), kv, OutboxOptions::new(settings.sync_poll_ms))));
        let jobs = Jobs::default();
        jobs.start("the job that keeps the link table current", {
            let sync = Arc::clone(&sync);
            async move { sync.run().await }
        });
        if let Some(outbox) = outbox.clone() {
            jobs.start("the job that keeps Workers KV current", async move { outbox.run().await });
        }
        Ok(Arc::new(Self {
            anonymous_throttle: settings.anonymous_rate.map(Throttle::new),
            api_throttle: settings.api_rate.map(Throttle::new),
            unlock_limits: UnlockLimits::new(),
            create_queue: CreateQueue::start(store.clone(), Arc::clone(&sync)),
            passwords: Passwords::new(),
            use_notes: Arc::new(Semaphore::new(USE_NOTES_MAX)),
            previews: Semaphore::new(PREVIEWS_AT_ONCE),
            drawings: Semaphore::new(DRAWINGS_AT_ONCE),
            webhooks: WebhookCounts::default(),
            jobs,
            outbox,
            kv,
            store,
            table,
            clicks,
            feeds: Feeds::new(),
            key_changes: watch::Sender::new(0),
            sync,
            verifier: Verifier::new(),
            settings,
            setup,
        }))
    }

    /// Waits until the table has caught up with the store. `false` where it has not within this time.
    pub async fn wait_until_ready(&self, wait: Duration) -> bool {
        self.sync.wait_until_caught_up(wait).await.is_ok()
    }

    /// What has ended although it must not before [`App::stop`], of this and of the clicks: then something is not done
    /// any more, and only a new start does it again.
    pub fn ended_job(&self) -> Option<&'static str> {
        let queue = || self.create_queue.has_ended().then_some("the job that creates links");
        self.jobs.ended().or_else(queue).or_else(|| self.clicks.ended_job())
    }

    /// Ends the jobs, having let them finish what they are writing, and all live feeds. Requests that change links fail
    /// from then on.
    pub async fn stop(&self) {
        self.close_feeds();
        self.verifier.stop();
        self.sync.stop();
        if let Some(outbox) = &self.outbox {
            outbox.stop();
        }
        for Job { name, task } in self.jobs.take() {
            if let Err(error) = task.await {
                tracing::error!(%error, "{name} ended unexpectedly");
            }
        }
    }

    /// The clicks database.
    pub(crate) fn click_store(&self) -> &ClickStore {
        self.clicks.store()
    }

    /// The clicks of this instance.
    pub const fn clicks(&self) -> &Arc<Clicks> {
        &self.clicks
    }

    /// What the job that keeps Workers KV current has done, where there is one.
    pub fn outbox_status(&self) -> Option<OutboxStatus> {
        self.outbox.as_ref().map(|outbox| outbox.status())
    }

    /// How the spool of clicks is doing; `None` where this instance has none.
    pub fn spool_stats(&self) -> Option<SpoolStats> {
        self.settings.spool_stats.as_ref().map(|read| read())
    }

    /// Rules and other parts of links since the start that cannot be followed, so that their links do without.
    pub fn skipped_parts(&self) -> u64 {
        self.sync.skipped()
    }

    /// Live feeds that are open.
    pub fn live_feeds(&self) -> usize {
        self.feeds.count()
    }

    /// The keys that senders of signed deliveries may sign with.
    pub const fn webhook_keys(&self) -> &WebhookKeys {
        &self.settings.webhook_keys
    }

    /// Whether this is the origin, as browsers write it, of a domain of this instance.
    pub fn is_own_origin(&self, origin: &str) -> bool {
        let is_its = |domain: &Domain| self.short_url(domain.host.as_str(), "") == format!("{origin}/");
        self.settings.public_url.origin() == origin || self.sync.domains().iter().any(is_its)
    }

    /// The client of Workers KV, where links are pushed to it.
    pub const fn kv(&self) -> Option<&Arc<KvClient>> {
        self.kv.as_ref()
    }

    /// Tells the job that keeps Workers KV current that there is something to do. It looks by itself, too.
    pub(crate) fn wake_outbox(&self) {
        if let Some(outbox) = &self.outbox {
            outbox.wake();
        }
    }

    /// Waits until the edge of this process has everything up to this outbox sequence. Workers KV is told, and not
    /// waited for.
    pub(crate) async fn wait_for_edge(&self, sequence: u64) -> Result<(), Problem> {
        self.wake_outbox();
        let synced = self.sync.wait_for_links(sequence, self.settings.sync_wait_ms).await;
        synced.map_err(not_at_edge)
    }

    /// Waits until the edge has the domains as they are now.
    pub(crate) async fn refresh_edge_domains(&self) -> Result<(), Problem> {
        self.sync.refresh_domains(self.settings.sync_wait_ms).await.map_err(not_at_edge)
    }

    /// The domain with this host, the default domain where none is named, if links of this account may live there.
    pub(crate) async fn domain_for(&self, account_id: &AccountId, host: Option<&Hostname>) -> Option<Domain> {
        let Some(host) = host else { return Some(self.default_domain()) };
        if let Some(domain) = self.known_domain(account_id, host) {
            return Some(domain);
        }
        // Another process may have made it just now.
        self.sync.refresh_domains(self.settings.sync_wait_ms).await.ok()?;
        self.known_domain(account_id, host)
    }

    /// The domain of links that name none, as last read.
    pub(crate) fn default_domain(&self) -> Domain {
        let known = self.sync.domains().iter().find(|domain| domain.is_default).cloned();
        known.unwrap_or_else(|| self.setup.default_domain.clone())
    }

    fn known_domain(&self, account_id: &AccountId, host: &Hostname) -> Option<Domain> {
        let is_open = |domain: &&Domain| domain.account_id.as_ref().is_none_or(|owner| owner == account_id);
        self.sync.domains().iter().filter(is_open).find(|domain| domain.host == *host).cloned()
    }

    pub(crate) fn short_url(&self, host: &str, slug: &str) -> String {
        self.settings.public_url.short_url(host, slug)
    }

    pub(crate) fn own_hosts(&self) -> OwnHosts<'_> {
        OwnHosts::new(&self.settings.public_url, self.sync.domains())
    }

    pub(crate) const fn schemes(&self) -> &SchemePolicy {
        &self.settings.schemes
    }
}

/// Now, for throttles.
pub(crate) fn monotonic_now() -> Instant {
    Instant::now()
}

fn not_at_edge(_: NotSynced) -> Problem {
    Problem::new(ProblemCode::NotAtEdge, "saved, but not yet at the edge").retry_after(5)
}
