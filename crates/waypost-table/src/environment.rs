//! The unsafe calls of this crate, except those of `places`: opening an LMDB environment, enlarging its map while
//! nothing uses it, and a second map of the file for look-ups.
//!
//! Why they are sound:
//!
//! - *Opening* maps a file that must not change in other ways. The table's folder is locked for one process (`LOCK`),
//!   only this crate's code writes to the file, and only through LMDB; the only other call on it
//!   (`Generation::reserve`) makes it longer, which does not affect the map. The file's length was compared with its
//!   meta page before (`lmdb_file`), so that no page is past the end.
//! - *Flags*: without `NO_META_SYNC` and `NO_SYNC` LMDB only syncs more. `NO_META_SYNC` keeps the file consistent after
//!   a power loss, at most the last commit is gone. `NO_SYNC` is used for generations under construction, which no
//!   reader sees before they are synced and whose folder is discarded after a crash. Locking is never switched off.
//! - *The map for look-ups* is of the same file, under the same conditions, and is only read. LMDB changes the file by
//!   writing, but never a page that a read transaction protects. `places` reads other pages too, and does not trust the
//!   bytes. The part of the map past the file's end must not be read; [`map_file`]'s callers ensure that.
//! - *Enlarging* a map moves it. LMDB requires that no transaction exists; [`Environment::enlarge`] takes `&mut self`,
//!   and every transaction borrows the environment.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use heed::{CompactionOption, Env, EnvFlags, EnvInfo, EnvOpenOptions, RoTxn, RwTxn, WithoutTls};
use memmap2::{Advice, Mmap, MmapOptions};

/// Map sizes are multiples of this, which is a multiple of every page size in use.
const MAP_STEP_BYTES: usize = 64 * 1024;

/// When a commit is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// Pages and the meta page, at each commit.
    Full,
    /// Pages at each commit, the meta page with the next one.
    DataOnly,
    /// Only on [`Environment::sync`].
    OnRequest,
}

/// An open LMDB environment. Not cloneable, so that `&mut` is exclusive access.
#[derive(Debug)]
pub(crate) struct Environment {
    env: Env<WithoutTls>,
}

impl Environment {
    /// Opens the LMDB files in the folder `path`, creating them in an empty one.
    ///
    /// The caller holds the table's lock and has verified an existing file.
    pub(crate) fn open(path: &Path, map_bytes: usize, readers_max: u32, sync: SyncMode) -> heed::Result<Environment> {
        let sync_flags = match sync {
            SyncMode::Full => EnvFlags::empty(),
            SyncMode::DataOnly => EnvFlags::NO_META_SYNC,
            SyncMode::OnRequest => EnvFlags::NO_SYNC,
        };
        // A reader's slot belongs to its transaction, not to its thread. LMDB releases a thread's slot when the thread
        // ends, in a destructor that writes to the lock file's map. Closing the environment does not wait for it, so it
        // could write to unmapped memory.
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(rounded_map_bytes(map_bytes)).max_readers(readers_max);
        // SAFETY: see the head of this file.
        let env = unsafe { options.flags(EnvFlags::NO_READ_AHEAD | sync_flags).open(path)? };
        Ok(Environment { env })
    }

    /// The environment, for all safe calls.
    pub(crate) fn env(&self) -> &Env<WithoutTls> {
        &self.env
    }

    pub(crate) fn read_txn(&self) -> heed::Result<RoTxn<'_, WithoutTls>> {
        self.env.read_txn()
    }

    pub(crate) fn write_txn(&self) -> heed::Result<RwTxn<'_>> {
        self.env.write_txn()
    }

    pub(crate) fn info(&self) -> EnvInfo {
        self.env.info()
    }

    /// Writes everything committed so far to the disk.
    pub(crate) fn sync(&self) -> heed::Result<()> {
        self.env.force_sync()
    }

    /// Writes a compact copy of the newest snapshot to the file `path`, synced.
    pub(crate) fn copy_to(&self, path: &Path) -> heed::Result<()> {
        let file = self.env.copy_to_path(path, CompactionOption::Enabled)?;
        file.sync_all()?;
        Ok(())
    }

    /// Makes the map at least `map_bytes` long.
    pub(crate) fn enlarge(&mut self, map_bytes: usize) -> heed::Result<()> {
        let map_bytes = rounded_map_bytes(map_bytes);
        if self.info().map_size >= map_bytes {
            return Ok(());
        }
        // SAFETY: `&mut self` excludes every transaction; see the head of this file.
        unsafe { self.env.resize(map_bytes) }
    }
}

/// Maps this many bytes of an environment's file, which may be more than it has now.
pub(crate) fn map_file(file: &File, bytes: usize) -> io::Result<Mmap> {
    // SAFETY: see the head of this file.
    let map = unsafe { MmapOptions::new().len(bytes).map(file)? };
    // As in LMDB: links are looked up in random order. If this call fails, the system only reads a little too much.
    let _ = map.advise(Advice::Random);
    Ok(map)
}

fn rounded_map_bytes(map_bytes: usize) -> usize {
    map_bytes.max(MAP_STEP_BYTES).checked_next_multiple_of(MAP_STEP_BYTES).unwrap_or(usize::MAX - (MAP_STEP_BYTES - 1))
}
