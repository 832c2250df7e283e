//! Reading a generation: by its own map, within a read transaction of LMDB, which keeps what is read from being written over.

use std::sync::atomic::{Ordering, fence};

use super::{Generation, LMDB_FILE};
use crate::TableError;
use crate::entry::{Entry, Key, damaged};
use crate::lmdb_file::root_of;
use crate::meta::{self, DOMAINS_KEY, FORMAT, META_KEY, Meta, MetaFault};
use crate::page::Fault;
use crate::places::hash_of;
use crate::tree::Tree;

/// Times a look-up takes a new state of the tree before a fault in it is believed. Two commits in the middle of a look-up's first
/// step may show it half of a meta page.
const ATTEMPTS: u32 = 3;
/// Entries that one step of warming reads, in one transaction of some milliseconds.
const WARM_ENTRIES: usize = 8_192;
/// Why something was not read.
enum Unread {
    /// The tree does not hold together, or was being changed.
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
    /// The state of the tree that the read transaction with this number has, which must live as long.
    fn tree(&self, txn_id: usize) -> Tree<'_> {
        let page_bytes = self.page_bytes as usize;
        let file_bytes = usize::try_from(self.file_bytes.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        let map = self.map.as_deref().unwrap_or_default();
        let bytes = &map[..file_bytes.min(map.len())];
        let (root, pages) = root_of(bytes, page_bytes, txn_id as u64);
        // What the root leads to was written before it.
        fence(Ordering::Acquire);
        let used_bytes = usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(page_bytes);
        Tree { bytes: &bytes[..used_bytes.min(bytes.len())], page_bytes, root }
    }

    /// Reads in the tree within a read transaction; where that meets a fault, once more.
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

    /// The error for what could not be read. A fault is kept: the file does not hold together.
    fn note(&self, unread: Unread) -> TableError {
        match unread {
            Unread::Fault(fault) => self.soundness.note(fault.to_string()),
            Unread::Other(error) => error,
        }
    }

    /// Takes a value apart that was found under this key.
    fn decode<'v>(&self, key: &[u8], value: &'v [u8]) -> Result<Entry<'v>, TableError> {
        Entry::decode(key, value).inspect_err(|error| self.soundness.note_entry(&error.to_string()))
    }

    /// Hands the record under `key` to `read`, in place.
    pub(crate) fn get<R>(&self, key: &Key, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, TableError> {
        let mut read = Some(read);
        let found = self.read("begin a look-up", |tree| {
            let Some(value) = tree.get(key.as_bytes())? else { return Ok(None) };
            let Some(record) = self.decode(key.as_bytes(), value)?.record else { return Ok(None) };
            // After a value was found nothing is tried again.
            Ok(read.take().map(|read| read(record)))
        });
        found.map_err(|unread| self.note(unread))
    }

    /// Hands the record under `key` to `read` as [`crate::Reader::get`] says, in `copy` or in place.
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

    /// Asks the tree, and remembers the place.
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

    /// Remembers the places of the next [`WARM_ENTRIES`] entries behind the key `last`, which becomes the last of them. Gives
    /// their number, 0 at the end.
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

    /// The generation's own entry.
    pub(crate) fn meta(&self) -> Result<Meta, TableError> {
        let read = |tree: Tree<'_>| Ok(Meta::decode(tree.get(META_KEY)?.unwrap_or_default()));
        match self.read("read its own entry", read).map_err(|unread| self.quiet(unread))? {
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
        let json = self.read("read the domain settings", read).map_err(|unread| self.quiet(unread))?;
        json.ok_or_else(|| self.soundness.error("the domain settings failed their checksum".to_owned()))
    }

    /// The error for what could not be read, which whoever asked deals with.
    fn quiet(&self, unread: Unread) -> TableError {
        match unread {
            Unread::Fault(fault) => self.soundness.error(fault.to_string()),
            Unread::Other(error) => error,
        }
    }
}
