//! A simulation of several processes that push to one target: claims, pauses past the lease, faults, lost answers, deaths, late answers,
//! edits and deletions, in an order that a seed draws.
//!
//! The target is a map that keeps what was written last, as Workers KV does. A seed's life takes place in one transaction, whose time is
//! moved, and which is never committed: so thousands of them cost no sync of a disk. That commits are what they should be is shown in
//! `tests/store/sync`.

use std::collections::{BTreeMap, HashMap};

use waypost_core::sync::{SyncStatus, SyncTarget};
use waypost_core::{Hostname, LinkRecord, Slug, Timestamp};
use waypost_testkit::random::Random;

use crate::{
    Claim, Claimed, LinkChange, NewLink, Outcome, Settled, Setup, SlugChoice, Store, StoreOptions, SyncKey,
    SyncSelection, Tx,
};

const KV: SyncTarget = SyncTarget::CloudflareKv;
const SLUGS: [&str; 4] = ["a", "b", "c", "d"];
const WORKERS: usize = 3;
const STEPS: usize = 40;
const SECOND_US: i64 = 1_000_000;
const LEASE_US: i64 = 60 * SECOND_US;
const BEGIN_US: i64 = 1_768_473_000_000_000;
const SEEDS_SQLITE: u64 = 1_000;
const SEEDS_POSTGRES: u64 = 50;

/// What a process is about to do with its claim.
enum Work {
    /// Read what is true.
    Read(Claim),
    /// Send what was true when it read, key by key.
    Send { claim: Claim, truth: Vec<Settled>, outcomes: Vec<Settled>, was_late: bool },
}

struct World<'t> {
    tx: &'t mut Tx,
    setup: &'t Setup,
    random: Random,
    /// What the target holds: the version that was written last.
    kv: HashMap<String, u64>,
    workers: [Option<Work>; WORKERS],
    /// Whether this seed's clock is set back and forward.
    has_jumps: bool,
    log: Vec<String>,
}

