//! What a writer shares with the reader and the background threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::chunk::Run;
use crate::files::SpoolFile;
use crate::mapping::Mapping;

/// A place in an epoch: up to where in which segment. No segment is there yet when the number is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) number: u32,
    /// In bytes; a multiple of 8.
    pub(crate) offset: u64,
}

/// One writer's shared state.
pub(crate) struct LiveWriter {
    pub(crate) epoch: u64,
    /// Its slot in the file of losses.
    pub(crate) slot: usize,
    pub(crate) progress: Progress,
    /// The writer is in its first segment: set before it says how far, unset with the next.
    pub(crate) is_in_first: AtomicBool,
    /// The writer loses sequences for lack of room: set by its first loss, unset when it has a segment again.
    pub(crate) is_losing: AtomicBool,
    /// A segment waits in `spare`.
    pub(crate) is_ready: AtomicBool,
    /// The number of a segment that should take no more records, since it could not be synced; 0 for none.
    pub(crate) retire: AtomicU64,
    /// The sequence that its mark says.
    pub(crate) marked: AtomicU64,
    /// The writer is gone; nothing above changes any more.
    pub(crate) is_finished: AtomicBool,
    /// Held while a segment is made ready, unlike other locks, since the only other party to want it is the writer that
    /// needs this very segment.
    pub(crate) spare: Mutex<Spare>,
    /// Segments with bytes that may not be on the disk; the flusher takes them out.
    pub(crate) unflushed: Mutex<Vec<Arc<OpenSegment>>>,
    /// Maps the writer is done with. Unmapping takes a while, so the flusher does it.
    pub(crate) unmapped: Mutex<Vec<Mapping>>,
}

/// The next segment, and the count of them.
pub(crate) struct Spare {
    pub(crate) last_number: u32,
    pub(crate) prepared: Option<Prepared>,
}

/// A segment that no record is in yet.
pub(crate) struct Prepared {
    pub(crate) number: u32,
    pub(crate) mapping: Mapping,
}

/// A segment as the flusher sees it.
pub(crate) struct OpenSegment {
    pub(crate) number: u32,
    pub(crate) file: Box<dyn SpoolFile>,
    /// Up to which offset it was synced.
    pub(crate) synced: AtomicU64,
}

/// How far the writer is. On lines of the cache of its own, since the writer stores to them with every append.
#[repr(align(128))]
pub(crate) struct Progress {
    next_sequence: AtomicU64,
    place: AtomicU64,
    lost_first: AtomicU64,
    lost: AtomicU64,
}

impl LiveWriter {
    pub(crate) fn new(epoch: u64, slot: usize) -> LiveWriter {
        LiveWriter {
            epoch,
            slot,
            progress: Progress {
                next_sequence: AtomicU64::new(1),
                place: AtomicU64::new(0),
                lost_first: AtomicU64::new(0),
                lost: AtomicU64::new(0),
            },
            is_in_first: AtomicBool::new(false),
            is_losing: AtomicBool::new(false),
            is_ready: AtomicBool::new(false),
            retire: AtomicU64::new(0),
            marked: AtomicU64::new(1),
            is_finished: AtomicBool::new(false),
            spare: Mutex::new(Spare { last_number: 0, prepared: None }),
            unflushed: Mutex::new(Vec::new()),
            unmapped: Mutex::new(Vec::new()),
        }
    }
}

impl LiveWriter {
    /// Whether what is appended now is lost. A writer that has lost sequences and finds a segment ready loses no more.
    pub(crate) fn loses(&self) -> bool {
        self.is_losing.load(Ordering::Acquire)
            && !self.is_ready.load(Ordering::Acquire)
            && !self.is_finished.load(Ordering::Acquire)
    }
}

impl Progress {
    /// Publishes bytes. What was stored before can be read once this is seen.
    pub(crate) fn set_place(&self, place: Place) {
        self.place.store((u64::from(place.number) << 32) | (place.offset / 8), Ordering::Release);
    }

    /// Publishes sequences, after their bytes: who reads this before the place knows that each sequence below is either
    /// in the bytes or lost.
    pub(crate) fn set_next_sequence(&self, next_sequence: u64) {
        self.next_sequence.store(next_sequence, Ordering::Release);
    }

    pub(crate) fn place(&self) -> Place {
        let packed = self.place.load(Ordering::Acquire);
        Place { number: (packed >> 32) as u32, offset: (packed & 0xffff_ffff) * 8 }
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence.load(Ordering::Acquire)
    }

    /// Says that a run of losses starts there.
    pub(crate) fn start_losing(&self, first_sequence: u64) {
        self.lost_first.store(first_sequence, Ordering::Relaxed);
    }

    pub(crate) fn add_lost(&self) {
        // Only the writer stores, so this needs no read-modify-write.
        self.lost.store(self.lost.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// How many sequences were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The last run of sequences lost for lack of room, seen from a sequence that was read before.
    pub(crate) fn last_run(&self, next_sequence: u64) -> Option<Run> {
        let first_sequence = self.lost_first.load(Ordering::Relaxed);
        let is_known = first_sequence != 0 && first_sequence < next_sequence;
        is_known.then(|| Run { first_sequence, count: next_sequence - first_sequence })
    }
}
