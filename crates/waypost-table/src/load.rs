//! A generation under construction: filled fast and without syncing, invisible until it is complete.

use std::fs;
use std::path::PathBuf;

use crate::TableError;
use crate::directory::remove_folder;
use crate::entry::is_tombstone;
use crate::environment::SyncMode;
use crate::generation::{Generation, Settings, Tally};
use crate::meta::Meta;
use crate::runs::Pair;

/// Bytes of entries written in one transaction. Limits the pages that LMDB holds in memory.
const CHUNK_BYTES: usize = 8 << 20;
/// Entries written out of order in one transaction, for the same reason.
const CHUNK_ENTRIES: usize = 2_048;

/// A generation that no reader sees. Its folder is removed on drop, unless it was promoted from its building name.
#[derive(Debug)]
pub(crate) struct Building {
    /// `None` once closed.
    generation: Option<Generation>,
    folder: PathBuf,
    meta: Meta,
    last_key: Option<Vec<u8>>,
}

impl Building {
    /// Starts an empty generation in the new folder.
    pub(crate) fn create(folder: PathBuf, settings: Settings) -> Result<Building, TableError> {
        fs::create_dir(&folder).map_err(TableError::io("create the folder", &folder))?;
        let mut building = Building { generation: None, folder: folder.clone(), meta: Meta::default(), last_key: None };
        building.generation = Some(Generation::create(folder, 0, Settings { sync: SyncMode::OnRequest, ..settings })?);
        Ok(building)
    }

    pub(crate) fn generation(&self) -> &Generation {
        self.generation.as_ref().expect("a generation is closed only by complete(), which takes the building")
    }

    /// Whether every stored key is smaller than `key`.
    pub(crate) fn ends_before(&self, key: &[u8]) -> bool {
        self.last_key.as_deref().is_none_or(|last| last < key)
    }

    /// Writes entries that `next` yields in ascending key order, all greater than those stored.
    pub(crate) fn append_all(
        &mut self,
        mut next: impl FnMut(&mut Pair) -> Result<bool, TableError>,
    ) -> Result<(), TableError> {
        let mut pair = Pair::default();
        let mut has_next = next(&mut pair)?;
        let mut last_key = self.last_key.take().unwrap_or_default();
        while has_next {
            self.enlarge_for(1, 2 * CHUNK_BYTES + pair.value.len())?;
            let generation = self.generation();
            let mut tx = generation.environment().write_txn().map_err(TableError::lmdb("begin a write"))?;
            let (mut chunk_bytes, mut tombstones) = (0, 0);
            while has_next && chunk_bytes < CHUNK_BYTES {
                generation.append(&mut tx, &pair.key, &pair.value)?;
                chunk_bytes += pair.key.len() + pair.value.len();
                tombstones += u64::from(is_tombstone(&pair.value));
                last_key.clone_from(&pair.key);
                has_next = next(&mut pair)?;
            }
            tx.commit().map_err(TableError::lmdb("commit a write"))?;
            self.meta.tombstones += tombstones;
        }
        // No key is empty, so an empty one means none.
        self.last_key = (!last_key.is_empty()).then_some(last_key);
        Ok(())
    }

    /// Writes entries that `next` yields if they are newer than the stored ones.
    pub(crate) fn put_all_newer(
        &mut self,
        mut next: impl FnMut(&mut Pair) -> Result<bool, TableError>,
    ) -> Result<(), TableError> {
        let mut pair = Pair::default();
        let mut has_next = next(&mut pair)?;
        while has_next {
            self.enlarge_for(CHUNK_ENTRIES, CHUNK_BYTES + pair.value.len())?;
            let generation = self.generation();
            let mut tx = generation.environment().write_txn().map_err(TableError::lmdb("begin a write"))?;
            let (mut chunk_bytes, mut entries, mut tally) = (0, 0, Tally::default());
            while has_next && chunk_bytes < CHUNK_BYTES / 2 && entries < CHUNK_ENTRIES {
                generation.put_newer(&mut tx, &pair.key, &pair.value, &mut tally)?;
                chunk_bytes += pair.key.len() + pair.value.len();
                entries += 1;
                has_next = next(&mut pair)?;
            }
            tx.commit().map_err(TableError::lmdb("commit a write"))?;
            self.meta = tally.added_to(self.meta);
        }
        Ok(())
    }

    /// Room in the map for the next transaction. No transaction is open, so the map may move.
    fn enlarge_for(&mut self, changes: usize, stored_bytes: usize) -> Result<(), TableError> {
        let generation = self.generation.as_mut().expect("a generation is closed only by complete()");
        let needed_bytes = generation.used_bytes() + generation.room_bytes(changes, 2 * stored_bytes);
        let needed_bytes = usize::try_from(needed_bytes).unwrap_or(usize::MAX);
        if needed_bytes <= generation.map_bytes() {
            return Ok(());
        }
        let enlarged = generation.environment_mut().enlarge(needed_bytes.saturating_mul(2));
        enlarged.map_err(TableError::lmdb("enlarge the map of a new generation"))
    }

    /// Syncs what was written so far, so that less remains for later.
    pub(crate) fn sync(&self) -> Result<(), TableError> {
        self.generation().environment().sync().map_err(TableError::lmdb("sync a new generation"))
    }

    /// Completes, syncs and closes the generation, and stores `meta` as its own entry, except for the count of
    /// tombstones. After that its folder must be promoted; then dropping the returned value removes nothing.
    pub(crate) fn complete(mut self, meta: Meta, domains_json: &[u8]) -> Result<Building, TableError> {
        self.enlarge_for(2, domains_json.len())?;
        let generation = self.generation();
        generation.seal(Meta { tombstones: self.meta.tombstones, ..meta }, domains_json)?;
        generation.reserve(0)?;
        self.sync()?;
        self.generation = None;
        Ok(self)
    }

    /// The building folder.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.generation = None;
        remove_folder(&self.folder);
    }
}
