//! Reading a generation: by its own map, within a read transaction of LMDB, which protects the pages that are read from
//! being overwritten.

use std::sync::atomic::{Ordering, fence};

use super::{Generation, LMDB_FILE};
use crate::TableError;
use crate::entry::{Entry, Key, damaged};
use crate::lmdb_file::root_of;
use crate::meta::{self, DOMAINS_KEY, FORMAT, META_KEY, Meta, MetaFault};
use crate::page::Fault;
use crate::places::hash_of;
use crate::tree::Tree;

/// How often a look-up reads the state of the tree again before a fault counts as damage. Two commits during its first
/// step may leave it with half of a meta page.
const ATTEMPTS: u32 = 3;
/// Entries that one step of warming reads, in one transaction of a few milliseconds.
const WARM_ENTRIES: usize = 8_192;
/// The sample for the test of places: this many entries after each of these keys.
const TESTED_BEHIND: [&[u8]; 8] = [b"", b"\0", b"\0A", b"\0M", b"\0a", b"\0m", b"m", b"\xff"];
const TESTED_ENTRIES: usize = 32;
/// Why a read failed.
enum Unread {
    /// The tree is damaged, or was being changed.
    Fault(Fault),
    Other(TableError),
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<TableError> for Unread {
    fn from(error: TableError) -> Self {
        Self::Other(error)
    }
}

impl Generation {
    /// The state of the tree for the read transaction with this number, which must outlive it.
    fn tree(&self, txn_id: usize) -> Tree<'_> {
        let page_bytes = self.page_bytes as usize;
        let file_bytes = usize::try_from(self.file_bytes.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        let map = self.map.as_deref().unwrap_or_default();
        let bytes = &map[..file_bytes.min(map.len())];
        let (root, pages) = root_of(bytes, page_bytes, txn_id as u64);
        // All pages below the root were written before it.
        fence(Ordering::Acquire);
        let used_bytes = usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(page_bytes);
        Tree { bytes: &bytes[..used_bytes.min(bytes.len())], page_bytes, root }
    }

    /// Reads the tree within a read transaction, and again if there is a fault.
    fn read<R>(
        &self,
        operation: &'static str,
        mut read: impl FnMut(Tree<'_>) -> Result<R, Unread>,
    ) -> Result<R, Unread> {
        let mut attempt = 1;
        loop {
            let tx = self.environment.read_txn().map_err(TableError::lmdb(operation))?;
            match read(self.tree(tx.id())) {
                Err(Unread::Fault(_)) if attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
            drop(tx);
        }
    }

    /// The error for a failed read. A fault is recorded: the file is damaged.
    fn note(&self, unread: Unread) -> TableError {
        match unread {
            Unread::Fault(fault) => self.soundness.note(fault.to_string()),
            Unread::Other(error) => error,
        }
    }

    /// Decodes a value that was found for this key.
    fn decode<'v>(&self, key: &[u8], value: &'v [u8]) -> Result<Entry<'v>, TableError> {
        Entry::decode(key, value).inspect_err(|error| self.soundness.note_entry(&error.to_string()))
    }

