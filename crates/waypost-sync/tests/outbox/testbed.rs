//! A store, a stand-in for Workers KV and the job between them, all on one clock that tests move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use waypost_core::sync::SyncTarget;
use waypost_core::{Hostname, LinkRecord, Slug, Timestamp};
use waypost_store::{
    Clock, Link, LinkChange, NewDomain, NewLink, Setup, SlugChoice, Store, StoreOptions, SyncCounts, SyncHealth,
    SyncKey, SyncState,
};
use waypost_sync::{KvClient, KvLimits, KvSettings, OutboxOptions, OutboxWorker, Secret};
use waypost_testkit::kv_api::{ACCOUNT, KvApi, NAMESPACE, TOKEN};
use waypost_testkit::postgres::TestDatabase;

/// When a testbed's clock begins: 2026-01-15T10:30:00Z, in microseconds.
const BEGIN_US: i64 = 1_768_473_000_000_000;
pub(crate) const TARGET: SyncTarget = SyncTarget::CloudflareKv;

/// What keeps the database there while the test runs.
enum Place {
    Folder(#[allow(dead_code)] tempfile::TempDir),
    Database(TestDatabase),
}

pub(crate) struct Testbed {
    pub(crate) store: Store,
    pub(crate) setup: Setup,
    pub(crate) api: KvApi,
    pub(crate) clock: MovedClock,
    address: String,
    place: Place,
}

/// A clock that stands still unless it is moved.
#[derive(Clone)]
pub(crate) struct MovedClock(Arc<AtomicI64>);

impl MovedClock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(BEGIN_US)))
    }

    pub(crate) fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(i64::try_from(ms).unwrap() * 1_000, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    /// Milliseconds since the testbed began.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from((self.now().as_micros() - BEGIN_US) / 1_000).unwrap()
    }

    fn store_options(&self) -> StoreOptions {
        let clock = self.clone();
        StoreOptions { clock: Clock::new(move || clock.now()), wait_ms: 30_000, ..StoreOptions::default() }
    }
}

pub(crate) fn kv_settings(api: &KvApi) -> KvSettings {
    KvSettings {
        api_url: api.url(),
        account_id: ACCOUNT.to_owned(),
        namespace_id: NAMESPACE.to_owned(),
        api_token: Secret::new(TOKEN.to_owned()),
    }
}

/// Longer than a debug build takes for anything here.
pub(crate) const PATIENT: KvLimits = KvLimits { connect_ms: 5_000, call_ms: 30_000 };
/// For calls that are to run out of time, most of them.
pub(crate) const BRIEF: KvLimits = KvLimits { connect_ms: 100, call_ms: 100 };
/// For calls of which some are to run out of time.
pub(crate) const HASTY: KvLimits = KvLimits { connect_ms: 300, call_ms: 300 };