impl World<'_> {
    async fn step(&mut self) {
        match self.random.below(20) {
            0..=2 => self.pass_time(),
            3..=5 => self.change_link().await,
            6 | 7 => self.advance().await,
            8..=17 => {
                let worker = self.random.below(WORKERS as u64) as usize;
                self.work(worker).await;
            }
            18 => self.disturb().await,
            _ => {
                let worker = self.random.below(WORKERS as u64) as usize;
                self.die(worker);
            }
        }
    }

    fn pass_time(&mut self) {
        let passed = *self.random.pick(&[SECOND_US / 3, SECOND_US, 2 * SECOND_US, 10 * SECOND_US, LEASE_US + 1]);
        let jump = if self.has_jumps && self.random.chance(0.3) {
            *self.random.pick(&[-86_400, -3_000, 3_600, 864_000]) * SECOND_US
        } else {
            0
        };
        self.move_clock(passed + jump);
    }

    fn move_clock(&mut self, microseconds: i64) {
        let now = Timestamp::from_micros(self.tx.now().as_micros() + microseconds);
        self.tx.set_now(now);
        self.log.push(format!("clock {:+.1} s", microseconds as f64 / 1e6));
    }

    async fn change_link(&mut self) {
        let slug = *self.random.pick(&SLUGS);
        let domain = &self.setup.default_domain.domain_id;
        let Some(link) = self.tx.get_link_by_slug(domain, slug).await.expect("a look-up") else {
            let new = NewLink {
                account_id: self.setup.default_account.account_id.clone(),
                domain_id: domain.clone(),
                slug: SlugChoice::Chosen(Slug::parse(slug).expect("a slug")),
                record: LinkRecord::from_url("https://example.com/"),
                dedupe_key: None,
                created_at: None,
            };
            let link = self.tx.create_link(&new, None).await.expect("a new link");
            return self.log.push(format!("create {slug}: {}", link.version));
        };
        if self.random.chance(0.4) {
            let version = self.tx.delete_link(&link.account_id, &link.link_id, None, None).await.expect("a deletion");
            return self.log.push(format!("delete {slug}: {version}"));
        }
        let change = LinkChange {
            account_id: &link.account_id,
            link_id: &link.link_id,
            expected_version: None,
            record: &link.record,
            changed_by: None,
        };
        let version = self.tx.update_link(&change).await.expect("an edit").version;
        self.log.push(format!("edit {slug}: {version}"));
    }

    async fn advance(&mut self) {
        let limit = self.random.between(1, 5) as u32;
        let advance = self.tx.advance_sync(KV, limit).await.expect("reading on");
        self.log.push(format!("advance {limit}: {advance:?}"));
    }

    /// What else may happen to a target.
    async fn disturb(&mut self) {
        let slug = *self.random.pick(&SLUGS);
        let key = self.key(slug);
        match self.random.below(4) {
            0 => self.tx.refill_sync(KV).await.expect("a refill"),
            1 => self.tx.mark_sync(KV, &[key]).await.expect("a mark"),
            2 => drop(self.tx.outbox_trim(u64::MAX).await.expect("a trim")),
            _ => drop(self.tx.retry_sync(KV, &SyncSelection::Failed).await.expect("a retry")),
        }
        self.log.push(format!("disturb {slug}"));
    }

    fn key(&self, slug: &str) -> SyncKey {
        SyncKey { domain_id: self.setup.default_domain.domain_id.clone(), slug: slug.to_owned() }
    }

    /// A process ends without a word. One that has sent something after its lease had ended does not: what it overwrote then nobody
    /// knows but itself, and only a comparison of all keys finds it.
    fn die(&mut self, worker: usize) {
        let is_known_to_nobody = matches!(self.workers[worker], Some(Work::Send { was_late: true, .. }));
        if !self.has_jumps && !is_known_to_nobody {
            self.workers[worker] = None;
            self.log.push(format!("worker {worker} dies"));
        }
    }

    /// One step of a process.
    async fn work(&mut self, worker: usize) {
        self.workers[worker] = match self.workers[worker].take() {
            None => self.claim(worker).await.map(Work::Read),
            Some(Work::Read(claim)) => {
                let truth = self.truth(&claim).await;
                self.log.push(format!("worker {worker} reads"));
                Some(Work::Send { claim, truth, outcomes: Vec::new(), was_late: false })
            }
            Some(Work::Send { claim, mut truth, mut outcomes, was_late }) => match truth.pop() {
                Some(settled) => {
                    let is_late = self.tx.now() >= claim.lease_until;
                    let outcome = self.send(worker, &settled);
                    outcomes.push(Settled { outcome, ..settled });
                    Some(Work::Send { claim, truth, outcomes, was_late: was_late || is_late })
                }
                None => {
                    let late = self.tx.settle_sync(KV, &claim.lease, &outcomes).await.expect("a settlement");
                    self.log.push(format!("worker {worker} settles, {late} late"));
                    None
                }
            },
        };
    }

    async fn claim(&mut self, worker: usize) -> Option<Claim> {
        let limit = self.random.between(1, 5) as u32;
        let claimed = self.tx.claim_sync(KV, limit, LEASE_US as u64 / 1_000).await.expect("a claim");
        let Claimed::Keys(claim) = claimed else { return None };
        let slugs: Vec<_> = claim.keys.iter().map(|claimed| claimed.key.slug.clone()).collect();
        self.log.push(format!("worker {worker} claims {slugs:?}"));
        for other in self.workers.iter().flatten().filter(|_| !self.has_jumps) {
            let (Work::Read(theirs) | Work::Send { claim: theirs, .. }) = other;
            let shared = theirs.keys.iter().any(|claimed| slugs.contains(&claimed.key.slug));
            assert!(!shared || theirs.lease_until <= self.tx.now(), "one key in two hands: {:#?}", self.log);
        }
        Some(claim)
    }

    async fn truth(&mut self, claim: &Claim) -> Vec<Settled> {
        let keys: Vec<_> = claim.keys.iter().map(|claimed| claimed.key.clone()).collect();
        let records = self.tx.edge_records_of(&keys).await.expect("records");
        let settle = |(key, record): crate::KeyedRecord| {
            let record = record.expect("a sound row");
            let outcome = Outcome::Synced { is_deleted: record.record.is_none() };
            Settled { key, version: record.version, outcome }
        };
        records.into_iter().map(settle).collect()
    }

    /// Sends one key, or fails to, or has its answer lost.
    fn send(&mut self, worker: usize, settled: &Settled) -> Outcome {
        let fate = self.random.below(10);
        self.log.push(format!("worker {worker} sends {} {}: fate {fate}", settled.key.slug, settled.version));
        if fate != 1 && fate != 2 {
            match settled.outcome {
                Outcome::Synced { is_deleted: true } => drop(self.kv.remove(&settled.key.slug)),
                _ => drop(self.kv.insert(settled.key.slug.clone(), settled.version)),
            }
        }
        let now = self.tx.now();
        let soon = Timestamp::from_micros(now.as_micros() + self.random.below(9 * SECOND_US as u64) as i64);
        match fate {
            0 | 1 => Outcome::Faulted {
                status: SyncStatus::Pending,
                attempts: 1,
                error: "lost".to_owned(),
                first_fault_at: now,
                next_attempt_at: Some(soon),
            },
            2 => Outcome::Released { next_attempt_at: now, error: None },
            3 => Outcome::Faulted {
                status: SyncStatus::Failed,
                attempts: 5,
                error: "given up".to_owned(),
                first_fault_at: now,
                next_attempt_at: None,
            },
            _ => settled.outcome.clone(),
        }
    }

    /// What the target should hold.
    async fn wanted(&mut self) -> BTreeMap<String, u64> {
        let mut wanted = BTreeMap::new();
        for slug in SLUGS {
            let link = self.tx.get_link_by_slug(&self.setup.default_domain.domain_id, slug).await.expect("a look-up");
            wanted.extend(link.map(|link| (slug.to_owned(), link.version)));
        }
        wanted
    }

    /// Where the target is behind, somebody must know: the outbox, a walk, a row that is not settled, or a process that will give
    /// its keys back.
    async fn check_nothing_is_lost(&mut self) {
        let work = self.tx.sync_work(KV).await.expect("what there is to do");
        if work.is_behind {
            return;
        }
        let wanted = self.wanted().await;
        for slug in SLUGS {
            let key = self.key(slug);
            let state = self.tx.sync_state(KV, &key).await.expect("a state");
            let is_open = state.as_ref().is_some_and(|state| state.status != SyncStatus::Synced);
            let in_hand = self.workers.iter().flatten().any(|work| {
                let (Work::Read(claim) | Work::Send { claim, .. }) = work;
                claim.keys.iter().any(|claimed| claimed.key.slug == slug)
            });
            let is_right = wanted.get(slug) == self.kv.get(slug);
            assert!(is_right || is_open || in_hand, "{slug} is lost: {state:?} {:?} {:#?}", self.kv, self.log);
        }
    }

    /// Ends all faults and pushes until there is nothing to do; then the target must hold what is true.
    async fn come_to_rest(&mut self) {
        self.log.push("faults end".to_owned());
        for worker in 0..WORKERS {
            while self.workers[worker].is_some() {
                self.work(worker).await;
            }
        }
        for _ in 0..100 {
            self.move_clock(LEASE_US + SECOND_US);
            self.tx.retry_sync(KV, &SyncSelection::Failed).await.expect("a retry");
            while !self.tx.advance_sync(KV, 10).await.expect("reading on").is_current {}
            let Some(claim) = self.claim(0).await else {
                let due_at = self.tx.sync_work(KV).await.expect("what there is to do").due_at;
                // A clock that was set back leaves attempts less than an hour ahead; waiting for them is right.
                if due_at.is_none() {
                    return self.check_rest().await;
                }
                continue;
            };
            let truth = self.truth(&claim).await;
            for settled in &truth {
                match settled.outcome {
                    Outcome::Synced { is_deleted: true } => drop(self.kv.remove(&settled.key.slug)),
                    _ => drop(self.kv.insert(settled.key.slug.clone(), settled.version)),
                }
            }
            let late = self.tx.settle_sync(KV, &claim.lease, &truth).await.expect("a settlement");
            assert_eq!(late, 0, "{:#?}", self.log);
        }
        panic!("it does not come to rest: {:#?}", self.log);
    }

    async fn check_rest(&mut self) {
        let wanted = self.wanted().await;
        let held: BTreeMap<_, _> = self.kv.iter().map(|(slug, version)| (slug.clone(), *version)).collect();
        assert_eq!(held, wanted, "{:#?}", self.log);
        for slug in SLUGS {
            let key = self.key(slug);
            let state = self.tx.sync_state(KV, &key).await.expect("a state");
            let standing = state.as_ref().map(|state| (state.status, state.version, state.synced_version));
            let expect = wanted.get(slug).map(|version| (SyncStatus::Synced, *version, Some(*version)));
            assert_eq!(standing, expect, "{slug}: {:#?}", self.log);
        }
    }
}