    /// Passes the record of `key` to `read`, in place.
    pub(crate) fn get<R>(&self, key: &Key, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, TableError> {
        let mut read = Some(read);
        let found = self.read("begin a look-up", |tree| {
            let Some(value) = tree.get(key.as_bytes())? else { return Ok(None) };
            let Some(record) = self.decode(key.as_bytes(), value)?.record else { return Ok(None) };
            // After a value was found, the look-up is not repeated.
            Ok(read.take().map(|read| read(record)))
        });
        found.map_err(|unread| self.note(unread))
    }

    /// Passes the record of `key` to `read` as [`crate::Reader::get`] describes, in `copy` or in place.
    #[inline]
    pub(crate) fn find<R>(
        &self,
        key: &[u8],
        hash: u64,
        copy: &mut Vec<u8>,
        mut read: impl FnMut(&[u8]) -> Option<R>,
    ) -> Result<Option<R>, TableError> {
        let value = self.places.read(hash, key, copy);
        let record = value.and_then(|value| Entry::decode(key, value).ok()).and_then(|entry| entry.record);
        match record.and_then(&mut read) {
            Some(found) => Ok(Some(found)),
            None => self.find_in_tree(key, hash, read),
        }
    }

    /// Searches the tree, and remembers the place.
    fn find_in_tree<R>(
        &self,
        key: &[u8],
        hash: u64,
        mut read: impl FnMut(&[u8]) -> Option<R>,
    ) -> Result<Option<R>, TableError> {
        let changes = self.places.changes();
        let found = self.read("begin a look-up", |tree| {
            let Some(value) = tree.get(key)? else { return Ok(None) };
            let Some(record) = self.decode(key, value)?.record else { return Ok(None) };
            let Some(found) = read(record) else {
                let error = damaged(key);
                self.soundness.note_entry(&error.to_string());
                return Err(error.into());
            };
            self.places.remember(hash, key, value, changes);
            Ok(Some(found))
        });
        found.map_err(|unread| self.note(unread))
    }

    /// Remembers the places of the next [`WARM_ENTRIES`] entries after the key `last`, and sets `last` to the last of
    /// them. Returns their number, 0 at the end.
    pub(crate) fn warm(&self, last: &mut Vec<u8>) -> Result<u64, TableError> {
        let changes = self.places.changes();
        let walked = self.read("begin a read", |tree| {
            let (mut end, mut count) = (Vec::new(), 0);
            tree.walk(last, WARM_ENTRIES, |key, value| {
                self.places.remember(hash_of(key), key, value, changes);
                count += 1;
                end.clear();
                end.extend_from_slice(key);
            })?;
            Ok((end, count))
        });
        let (end, count) = walked.map_err(|unread| self.note(unread))?;
        if count > 0 {
            *last = end;
        }
        Ok(count)
    }

    /// Looks up a sample of entries by their places and in the tree, and turns places off if the results differ: then
    /// LMDB's page layout is not the one that `places` expects.
    pub(crate) fn test_places(&self) {
        let changes = self.places.changes();
        let mut copy = Vec::new();
        for after in TESTED_BEHIND {
            let tested = self.read("test places", |tree| {
                let mut differing = None;
                tree.walk(after, TESTED_ENTRIES, |key, value| {
                    // The table's own entries are not looked up by places, and change without forgetting them.
                    if key.contains(&0) && self.places.is_on() && !self.places.agrees(key, value, changes, &mut copy) {
                        differing = Some(key.to_vec());
                    }
                })?;
                Ok(differing)
            });
            // The check of the file reports what cannot be read.
            if let Ok(Some(key)) = tested {
                self.places.turn_off();
                tracing::error!(
                    file = %self.folder.join(LMDB_FILE).display(),
                    "the entry {} of the link table is another one where its place was remembered; places are not \
                     remembered from now on, and look-ups are slower",
                    waypost_core::Quoted(&String::from_utf8_lossy(&key))
                );
                return;
            }
        }
    }

    /// The generation's own entry.
    pub(crate) fn meta(&self) -> Result<Meta, TableError> {
        let read = |tree: Tree<'_>| Ok(Meta::decode(tree.get(META_KEY)?.unwrap_or_default()));
        match self.read("read its own entry", read).map_err(|unread| self.error_of(unread))? {
            Ok(meta) => Ok(meta),
            Err(MetaFault::Damaged) => Err(self.soundness.error("its own entry failed its checksum".to_owned())),
            Err(MetaFault::OtherFormat(found)) => {
                let path = self.folder.join(LMDB_FILE);
                Err(TableError::OtherFormat { path, found: found.to_string(), expected: FORMAT })
            }
        }
    }

    /// The domain settings' JSON.
    pub(crate) fn domains_json(&self) -> Result<Vec<u8>, TableError> {
        let read = |tree: Tree<'_>| Ok(tree.get(DOMAINS_KEY)?.and_then(meta::unseal).map(<[u8]>::to_vec));
        let json = self.read("read the domain settings", read).map_err(|unread| self.error_of(unread))?;
        json.ok_or_else(|| self.soundness.error("the domain settings failed their checksum".to_owned()))
    }

    /// The error for a failed read, which the caller handles.
    fn error_of(&self, unread: Unread) -> TableError {
        match unread {
            Unread::Fault(fault) => self.soundness.error(fault.to_string()),
            Unread::Other(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::{Change, Reader, Table, TableOptions};

    fn table_with(folder: &tempfile::TempDir, record: &[u8]) -> Arc<Table> {
        let table = Table::open(folder.path(), TableOptions::default()).unwrap();
        table.apply(&[Change { domain: "", slug: "s", version: 1, record: Some(record) }], 1).unwrap();
        Arc::new(table)
    }

    #[test]
    fn places_that_differ_from_the_tree_are_not_followed() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (table, other) = (table_with(&folders[0], b"right"), table_with(&folders[1], b"wrong"));
        let reader = Reader::new(Arc::clone(&table));
        let get = || reader.get("", "s", |record| Some(record.to_vec())).unwrap();
        table.with_live(Generation::test_places);
        assert!(table.with_live(|live| live.places.is_on()), "they agree");
        table.with_live(|live| {
            let plant = |tree: Tree<'_>| {
                let value = tree.get(b"\0s")?.unwrap();
                live.places.remember(hash_of(b"\0s"), b"\0s", value, live.places.changes());
                Ok(())
            };
            assert!(other.with_live(|other| other.read("plant", plant)).is_ok());
        });
        assert_eq!(get().unwrap(), b"wrong", "a place is believed for what lies there");
        table.with_live(Generation::test_places);
        assert!(!table.with_live(|live| live.places.is_on()));
        assert_eq!(table.stats().unwrap().places_max, 0);
        assert_eq!(get().unwrap(), b"right");
        table.apply(&[Change { domain: "", slug: "s", version: 2, record: Some(b"newer") }], 2).unwrap();
        table.warm(|| true).unwrap();
        assert_eq!(get().unwrap(), b"newer");
    }
}