impl Testbed {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("waypost.db").display().to_string();
        Self::open(address, Place::Folder(folder)).await
    }

    /// `None` where the run was told to skip PostgreSQL.
    pub(crate) async fn postgres() -> Option<Self> {
        let database = tokio::task::spawn_blocking(waypost_testkit::postgres::test_database).await.unwrap()?;
        Some(Self::open(database.url().to_owned(), Place::Database(database)).await)
    }

    async fn open(address: String, place: Place) -> Self {
        let clock = MovedClock::new();
        let store = Store::open(&address, clock.store_options()).await.unwrap();
        let mut tx = store.begin("init").await.unwrap();
        let setup = tx.init(&Hostname::parse("go.example").unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        let api = KvApi::start().unwrap();
        let of_api = clock.clone();
        api.set_clock(move || of_api.elapsed_ms());
        Self { store, setup, api, clock, address, place }
    }

    /// Runs SQL text on PostgreSQL past the store.
    pub(crate) async fn db_execute(&self, sql: &str) {
        let Place::Database(database) = &self.place else { panic!("only for PostgreSQL") };
        database.execute(sql).unwrap();
    }

    /// The job as one process has it.
    pub(crate) fn worker(&self) -> OutboxWorker {
        self.worker_with(self.store.clone(), PATIENT)
    }

    pub(crate) fn worker_with(&self, store: Store, limits: KvLimits) -> OutboxWorker {
        let kv = Arc::new(KvClient::with_limits(&kv_settings(&self.api), limits).unwrap());
        OutboxWorker::new(store, kv, OutboxOptions { poll_ms: 600_000, chance: Arc::new(|| 0.999) })
    }

    /// A second store on the same database, as another process would have.
    pub(crate) async fn second_store(&self) -> Store {
        Store::open(&self.address, self.clock.store_options()).await.unwrap()
    }

    pub(crate) fn new_link(&self, slug: &str, destination: &str) -> NewLink<'static> {
        NewLink {
            account_id: self.setup.default_account.account_id.clone(),
            domain_id: self.setup.default_domain.domain_id.clone(),
            slug: SlugChoice::Chosen(Slug::parse(slug).unwrap()),
            record: LinkRecord::from_url(destination),
            dedupe_key: None,
            created_at: None,
        }
    }

    pub(crate) async fn create(&self, slug: &str) -> Link {
        let mut tx = self.store.begin("create").await.unwrap();
        let new = self.new_link(slug, &format!("https://example.com/{slug}"));
        let link = tx.create_link(&new, None).await.unwrap();
        tx.commit().await.unwrap();
        link
    }

    /// Makes links `{prefix}-{number}`.
    pub(crate) async fn create_many(&self, prefix: &str, count: usize) {
        let mut tx = self.store.begin("create_many").await.unwrap();
        let numbers: Vec<usize> = (0..count).collect();
        for numbers in numbers.chunks(1_000) {
            let link = |number: &usize| {
                self.new_link(&format!("{prefix}-{number}"), &format!("https://example.com/{prefix}/{number}"))
            };
            let links: Vec<_> = numbers.iter().map(link).collect();
            tx.create_links(&links, None).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Changes where a link leads.
    pub(crate) async fn edit(&self, slug: &str, destination: &str) {
        let mut tx = self.store.begin("edit").await.unwrap();
        let link = tx.get_link_by_slug(&self.setup.default_domain.domain_id, slug).await.unwrap().unwrap();
        let record = LinkRecord { destination_url: destination.to_owned(), ..link.record };
        let change = LinkChange {
            account_id: &link.account_id,
            link_id: &link.link_id,
            expected_version: None,
            record: &record,
            changed_by: None,
        };
        tx.update_link(&change).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn delete(&self, slug: &str) {
        let mut tx = self.store.begin("delete").await.unwrap();
        let link = tx.get_link_by_slug(&self.setup.default_domain.domain_id, slug).await.unwrap().unwrap();
        tx.delete_link(&link.account_id, &link.link_id, None, None).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn add_domain(&self, host: &str) {
        let mut tx = self.store.begin("domain").await.unwrap();
        let new = NewDomain {
            account_id: None,
            host: Hostname::parse(host).unwrap(),
            case_insensitive: false,
            root_url: None,
        };
        tx.create_domain(&new).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) fn key(&self, slug: &str) -> SyncKey {
        SyncKey { domain_id: self.setup.default_domain.domain_id.clone(), slug: slug.to_owned() }
    }

    pub(crate) async fn state(&self, slug: &str) -> Option<SyncState> {
        self.store.read("state").await.unwrap().sync_state(TARGET, &self.key(slug)).await.unwrap()
    }

    pub(crate) async fn counts(&self) -> SyncCounts {
        self.store.read("counts").await.unwrap().count_sync_states(TARGET, true).await.unwrap()
    }

    pub(crate) async fn health(&self) -> SyncHealth {
        self.store.read("health").await.unwrap().sync_health(TARGET).await.unwrap()
    }

    /// Lets the job run for this time on the moved clock.
    pub(crate) async fn run_for(&self, worker: &OutboxWorker, ms: u64) {
        let until_ms = self.clock.elapsed_ms() + ms;
        loop {
            let pause = worker.round().await.unwrap();
            let left = until_ms.saturating_sub(self.clock.elapsed_ms());
            if left == 0 {
                return;
            }
            self.clock.advance_ms(pause.ms.clamp(1, left));
        }
    }

    /// Lets the job run until nothing is pending, and gives how long that took on the moved clock.
    ///
    /// Panics where it takes longer than this.
    pub(crate) async fn run_until_synced(&self, worker: &OutboxWorker, most_ms: u64) -> u64 {
        let began_ms = self.clock.elapsed_ms();
        loop {
            let pause = worker.round().await.unwrap();
            let took_ms = self.clock.elapsed_ms() - began_ms;
            if self.is_synced().await {
                return took_ms;
            }
            assert!(took_ms < most_ms, "still pending after {took_ms} ms: {:?}", self.counts().await);
            self.clock.advance_ms(pause.ms.clamp(1, 1_000));
        }
    }

    pub(crate) async fn is_synced(&self) -> bool {
        let mut tx = self.store.read("is_synced").await.unwrap();
        let (work, counts) = (tx.sync_work(TARGET).await.unwrap(), tx.count_sync_states(TARGET, false).await.unwrap());
        !work.is_behind && work.due_at.is_none() && counts.pending + counts.syncing == 0
    }

    /// What KV should hold of the default domain: destinations by slug.
    pub(crate) async fn truth(&self) -> BTreeMap<String, (String, u64)> {
        let mut tx = self.store.read("truth").await.unwrap();
        let mut truth = BTreeMap::new();
        let mut after = None;
        loop {
            let page = tx.edge_records_page(after.as_ref(), 5_000).await.unwrap();
            for record in page.records {
                let link = record.record.unwrap();
                truth.insert(record.slug, (link.destination_url, record.version));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return truth,
            }
        }
    }

    /// What KV holds: destinations and versions by key.
    pub(crate) fn held(&self) -> BTreeMap<String, (String, u64)> {
        let read = |(key, stored): (String, waypost_testkit::kv_api::Stored)| {
            let record: LinkRecord = serde_json::from_str(&stored.value).unwrap();
            let version = stored.metadata.unwrap()["version"].as_u64().unwrap();
            assert_eq!(version, record.version);
            (key, (record.destination_url, version))
        };
        self.api.values().into_iter().map(read).collect()
    }

    pub(crate) async fn assert_converged(&self) {
        assert_eq!(self.held(), self.truth().await);
    }
}
