//! The list of files: the segments of each epoch, free files for later segments, and the room they use.
//!
//! The catalog does no I/O and its lock is only held for look-ups. A name is entered before the file is made and taken
//! out after the file is gone, so that the room taken is never more than is counted.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::chunk::Run;
use crate::format::{SegmentId, free_name};
use crate::identity::edge_name;
use crate::live::LiveWriter;
use crate::sync::lock;

/// How many released files are kept for the next segments.
const FREE_FILES_MAX: usize = 2;
/// How many damaged segments are kept for a person to examine.
const DAMAGED_FILES_MAX: u64 = 4;

/// One segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) bytes: u64,
    /// From the header, if it was read at the start.
    pub(crate) first_sequence: Option<u64>,
    pub(crate) is_header_damaged: bool,
}

/// Who writes an epoch.
#[derive(Clone)]
pub(crate) enum Life {
    /// A writer of this run, which may be finished.
    Live(Arc<LiveWriter>),
    /// An earlier run.
    Earlier(Earlier),
}

/// What is known of an epoch of an earlier run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Earlier {
    /// What its slot in the file of losses says.
    pub(crate) losses: Option<Run>,
    /// Its slot in the files of losses and marks.
    pub(crate) slot: Option<usize>,
    /// Who wrote it, if that is known; otherwise this spool's own edge.
    pub(crate) edge: Option<u64>,
    /// The sequence after the last that its mark tells of; 0 if it has none.
    pub(crate) marked: u64,
    /// The sequence after its last; a lower bound until the reader has seen the whole epoch.
    pub(crate) end: u64,
}

#[derive(Clone)]
pub(crate) struct Epoch {
    pub(crate) life: Life,
    pub(crate) segments: BTreeMap<u32, SegmentFile>,
    /// Everything below this sequence is finished.
    pub(crate) committed: u64,
}

/// What is done with a finished segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disposal {
    Reuse { free_name: String },
    SetAside,
    Remove,
}

pub(crate) struct Catalog {
    segment_bytes: u64,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) epochs: BTreeMap<u64, Epoch>,
    free: Vec<String>,
    /// Files on their way into `free`.
    free_coming: usize,
    last_free: u64,
    damaged_files: u64,
    bytes: u64,
    /// Sums over epochs that have ended and are no longer in the catalog.
    past_appended: u64,
    past_lost: u64,
}

/// Sums for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) appended: u64,
    pub(crate) lost: u64,
    /// Writers that lose what is appended now.
    pub(crate) losing: u64,
    pub(crate) pending: u64,
    /// What earlier runs lost because there was no room, and the reader has not read yet.
    pub(crate) lost_before: u64,
    pub(crate) bytes: u64,
    pub(crate) segments: u64,
    pub(crate) writers: u64,
}

impl Epoch {
    fn new(life: Life) -> Epoch {
        Epoch { life, segments: BTreeMap::new(), committed: 1 }
    }

    /// The sequence after the last one known.
    pub(crate) fn end(&self) -> u64 {
        match &self.life {
            Life::Live(live) => live.progress.next_sequence(),
            Life::Earlier(earlier) => earlier.end,
        }
    }
}

