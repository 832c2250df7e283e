//! The state that all handles of one spool and its threads share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::SpoolError;
use crate::catalog::Catalog;
use crate::files::FileSystem;
use crate::identity::{Identity, edge_name};
use crate::losses::Losses;
use crate::marks::Marks;
use crate::options::{NoRoom, SpoolOptions};
use crate::sync::lock;

pub(crate) struct Shared {
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) options: SpoolOptions,
    pub(crate) edge: u64,
    pub(crate) edge_id: String,
    /// Held while the file is synced: only new writers need it, and each must wait for the one before.
    identity: Mutex<Identity>,
    /// The edges of epochs in the folder that another one than this wrote.
    pub(crate) former: BTreeMap<u64, String>,
    /// The first epoch of this run.
    pub(crate) first_epoch: u64,
    pub(crate) losses: Losses,
    pub(crate) marks: Marks,
    pub(crate) catalog: Catalog,
    pub(crate) is_reader_out: AtomicBool,
    pub(crate) flushed: Flushed,
    /// Sequences that the reader found damaged.
    pub(crate) damaged: AtomicU64,
    /// Whether the last attempt to create a segment failed at the limit of the spool, and not at the disk.
    is_at_limit: AtomicBool,
    /// Names have changed since the folder was synced.
    is_folder_dirty: AtomicBool,
    signals: Mutex<Signals>,
    signalled: Condvar,
}

/// Counts of the flusher.
#[derive(Default)]
pub(crate) struct Flushed {
    pub(crate) rounds: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) suspect_segments: AtomicU64,
    pub(crate) last_success: Mutex<Option<Instant>>,
    /// How many sequences were lost when the file of losses was last synced.
    pub(crate) lost: AtomicU64,
}

#[derive(Default)]
struct Signals {
    is_segment_wanted: bool,
    is_closing: bool,
}

impl Shared {
    pub(crate) fn new(
        files: Arc<dyn FileSystem>,
        options: SpoolOptions,
        identity: Identity,
        (losses, marks, catalog): (Losses, Marks, Catalog),
    ) -> Shared {
        let former = catalog.state().former(identity.edge());
        Shared {
            files,
            options,
            edge: identity.edge(),
            edge_id: edge_name(identity.edge()),
            former,
            first_epoch: identity.next_epoch(),
            identity: Mutex::new(identity),
            losses,
            marks,
            catalog,
            is_reader_out: AtomicBool::new(false),
            flushed: Flushed::default(),
            damaged: AtomicU64::new(0),
            is_at_limit: AtomicBool::new(false),
            is_folder_dirty: AtomicBool::new(false),
            signals: Mutex::new(Signals::default()),
            signalled: Condvar::new(),
        }
    }

    pub(crate) fn take_epoch(&self) -> Result<u64, SpoolError> {
        lock(&self.identity).take_epoch(&*self.files)
    }

    /// Records why there is no segment.
    pub(crate) fn note_no_room(&self, error: &SpoolError) {
        self.is_at_limit.store(matches!(error, SpoolError::Full { .. }), Ordering::Release);
    }

    /// Why that many writers lose what is appended.
    pub(crate) fn no_room(&self, losing: u64) -> Option<NoRoom> {
        (losing > 0).then(|| match self.is_at_limit.load(Ordering::Acquire) {
            true => NoRoom::Limit { bytes_max: self.options.bytes_max },
            false => NoRoom::Disk,
        })
    }

    pub(crate) fn mark_folder_dirty(&self) {
        self.is_folder_dirty.store(true, Ordering::Release);
    }

    /// Whether names have changed since this was last asked.
    pub(crate) fn take_folder_dirty(&self) -> bool {
        self.is_folder_dirty.swap(false, Ordering::AcqRel)
    }

    /// Notifies the preparer that a segment was taken, or that there may be room again.
    pub(crate) fn wake_preparer(&self) {
        lock(&self.signals).is_segment_wanted = true;
        self.signalled.notify_all();
    }

    /// Orders the threads to end. False if that was already ordered.
    pub(crate) fn start_closing(&self) -> bool {
        let mut signals = lock(&self.signals);
        let is_first = !signals.is_closing;
        signals.is_closing = true;
        self.signalled.notify_all();
        is_first
    }

    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.signals).is_closing
    }

    /// Waits until a segment is wanted or that time is over. False when the spool closes.
    pub(crate) fn wait_for_want(&self, at_most: Duration) -> bool {
        let signals = lock(&self.signals);
        let is_idle = |signals: &mut Signals| !signals.is_segment_wanted && !signals.is_closing;
        let waited = self.signalled.wait_timeout_while(signals, at_most, is_idle);
        let (mut signals, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        signals.is_segment_wanted = false;
        !signals.is_closing
    }

    /// Waits that time. False when the spool closes.
    pub(crate) fn wait_for_closing(&self, at_most: Duration) -> bool {
        let signals = lock(&self.signals);
        let waited = self.signalled.wait_timeout_while(signals, at_most, |signals| !signals.is_closing);
        let (signals, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        !signals.is_closing
    }
}
