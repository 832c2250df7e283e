//! The two walks: over the listed keys, and over the links to find those whose key was not listed.

use std::collections::HashMap;
use std::sync::Arc;

use waypost_api::sync::{DifferenceKind, VerifyProgress};
use waypost_core::Timestamp;
use waypost_core::sync::SyncTarget;
use waypost_store::{EdgeRecord, ReadTx, SyncKey, UnreadableLink};
use xxhash_rust::xxh3::xxh3_64;

use super::compare::{Flight, Wanted, is_in_flight, judge, owner};
use super::{Found, Stop, Verification, before};
use crate::kv::{KvKeys, ListPage, ListedKey, Pair};

/// How far lists are behind what was acknowledged, in microseconds.
const LIST_DELAY_US: i64 = 60_000_000;
/// The same for what was deleted, of which only the deletion's own time is known: it was pushed some time after that.
const DELETED_DELAY_US: i64 = 120_000_000;
/// Links of a page of the second walk.
const PAGE_LINKS: u32 = 1_000;

/// A listed key that belongs, or would belong, to a slug.
struct Owned {
    listed: ListedKey,
    sync_key: SyncKey,
}

/// The domains as they were when a page was compared.
struct Names {
    keys: KvKeys,
    /// Hosts by the domain's id.
    hosts: HashMap<String, String>,
}

impl Names {
    async fn read(tx: &mut ReadTx) -> Result<Self, Stop> {
        let domains = tx.list_all_domains().await?;
        let host =
            |domain: &waypost_store::Domain| (domain.domain_id.as_str().to_owned(), domain.host.as_str().to_owned());
        Ok(Self { hosts: domains.iter().map(host).collect(), keys: KvKeys::new(&domains) })
    }

    fn host(&self, key: &SyncKey) -> String {
        self.hosts.get(key.domain_id.as_str()).cloned().unwrap_or_default()
    }
}

/// How far pushing was when a page was compared.
struct Pushed {
    target: SyncTarget,
    is_behind: bool,
    /// What was acknowledged since then may not be in lists.
    listed_since: Timestamp,
}

impl Pushed {
    async fn read(tx: &mut ReadTx, target: SyncTarget, listed_since: Timestamp) -> Result<Self, Stop> {
        Ok(Self { target, is_behind: tx.sync_work(target).await?.is_behind, listed_since })
    }

    /// Whether this key, whose slug is at this version, is on its way.
    async fn moves(&self, tx: &mut ReadTx, key: &SyncKey, version: u64) -> Result<bool, Stop> {
        let state = tx.sync_state(self.target, key).await?;
        let (is_behind, listed_since) = (self.is_behind, self.listed_since);
        Ok(is_in_flight(Flight { state: state.as_ref(), version, is_behind, listed_since }))
    }
}

