//! The handle of a spool: opening, numbers for metrics, closing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::SpoolError;
use crate::background;
use crate::disk::Disk;
use crate::files::FileSystem;
use crate::handle::Handle;
use crate::live::LiveWriter;
use crate::options::{NoRoom, SpoolOptions};
use crate::reader::Reader;
#[cfg(test)]
use crate::shared::Shared;
use crate::start;
use crate::sync::lock;
use crate::writer::Writer;

/// Numbers for metrics, read without I/O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolStats {
    /// Sequences used by the writers of this run, stored or lost.
    pub appended: u64,
    /// Those of them that were lost (no room, or too long a payload).
    pub lost: u64,
    /// Why what is appended now is lost, by some writer at least; `None` if there is room.
    pub losing: Option<NoRoom>,
    /// Sequences that no release has covered yet. What earlier runs left is counted from headers at first; the reader
    /// makes it exact as it goes.
    pub pending: u64,
    /// Sequences that the reader found damaged in this run.
    pub damaged: u64,
    /// The first epoch of this run.
    pub first_epoch: u64,
    /// Sequences of earlier runs that are known to have found no room and that no release has covered yet.
    pub lost_before: u64,
    /// Bytes of all segment files: in use, ready and set aside.
    pub bytes_on_disk: u64,
    /// Segments that hold, or are about to hold, what is not released.
    pub segments: u64,
    /// Writers that are open.
    pub writers: u64,
    /// Rounds of flushing.
    pub flushes: u64,
    /// Rounds in which something could not be flushed.
    pub flush_failures: u64,
    /// Segments of which some bytes may not have reached the disk.
    pub suspect_segments: u64,
    /// Time since the last round in which all was flushed; `None` before the first.
    pub last_flush_age: Option<Duration>,
}

/// A durable append-only log in a folder. Clones are the same spool.
#[derive(Clone)]
pub struct Spool {
    handle: Arc<Handle>,
}

impl Spool {
    /// Opens the spool in that folder, creating it (mode 0700) if it does not exist. What earlier runs left is kept for
    /// the reader; nothing there, however damaged, stops the start. One process at a time may have the folder open; the
    /// caller sees to that.
    ///
    /// # Errors
    ///
    /// The options are not valid, the folder belongs to something else or to another version, or it cannot be used.
    pub fn open(folder: &Path, options: SpoolOptions) -> Result<Spool, SpoolError> {
        let disk = Disk::new(folder).map_err(|source| SpoolError::Io {
            operation: "make the folder",
            path: folder.to_owned(),
            source,
        })?;
        Spool::open_on(Arc::new(disk), options)
    }

    /// Opens the spool in any folder of that kind.
    ///
    /// # Errors
    ///
    /// As [`Spool::open`].
    pub fn open_on(files: Arc<dyn FileSystem>, options: SpoolOptions) -> Result<Spool, SpoolError> {
        let spool = Spool::open_without_threads(files, options)?;
        let threads = background::start(&spool.handle.shared).map_err(SpoolError::Thread)?;
        spool.handle.keep_threads(threads);
        Ok(spool)
    }

    /// Opens the spool without what happens in the background.
    pub(crate) fn open_without_threads(files: Arc<dyn FileSystem>, options: SpoolOptions) -> Result<Spool, SpoolError> {
        options.check()?;
        let shared = Arc::new(start::open(files, options)?);
        Ok(Spool { handle: Arc::new(Handle::new(shared)) })
    }

    /// The random id of this folder, for as long as its identity is not lost: 16 hexadecimal digits.
    pub fn edge_id(&self) -> &str {
        &self.handle.shared.edge_id
    }

    /// Epochs of earlier runs that were written under another edge id, because the file that says it was lost since:
    /// each with that id. All others are of [`Spool::edge_id`]. Settled when the spool is opened.
    pub fn former_epochs(&self) -> &BTreeMap<u64, String> {
        &self.handle.shared.former
    }

    /// Opens a new epoch. It works with a full disk too: then appends are lost, and counted, until there is room.
    ///
    /// # Errors
    ///
    /// The epoch cannot be made durable, the spool is closed, or more than a thousand epochs have losses that are not
    /// released.
    pub fn writer(&self) -> Result<Writer, SpoolError> {
        let shared = &self.handle.shared;
        if shared.is_closing() {
            return Err(SpoolError::Closed);
        }
        let epoch = shared.take_epoch()?;
        let losses = match shared.losses.claim(&*shared.files, epoch) {
            Err(SpoolError::LossEntriesUsedUp { .. }) if let Some(slot) = shared.catalog.give_up_mark() => {
                shared.losses.free(slot);
                shared.losses.claim(&*shared.files, epoch)
            }
            claimed => claimed,
        }?;
        let live = Arc::new(LiveWriter::new(epoch, losses.slot()));
        shared.catalog.add_writer(&live);
        Ok(Writer::new(Arc::clone(&self.handle), live, losses))
    }

    /// The one reader; `None` while another is out. It starts at what was released in this run.
    pub fn reader(&self) -> Option<Reader> {
        let is_taken = self.handle.shared.is_reader_out.swap(true, Ordering::AcqRel);
        (!is_taken).then(|| Reader::new(Arc::clone(&self.handle)))
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> SpoolStats {
        let shared = &self.handle.shared;
        let sums = shared.catalog.sums();
        let last_success = *lock(&shared.flushed.last_success);
        SpoolStats {
            appended: sums.appended,
            lost: sums.lost,
            losing: shared.no_room(sums.losing),
            pending: sums.pending,
            damaged: shared.damaged.load(Ordering::Relaxed),
            first_epoch: shared.first_epoch,
            lost_before: sums.lost_before,
            bytes_on_disk: sums.bytes,
            segments: sums.segments,
            writers: sums.writers,
            flushes: shared.flushed.rounds.load(Ordering::Relaxed),
            flush_failures: shared.flushed.failures.load(Ordering::Relaxed),
            suspect_segments: shared.flushed.suspect_segments.load(Ordering::Relaxed),
            last_flush_age: last_success.map(|at| at.elapsed()),
        }
    }

    /// The background thread that has ended although it must not before [`Spool::close`]: nothing is flushed then, or
    /// no segment made.
    pub fn ended_thread(&self) -> Option<&'static str> {
        self.handle.has_ended_thread().then_some("a background thread of the spool")
    }

    /// Ends the background threads and flushes. Writers that are still open go on without them: what they append from
    /// here on survives a kill, but a power loss only after another call. Also done when the last clone, writer and
    /// reader are gone.
    pub fn close(&self) {
        self.handle.close();
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("edge_id", &self.edge_id()).field("stats", &self.stats()).finish()
    }
}