impl Catalog {
    pub(crate) fn new(segment_bytes: u64, bytes_max: u64) -> Catalog {
        Catalog { segment_bytes, bytes_max, state: Mutex::new(State::default()) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Counts room for a new segment file; false when the limit is reached.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        let mut state = self.state();
        let fits = state.bytes.saturating_add(bytes) <= self.bytes_max;
        if fits {
            state.bytes += bytes;
        }
        fits
    }

    /// Subtracts room.
    pub(crate) fn unreserve(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// Takes a free file of that size from the list; its room stays counted.
    pub(crate) fn take_free(&self, bytes: u64) -> Option<String> {
        if bytes == self.segment_bytes { self.state().free.pop() } else { None }
    }

    /// Returns a free file to the list.
    pub(crate) fn put_free(&self, name: String) {
        self.state().free.push(name);
    }

    /// Enters a new segment, whose room is counted already.
    pub(crate) fn add_segment(&self, segment: SegmentId, bytes: u64) {
        let file = SegmentFile { bytes, first_sequence: None, is_header_damaged: false };
        if let Some(epoch) = self.state().epochs.get_mut(&segment.epoch) {
            epoch.segments.insert(segment.number, file);
        }
    }

    pub(crate) fn add_writer(&self, live: &Arc<LiveWriter>) {
        self.state().epochs.insert(live.epoch, Epoch::new(Life::Live(Arc::clone(live))));
    }

    /// All writers of this run whose epochs are not over.
    pub(crate) fn writers(&self) -> Vec<Arc<LiveWriter>> {
        let state = self.state();
        let live = state.epochs.values().filter_map(|epoch| match &epoch.life {
            Life::Live(live) => Some(Arc::clone(live)),
            Life::Earlier(_) => None,
        });
        live.collect()
    }

    /// Decides what becomes of a segment, and reserves a place for it if it is to be used again.
    pub(crate) fn plan_disposal(&self, file: SegmentFile) -> Disposal {
        let mut state = self.state();
        if file.is_header_damaged {
            let has_place = state.damaged_files < DAMAGED_FILES_MAX;
            return if has_place { Disposal::SetAside } else { Disposal::Remove };
        }
        if file.bytes != self.segment_bytes
            || state.free.len() + state.free_coming >= FREE_FILES_MAX
            || state.bytes > self.bytes_max
        {
            return Disposal::Remove;
        }
        state.free_coming += 1;
        state.last_free += 1;
        Disposal::Reuse { free_name: free_name(state.last_free) }
    }

    /// Records what was done with a segment, or that it still exists.
    pub(crate) fn book_disposal(&self, segment: SegmentId, disposal: Disposal, is_done: bool) {
        let mut state = self.state();
        if matches!(disposal, Disposal::Reuse { .. }) {
            state.free_coming -= 1;
        }
        if !is_done {
            return;
        }
        let epoch = state.epochs.get_mut(&segment.epoch);
        let file = epoch.and_then(|epoch| epoch.segments.remove(&segment.number));
        match disposal {
            Disposal::Reuse { free_name } => state.free.push(free_name),
            Disposal::SetAside => state.damaged_files += 1,
            Disposal::Remove => {
                state.bytes = state.bytes.saturating_sub(file.map_or(self.segment_bytes, |file| file.bytes));
            }
        }
    }

    /// Takes the slot from an epoch of an earlier run that has nothing in it but its mark, the oldest first.
    pub(crate) fn give_up_mark(&self) -> Option<usize> {
        let mut state = self.state();
        state.epochs.values_mut().find_map(|epoch| match &mut epoch.life {
            Life::Earlier(earlier) if earlier.losses.is_none() => earlier.slot.take(),
            Life::Earlier(_) | Life::Live(_) => None,
        })
    }

    pub(crate) fn sums(&self) -> Sums {
        let state = self.state();
        let mut sums =
            Sums { appended: state.past_appended, lost: state.past_lost, bytes: state.bytes, ..Sums::default() };
        for epoch in state.epochs.values() {
            sums.pending += epoch.end().saturating_sub(epoch.committed);
            sums.segments += epoch.segments.len() as u64;
            match &epoch.life {
                Life::Live(live) => {
                    sums.appended += live.progress.next_sequence() - 1;
                    sums.lost += live.progress.lost();
                    sums.losing += u64::from(live.loses());
                    sums.writers += u64::from(!live.is_finished.load(Ordering::Acquire));
                }
                Life::Earlier(Earlier { losses: Some(run), .. }) => {
                    sums.lost_before += run.end().saturating_sub(run.first_sequence.max(epoch.committed));
                }
                Life::Earlier(_) => {}
            }
        }
        sums
    }
}

impl State {
    /// An epoch of an earlier run, entered if it is new.
    pub(crate) fn earlier(&mut self, epoch: u64) -> (&mut Earlier, &mut BTreeMap<u32, SegmentFile>) {
        let entry = self
            .epochs
            .entry(epoch)
            .or_insert_with(|| Epoch::new(Life::Earlier(Earlier { end: 1, ..Earlier::default() })));
        match &mut entry.life {
            Life::Earlier(earlier) => (earlier, &mut entry.segments),
            Life::Live(_) => unreachable!("epochs of earlier runs are entered before there are writers"),
        }
    }

    /// The edges of epochs that another edge wrote.
    pub(crate) fn former(&self, own: u64) -> BTreeMap<u64, String> {
        let former = self.epochs.iter().filter_map(|(epoch, entry)| match &entry.life {
            Life::Earlier(Earlier { edge: Some(edge), .. }) if *edge != own => Some((*epoch, edge_name(*edge))),
            Life::Earlier(_) | Life::Live(_) => None,
        });
        former.collect()
    }

    /// Enters a file found at the start.
    pub(crate) fn find_free(&mut self, name: String, counter: u64, bytes: u64) {
        self.free.push(name);
        self.last_free = self.last_free.max(counter);
        self.bytes += bytes;
    }

    /// Counts a file found at the start that is not a free one.
    pub(crate) fn find_bytes(&mut self, bytes: u64, is_damaged: bool) {
        self.bytes += bytes;
        self.damaged_files += u64::from(is_damaged);
    }

    /// Removes an epoch that has ended. Returns its slot in the file of losses.
    pub(crate) fn forget(&mut self, epoch: u64) -> Option<usize> {
        match self.epochs.remove(&epoch)?.life {
            Life::Earlier(earlier) => earlier.slot,
            Life::Live(live) => {
                self.past_appended += live.progress.next_sequence() - 1;
                self.past_lost += live.progress.lost();
                Some(live.slot)
            }
        }
    }
}
