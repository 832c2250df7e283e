//! Loads what KV should have for claimed keys: their current state, grouped into as few calls as possible.

use std::collections::HashMap;

use waypost_core::Timestamp;
use waypost_core::id::LinkId;
use waypost_jobs::Chain;
use waypost_store::{Claim, ClaimedKey, EdgeRecord, KeyedRecord, Outcome, Settled, StoreError, SyncKey};

use super::OutboxWorker;
use super::policy::refused;
use crate::kv::{BULK_BYTES_MAX, KvKeys, Pair};

/// Keys read from the database at once.
const READ_KEYS: usize = 2_000;

/// A claimed key that goes into a call.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) claimed: ClaimedKey,
    /// The version that KV is told of.
    pub(super) version: u64,
}

impl Sent {
    pub(super) fn settled(self, outcome: Outcome) -> Settled {
        Settled { key: self.claimed.key, version: self.version, outcome }
    }
}

/// What one call carries; each key of `sent` has its place in `body`.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) sent: Vec<Sent>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Puts(Vec<Pair>),
    Deletes(Vec<String>),
}

impl Body {
    pub(super) const fn is_delete(&self) -> bool {
        matches!(self, Self::Deletes(_))
    }

    /// The keys in KV, in the order of what was claimed.
    pub(super) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Puts(pairs) => pairs.iter().map(|pair| pair.key.as_str()).collect(),
            Self::Deletes(keys) => keys.iter().map(String::as_str).collect(),
        }
    }
}

impl Batch {
    /// Two batches with half of it each. Of one key the first has none.
    pub(super) fn halves(mut self) -> (Self, Self) {
        let half = self.sent.len() / 2;
        let sent = self.sent.split_off(half);
        let body = match &mut self.body {
            Body::Puts(pairs) => Body::Puts(pairs.split_off(half)),
            Body::Deletes(keys) => Body::Deletes(keys.split_off(half)),
        };
        (self, Self { sent, body })
    }
}

/// A claim, read.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    puts: Vec<(Sent, Pair)>,
    deletes: Vec<(Sent, String)>,
    put_bytes: usize,
    /// Keys for which nothing is sent, or not now.
    pub(super) settled: Vec<Settled>,
}

impl OutboxWorker {
    /// What is true now of each claimed key.
    pub(super) async fn load(&self, claim: &Claim) -> Result<Loaded, StoreError> {
        let mut tx = self.store.read("sync_records").await?;
        let keys = KvKeys::new(&tx.list_all_domains().await?);
        let mut loaded = Loaded::default();
        for claimed in claim.keys.chunks(READ_KEYS) {
            if loaded.put_bytes >= BULK_BYTES_MAX {
                let leave = |key: &ClaimedKey| {
                    Sent { version: key.version, claimed: key.clone() }
                        .settled(Outcome::Released { next_attempt_at: tx.now(), error: None })
                };
                loaded.settled.extend(claimed.iter().map(leave));
                continue;
            }
            let wanted: Vec<SyncKey> = claimed.iter().map(|claimed| claimed.key.clone()).collect();
            let records = tx.edge_records_of(&wanted).await?;
            loaded.add_all(claimed, records, &keys, tx.now());
        }
        Ok(loaded)
    }
}

impl Loaded {
    /// Adds what was read. A link that cannot be read keeps the value that it has, and must not hold the others up.
    fn add_all(&mut self, claimed: &[ClaimedKey], records: Vec<KeyedRecord>, keys: &KvKeys, now: Timestamp) {
        let mut records: HashMap<_, _> = records.into_iter().collect();
        for claimed in claimed {
            match records.remove(&claimed.key).transpose() {
                Ok(record) => self.add(claimed.clone(), record, keys, now),
                Err(link) => {
                    let link_id = link.link_id.as_ref().map(LinkId::as_str).unwrap_or_default();
                    tracing::error!(
                        link.id = link_id, link.slug = link.key.slug, error = %Chain(&link.error),
                        "a link cannot be pushed because it cannot be read"
                    );
                    let sent = Sent { version: claimed.version, claimed: claimed.clone() };
                    self.refuse(sent, "it cannot be read from the database".to_owned(), now);
                }
            }
        }
    }

    fn add(&mut self, claimed: ClaimedKey, record: Option<EdgeRecord>, keys: &KvKeys, now: Timestamp) {
        let Some(EdgeRecord { domain_key, slug, version, record }) = record else {
            // Its domain is not known (any more), so it cannot have a key.
            let version = claimed.version;
            self.settled.push(Sent { claimed, version }.settled(Outcome::Synced { is_deleted: true }));
            return;
        };
        let key = keys.key(&domain_key, &slug);
        let sent = Sent { claimed, version };
        let pair = match (key, record) {
            (Ok(key), Some(record)) => Pair::new(key, &record),
            (Ok(key), None) => {
                self.deletes.push((sent, key));
                return;
            }
            // What stands under that key in KV is another slug's.
            (Err(_), None) => {
                self.settled.push(sent.settled(Outcome::Synced { is_deleted: true }));
                return;
            }
            (Err(fault), Some(_)) => Err(fault),
        };
        match pair {
            Ok(pair) if self.put_bytes + pair.size_bytes() > BULK_BYTES_MAX && !self.puts.is_empty() => {
                // Too much for one call: these are due again at once. Nothing more is read then.
                self.put_bytes = BULK_BYTES_MAX;
                self.settled.push(sent.settled(Outcome::Released { next_attempt_at: now, error: None }));
            }
            Ok(pair) => {
                self.put_bytes += pair.size_bytes();
                self.puts.push((sent, pair));
            }
            Err(fault) => self.refuse(sent, fault.to_string(), now),
        }
    }

    fn refuse(&mut self, sent: Sent, error: String, now: Timestamp) {
        let outcome = refused(now, &sent.claimed, error);
        self.settled.push(sent.settled(outcome));
    }

    /// The calls to be made, the first last.
    pub(super) fn batches(&mut self) -> Vec<Batch> {
        let (sent, keys): (Vec<_>, Vec<_>) = std::mem::take(&mut self.deletes).into_iter().unzip();
        let deletes = Batch { sent, body: Body::Deletes(keys) };
        let (sent, pairs): (Vec<_>, Vec<_>) = std::mem::take(&mut self.puts).into_iter().unzip();
        let puts = Batch { sent, body: Body::Puts(pairs) };
        [deletes, puts].into_iter().filter(|batch| !batch.sent.is_empty()).collect()
    }
}
