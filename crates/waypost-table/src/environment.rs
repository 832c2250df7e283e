//! The unsafe calls of this crate but for those of `places`: opening an LMDB environment, enlarging its map while nothing uses
//! it, and mapping the file once more, for look-ups.
//!
//! Why they are sound:
//!
//! - *Opening* maps a file that must not change behind the map. The table's folder is locked for one process (`LOCK`),
//!   only this crate's code writes to the file, and only through LMDB; the one other call on it (`Generation::reserve`)
//!   makes it longer, which the map does not see. The file's length has been compared with its meta page before
//!   (`lmdb_file`), so that no page of it lies past the end.
//! - *Flags*: without `NO_META_SYNC` and `NO_SYNC` LMDB only syncs more. `NO_META_SYNC` keeps the file consistent after
//!   a power loss, at most the last commit is gone. `NO_SYNC` is used for generations under construction, which no
//!   reader sees before they are synced and whose folder is discarded after a crash. Locking is never switched off.
//! - *The map for look-ups* is of the same file, under the same conditions, and is only read. LMDB changes the file behind it by
//!   writing, never a page that a read transaction protects; whoever reads other pages (`places`) takes bytes as they come. What
//!   of it lies past the file's end must not be read ([`map_file`]'s callers see to that).
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

/// When a commit is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// Pages and the meta page, at each commit.
    Full,
    /// Pages at each commit, the meta page with the next one.
    DataOnly,
    /// Only on [`Environment::sync`].
    OnRequest,
}

/// An open LMDB environment. Not cloneable, so that `&mut` really is the only access.
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
        // A reader's slot is its transaction's, not its thread's: that LMDB gives back at the thread's end, in a destructor which writes
        // to the lock file's map and which closing the environment does not wait for. It then writes to memory that is gone.
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(rounded_map_bytes(map_bytes)).max_readers(readers_max);
        // SAFETY: see the head of this file.
        let env = unsafe { options.flags(EnvFlags::NO_READ_AHEAD | sync_flags).open(path)? };
        Ok(Environment { env })
    }

    /// The environment for everything that is safe.
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

/// Maps this many bytes of the file of an environment, which may be more than it has just now.
pub(crate) fn map_file(file: &File, bytes: usize) -> io::Result<Mmap> {
    // SAFETY: see the head of this file.
    let map = unsafe { MmapOptions::new().len(bytes).map(file)? };
    // As LMDB has it: links are asked for in no order. Where the system cannot be told, it reads a little too much.
    let _ = map.advise(Advice::Random);
    Ok(map)
}

fn rounded_map_bytes(map_bytes: usize) -> usize {
    map_bytes.max(MAP_STEP_BYTES).checked_next_multiple_of(MAP_STEP_BYTES).unwrap_or(usize::MAX - (MAP_STEP_BYTES - 1))
}