async fn live(store: &Store, setup: &Setup, seed: u64) {
    let mut tx = store.begin("sync_model").await.expect("a turn");
    tx.set_now(Timestamp::from_micros(BEGIN_US));
    let workers = [const { None }; WORKERS];
    let (random, log) = (Random::new(seed), vec![format!("seed {seed}")]);
    let has_jumps = seed.is_multiple_of(4);
    let mut world = World { tx: &mut tx, setup, random, kv: HashMap::new(), workers, has_jumps, log };
    for step in 0..STEPS {
        world.step().await;
        if step % 10 == 9 {
            world.check_nothing_is_lost().await;
        }
    }
    world.come_to_rest().await;
}

async fn live_all(address: &str, seeds: std::ops::Range<u64>) {
    let store = Store::open(address, StoreOptions::default()).await.expect("a new database");
    let host = Hostname::parse("go.example").expect("a host");
    let setup = store.write("init", async |tx| tx.init(&host).await).await.expect("a new instance");
    for seed in seeds {
        live(&store, &setup, seed).await;
    }
    store.close().await;
}

async fn live_on_sqlite(seeds: std::ops::Range<u64>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    live_all(&folder.path().join("model.db").display().to_string(), seeds).await;
}

#[tokio::test]
async fn target_ends_with_the_truth() {
    live_on_sqlite(0..SEEDS_SQLITE / 2).await;
}

#[tokio::test]
async fn target_ends_with_the_truth_again() {
    live_on_sqlite(SEEDS_SQLITE / 2..SEEDS_SQLITE).await;
}

#[tokio::test]
async fn target_ends_with_the_truth_on_postgres() {
    if let Some(database) = waypost_testkit::postgres::test_database() {
        live_all(database.url(), 0..SEEDS_POSTGRES).await;
    }
}