impl Verification {
    /// Compares all keys that the target lists.
    pub(super) async fn compare_keys(&mut self) -> Result<(), Stop> {
        let mut cursor: Option<String> = None;
        loop {
            let client = Arc::clone(&self.links.client);
            let page = self.call(|| client.list(cursor.as_deref())).await?;
            cursor.clone_from(&page.cursor);
            self.compare_page(page).await?;
            self.progress(VerifyProgress::Keys { keys: self.tally.keys }).await?;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn compare_page(&mut self, page: ListPage) -> Result<(), Stop> {
        self.tally.keys += page.keys.len() as u64;
        self.seen.extend(page.keys.iter().map(|key| xxh3_64(key.name.as_bytes())));
        let mut tx = self.links.store.read("verify_keys").await?;
        let names = Names::read(&mut tx).await?;
        let mut found = Vec::new();
        let mut owned = Vec::new();
        for listed in page.keys {
            match owner(&names.keys, &listed.name) {
                Some(sync_key) => owned.push(Owned { listed, sync_key }),
                None => found.push(Found {
                    difference: DifferenceKind::Foreign,
                    key: listed.name,
                    sync_key: None,
                    host: String::new(),
                    link_id: None,
                    version: None,
                    kv_version: None,
                }),
            }
        }
        found.extend(self.compare_owned(&mut tx, &names, owned).await?);
        drop(tx);
        self.take(found).await
    }

    async fn compare_owned(&mut self, tx: &mut ReadTx, names: &Names, owned: Vec<Owned>) -> Result<Vec<Found>, Stop> {
        let sync_keys: Vec<SyncKey> = owned.iter().map(|owned| owned.sync_key.clone()).collect();
        let records: HashMap<_, _> = tx.edge_records_of(&sync_keys).await?.into_iter().collect();
        let deleted_since = before(tx.now(), DELETED_DELAY_US);
        let pushed = Pushed::read(tx, self.links.target, before(tx.now(), LIST_DELAY_US)).await?;
        let mut found = Vec::new();
        for Owned { listed, sync_key } in owned {
            let record = match records.get(&sync_key).map(Result::as_ref).transpose() {
                Ok(record) => record,
                Err(link) => {
                    found.push(Found { kv_version: listed.version, ..unreadable(link, names, listed.name) });
                    continue;
                }
            };
            let wanted = record.and_then(wanted);
            let Some(difference) = judge(&listed, wanted.as_ref()) else {
                self.tally.same += 1;
                continue;
            };
            let version = record.map_or(0, |record| record.version);
            let moves = match difference {
                DifferenceKind::Foreign | DifferenceKind::Unreadable => false,
                DifferenceKind::Deleted if tx.sync_state(self.links.target, &sync_key).await?.is_none() => {
                    tx.was_deleted_since(&sync_key, deleted_since).await?
                }
                DifferenceKind::Deleted | DifferenceKind::Different | DifferenceKind::Missing => {
                    pushed.moves(tx, &sync_key, version).await?
                }
            };
            if moves {
                self.tally.in_flight += 1;
                continue;
            }
            found.push(Found {
                difference,
                host: names.host(&sync_key),
                sync_key: Some(sync_key),
                link_id: None,
                version: wanted.map(|wanted| wanted.version),
                kv_version: listed.version,
                key: listed.name,
            });
        }
        Ok(found)
    }

    /// Looks for the links whose key was not listed.
    pub(super) async fn compare_links(&mut self, began_at: Timestamp) -> Result<(), Stop> {
        // Cheap, and only to show how far it is.
        let of = self.links.table.stats().map_or(0, |stats| stats.links);
        let mut after = None;
        loop {
            let mut tx = self.links.store.read("verify_links").await?;
            let names = Names::read(&mut tx).await?;
            let page = tx.edge_records_page(after.as_ref(), PAGE_LINKS).await?;
            self.tally.links += (page.records.len() + page.unreadable.len()) as u64;
            let pushed = Pushed::read(&mut tx, self.links.target, before(began_at, LIST_DELAY_US)).await?;
            let mut found: Vec<Found> =
                page.unreadable.iter().filter_map(|link| self.look_for_unreadable(link, &names)).collect();
            for record in page.records {
                let Some(missing) = self.look_for(&record, &names) else { continue };
                let Some(sync_key) = &missing.sync_key else { continue };
                if pushed.moves(&mut tx, sync_key, record.version).await? {
                    self.tally.in_flight += 1;
                } else {
                    found.push(missing);
                }
            }
            drop(tx);
            self.take(found).await?;
            self.progress(VerifyProgress::Links { links: self.tally.links, of }).await?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// What is to be said of a link whose key was not listed.
    fn look_for(&self, record: &EdgeRecord, names: &Names) -> Option<Found> {
        let EdgeRecord { domain_key, slug, version, .. } = record;
        let key = self.key_not_listed(domain_key, slug, names)?;
        let sync_key = SyncKey { domain_id: names.keys.domain_id(domain_key)?.clone(), slug: slug.clone() };
        Some(Found {
            difference: DifferenceKind::Missing,
            key,
            host: names.host(&sync_key),
            sync_key: Some(sync_key),
            link_id: None,
            version: Some(*version),
            kv_version: None,
        })
    }

    /// A link that cannot be read, unless its key was listed: then it has been told of.
    fn look_for_unreadable(&self, link: &UnreadableLink, names: &Names) -> Option<Found> {
        let key = self.key_not_listed(&link.domain_key, &link.key.slug, names)?;
        Some(unreadable(link, names, key))
    }

    /// The key of a slug, unless it was listed.
    fn key_not_listed(&self, domain_key: &str, slug: &str, names: &Names) -> Option<String> {
        match names.keys.key(domain_key, slug) {
            Ok(key) if self.seen.binary_search(&xxh3_64(key.as_bytes())).is_ok() => None,
            Ok(key) => Some(key),
            // It has no key of its own; what is listed under this one, if anything, is another link.
            Err(_) if domain_key.is_empty() => Some(slug.to_owned()),
            Err(_) => Some(format!("{domain_key}/{slug}")),
        }
    }

    /// Shows what was found on a page and does with it what was asked for.
    async fn take(&mut self, found: Vec<Found>) -> Result<(), Stop> {
        let lines: Vec<_> = found.iter().map(Found::line).collect();
        found.iter().for_each(|found| super::count(&mut self.tally, found.difference));
        self.send(lines).await?;
        let (foreign, ours): (Vec<Found>, Vec<Found>) =
            found.into_iter().partition(|found| found.difference == DifferenceKind::Foreign);
        if self.options.repair {
            // What cannot be read cannot be pushed: its key keeps the value that it has.
            let ours = ours.into_iter().filter(|found| found.difference != DifferenceKind::Unreadable);
            self.repair(ours.filter_map(|found| found.sync_key).collect()).await?;
        }
        if self.options.delete_foreign { self.delete(foreign).await } else { Ok(()) }
    }
}

/// What is shown of a link that cannot be read.
fn unreadable(link: &UnreadableLink, names: &Names, key: String) -> Found {
    Found {
        difference: DifferenceKind::Unreadable,
        key,
        host: names.host(&link.key),
        sync_key: Some(link.key.clone()),
        link_id: link.link_id.clone(),
        version: Some(link.version),
        kv_version: None,
    }
}

/// What the value of a live link must be.
fn wanted(record: &EdgeRecord) -> Option<Wanted> {
    let link = record.record.as_ref()?;
    let digest = Pair::new(String::new(), link).ok().map(|pair| pair.metadata.digest);
    Some(Wanted { version: record.version, digest })
}
