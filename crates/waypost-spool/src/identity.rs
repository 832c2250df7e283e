//! The file that makes a folder a spool: its edge id, and the counter of epochs.
//!
//! ```text
//! 0     copy A:  "WPSPLIDN"  version u32  zero u32  edge id u64  next epoch u64  generation u64  checksum u64
//! 4096  copy B:  the same
//! ```
//!
//! Copies are written in turn, so that one survives when the power goes while the other is written. An epoch is handed
//! out after the copy that says it is used has been synced. Where one copy is unreadable it may have been the newer
//! one, so the epoch that it alone may have told of is skipped. Where both are, or the file is gone, the folder gets
//! another edge id, and epochs go on behind all that the folder knows of: what is in it keeps edge id and epoch that it
//! was written under.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::SpoolError;
use crate::files::{FileSystem, SpoolFile, on, read_full};
use crate::format::{FORMAT_VERSION, put_word, word_at};
use crate::mapping::Populate;

/// The file's name.
pub(crate) const IDENTITY: &str = "spool.identity";
/// Its name until it is complete.
pub(crate) const IDENTITY_NEW: &str = "spool.identity.new";

/// The name of a damaged one that is set aside.
pub(crate) const IDENTITY_DAMAGED: &str = "damaged-spool.identity";

const MAGIC: [u8; 8] = *b"WPSPLIDN";
const COPY_BYTES: usize = 48;
const COPY_B: usize = 4096;
const FILE_BYTES: usize = 2 * COPY_B;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Copy {
    edge: u64,
    next_epoch: u64,
    generation: u64,
}

/// The open file.
pub(crate) struct Identity {
    /// Written to and never mapped: it may come from a sparse copy, and the disk may be full.
    file: Box<dyn SpoolFile>,
    last: Copy,
}

impl Identity {
    /// Makes the file, durable before this returns. Epochs are handed out from `next_epoch` on.
    pub(crate) fn create(files: &dyn FileSystem, edge: u64, next_epoch: u64) -> Result<Identity, SpoolError> {
        let file = files.create(IDENTITY_NEW, FILE_BYTES as u64, Populate::Lazily).map_err(on(
            files,
            "create",
            IDENTITY_NEW,
        ))?;
        let last = Copy { edge, next_epoch, generation: 2 };
        for copy in [Copy { generation: 1, ..last }, last] {
            write(&*file, copy).map_err(on(files, "write", IDENTITY_NEW))?;
        }
        file.sync().map_err(on(files, "sync", IDENTITY_NEW))?;
        files.rename(IDENTITY_NEW, IDENTITY).map_err(on(files, "rename", IDENTITY_NEW))?;
        files.sync_folder().map_err(on(files, "sync", ""))?;
        Ok(Identity { file, last })
    }

    /// Opens the file of a folder that has one; `None` if nothing in it can be believed.
    pub(crate) fn open(files: &dyn FileSystem) -> Result<Option<Identity>, SpoolError> {
        let path = files.path(IDENTITY);
        let file = files.open(IDENTITY).map_err(on(files, "open", IDENTITY))?;
        let mut bytes = vec![0; FILE_BYTES];
        let filled = read_full(&*file, &mut bytes, 0).map_err(on(files, "read", IDENTITY))?;
        if filled < FILE_BYTES {
            return Ok(None);
        }
        let copies = [read(&bytes[..COPY_BYTES]), read(&bytes[COPY_B..COPY_B + COPY_BYTES])];
        if let Some(found) = copies.iter().find_map(|copy| copy.as_ref().err().copied().flatten()) {
            return Err(SpoolError::ForeignVersion { path, found, known: FORMAT_VERSION });
        }
        let last = match copies {
            [Ok(a), Ok(b)] if a.generation > b.generation => a,
            [Ok(_), Ok(b)] => b,
            [Ok(one), Err(_)] | [Err(_), Ok(one)] => Copy { next_epoch: one.next_epoch + 1, ..one },
            [Err(_), Err(_)] => return Ok(None),
        };
        Ok(Some(Identity { file, last }))
    }

    /// The random number of this folder.
    pub(crate) fn edge(&self) -> u64 {
        self.last.edge
    }

    /// Makes sure that no epoch up to this one is handed out.
    pub(crate) fn skip_past(&mut self, epoch: u64) {
        self.last.next_epoch = self.last.next_epoch.max(epoch + 1);
    }

    /// The epoch that is handed out next.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.last.next_epoch
    }

    /// Takes an epoch that was never used. When the file cannot be written and synced the epoch is never handed out.
    pub(crate) fn take_epoch(&mut self, files: &dyn FileSystem) -> Result<u64, SpoolError> {
        let epoch = self.last.next_epoch;
        self.last.next_epoch += 1;
        // A copy that may be torn is the one to be written next time.
        let next = Copy { generation: self.last.generation + 1, ..self.last };
        write(&*self.file, next).map_err(on(files, "write", IDENTITY))?;
        self.last = next;
        self.file.sync().map_err(on(files, "sync", IDENTITY))?;
        Ok(epoch)
    }
}

/// An edge's number as everybody else knows it.
pub(crate) fn edge_name(edge: u64) -> String {
    format!("{edge:016x}")
}

/// A number that no other folder has. It is no secret; the standard library's hash keys are random enough, and need
/// neither a dependency nor a file.
pub(crate) fn random_edge() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn write(file: &dyn SpoolFile, copy: Copy) -> io::Result<()> {
    let start = if copy.generation.is_multiple_of(2) { 0 } else { COPY_B };
    let mut bytes = [0; COPY_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    put_word(&mut bytes, 8, u64::from(FORMAT_VERSION));
    put_word(&mut bytes, 16, copy.edge);
    put_word(&mut bytes, 24, copy.next_epoch);
    put_word(&mut bytes, 32, copy.generation);
    let checksum = xxh3_64_with_seed(&bytes[..40], 0);
    put_word(&mut bytes, 40, checksum);
    file.write_at(&bytes, start as u64)
}

/// Reads a copy. `Err(Some(version))` for a sound copy of another version, `Err(None)` for a damaged one.
fn read(bytes: &[u8]) -> Result<Copy, Option<u32>> {
    if bytes[..8] != MAGIC || word_at(bytes, 40) != xxh3_64_with_seed(&bytes[..40], 0) {
        return Err(None);
    }
    let version = word_at(bytes, 8) as u32;
    if version != FORMAT_VERSION {
        return Err(Some(version));
    }
    Ok(Copy { edge: word_at(bytes, 16), next_epoch: word_at(bytes, 24), generation: word_at(bytes, 32) })
}
