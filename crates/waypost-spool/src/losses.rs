//! The file of losses: what each epoch lost last for lack of room, kept up to date when not a byte more can be had.
//!
//! ```text
//! 0     "WPSPLLOS"  version u32  zero  checksum u64 at 16 over the first 16 bytes
//! 1024  SLOTS slots of 64 bytes, each two halves:  epoch u64  first sequence u64  count u64  checksum u64
//! ```
//!
//! The file is made with the folder, so a full disk cannot take it away. Where it came here as a sparse copy and the
//! disk is full already, it is written instead of mapped: what finds no block then is told as long as the process
//! lives. A writer has a slot for its life and stores each new count into the half it did not store into before: a kill
//! in the middle leaves the other half, which is one click behind, and that click was never answered. Once the writer
//! has a segment again the same run is in a loss record there; what stays in the slot repeats it and does no harm. When
//! the power goes just after a second run has begun, and takes the segment between the two runs, the first run shows as
//! a hole: still declared lost, but as damage.

use std::sync::{Arc, Mutex};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::SpoolError;
use crate::chunk::Run;
use crate::files::{FileSystem, SpoolFile, on, read_full};
use crate::format::{FORMAT_VERSION, put_word, word_at};
use crate::mapping::{Mapping, Populate};
use crate::sync::lock;

/// The file's name.
pub(crate) const LOSSES: &str = "spool.losses";
/// Its name when it is set aside.
const LOSSES_DAMAGED: &str = "damaged-spool.losses";
/// How many epochs may have losses that are not released yet.
pub(crate) const SLOTS: usize = 1008;

const MAGIC: [u8; 8] = *b"WPSPLLOS";
const SLOTS_START: usize = 1024;
const HALF_BYTES: usize = 32;
const SLOT_BYTES: usize = 2 * HALF_BYTES;
const FILE_BYTES: usize = SLOTS_START + SLOTS * SLOT_BYTES;

/// The open file, and which slots are taken.
pub(crate) struct Losses {
    /// `None` if it was gone and could not be made again.
    file: Option<Arc<dyn SpoolFile>>,
    /// It has all its blocks, so it can be mapped.
    is_allocated: bool,
    edge: u64,
    slots: Mutex<Slots>,
}

struct Slots {
    pages: Pages,
    taken: Vec<bool>,
}

/// How the file is stored to.
enum Pages {
    Mapped(Mapping),
    /// A store to a map could find the disk full, which is a signal; a write can only fail.
    Written(Arc<dyn SpoolFile>),
    Nowhere,
}

impl Pages {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        match self {
            Pages::Mapped(mapping) => mapping[at..at + bytes.len()].copy_from_slice(bytes),
            // What cannot be written is known to this process all the same, and the start said that it may be lost with
            // it.
            Pages::Written(file) => drop(file.write_at(bytes, at as u64)),
            Pages::Nowhere => {}
        }
    }
}

/// What a slot held when the file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) slot: usize,
    pub(crate) edge: u64,
    pub(crate) epoch: u64,
    pub(crate) run: Run,
}

impl Losses {
    /// Makes the file of a new folder. Its name is durable once the folder is synced.
    pub(crate) fn create(files: &dyn FileSystem, edge: u64) -> Result<Losses, SpoolError> {
        let file = files.create(LOSSES, FILE_BYTES as u64, Populate::Lazily).map_err(on(files, "create", LOSSES))?;
        let losses = Losses::new(files, (Some(file.into()), true), edge)?;
        losses.sync(files)?;
        Ok(losses)
    }

    /// With no slot taken.
    fn new(
        files: &dyn FileSystem,
        (file, is_allocated): (Option<Arc<dyn SpoolFile>>, bool),
        edge: u64,
    ) -> Result<Losses, SpoolError> {
        let slots = Mutex::new(Slots { pages: Pages::Nowhere, taken: vec![false; SLOTS] });
        let losses = Losses { file, is_allocated, edge, slots };
        let mut pages = losses.pages(files)?;
        pages.put(0, &header());
        lock(&losses.slots).pages = pages;
        Ok(losses)
    }

    /// A way of its own to store to the file.
    fn pages(&self, files: &dyn FileSystem) -> Result<Pages, SpoolError> {
        match &self.file {
            Some(file) if self.is_allocated => {
                Ok(Pages::Mapped(file.map(Populate::Now).map_err(on(files, "map", LOSSES))?))
            }
            Some(file) => Ok(Pages::Written(Arc::clone(file))),
            None => Ok(Pages::Nowhere),
        }
    }

    /// Opens the file and finds what one of these edges lost (the first is this spool's own). One that is missing or
    /// has the wrong size is made again, since the start must not depend on it; nor on room for it.
    pub(crate) fn open(files: &dyn FileSystem, edges: &[u64]) -> Result<(Losses, Vec<Remembered>), SpoolError> {
        let edge = edges[0];
        let listed = files.list().map_err(on(files, "list", ""))?;
        let bytes = listed.iter().find(|(name, _)| name == LOSSES).map(|(_, bytes)| *bytes);
        if bytes != Some(FILE_BYTES as u64) {
            tracing::error!(file = %files.path(LOSSES).display(), "the spool's file of losses is missing; created again");
            if bytes.is_some() {
                files.rename(LOSSES, LOSSES_DAMAGED).map_err(on(files, "rename", LOSSES))?;
            }
            let losses = Losses::create(files, edge).or_else(|error| {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no file of losses: a kill forgets how many clicks found no room"
                );
                Losses::new(files, (None, false), edge)
            });
            return Ok((losses?, Vec::new()));
        }
        let file = files.open(LOSSES).map_err(on(files, "open", LOSSES))?;
        let mut content = vec![0; FILE_BYTES];
        read_full(&*file, &mut content, 0).map_err(on(files, "read", LOSSES))?;
        if content[..8] == MAGIC && word_at(&content, 16) == xxh3_64_with_seed(&content[..16], 0) {
            let found = word_at(&content, 8) as u32;
            if found != FORMAT_VERSION {
                return Err(SpoolError::ForeignVersion { path: files.path(LOSSES), found, known: FORMAT_VERSION });
            }
        }
        let allocated = file.allocate(FILE_BYTES as u64);
        if let Err(error) = &allocated {
            tracing::error!(file = %files.path(LOSSES).display(), error = error as &dyn std::error::Error, "no room for all of the file of losses: a kill may forget how many clicks found none");
        }
        let losses = Losses::new(files, (Some(file.into()), allocated.is_ok()), edge)?;
        let remembered: Vec<Remembered> = (0..SLOTS).filter_map(|slot| remember(&content, slot, edges)).collect();
        for slot in &remembered {
            losses.take(slot.slot);
        }
        Ok((losses, remembered))
    }

    /// Keeps a slot from being claimed; false when it is taken.
    pub(crate) fn take(&self, slot: usize) -> bool {
        !std::mem::replace(&mut lock(&self.slots).taken[slot], true)
    }

    /// Takes a free slot for an epoch. Nothing in it verifies: it was cleared when it was freed.
    pub(crate) fn claim(&self, files: &dyn FileSystem, epoch: u64) -> Result<LossSlot, SpoolError> {
        let pages = self.pages(files)?;
        let mut slots = lock(&self.slots);
        let Some(slot) = slots.taken.iter().position(|taken| !taken) else {
            return Err(SpoolError::LossEntriesUsedUp { path: files.path(LOSSES) });
        };
        slots.taken[slot] = true;
        Ok(LossSlot { pages, slot, epoch, edge: self.edge, half: 0 })
    }

    /// Gives a slot back: everything in it has been released.
    pub(crate) fn free(&self, slot: usize) {
        let mut slots = lock(&self.slots);
        let start = SLOTS_START + slot * SLOT_BYTES;
        slots.pages.put(start, &[0; SLOT_BYTES]);
        slots.taken[slot] = false;
    }

    pub(crate) fn sync(&self, files: &dyn FileSystem) -> Result<(), SpoolError> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync()).map_err(on(files, "sync", LOSSES))
    }
}

/// One writer's slot. It maps the file for itself, so that storing takes no lock.
pub(crate) struct LossSlot {
    pages: Pages,
    slot: usize,
    epoch: u64,
    edge: u64,
    half: usize,
}

impl LossSlot {
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// Stores the run in place of the last one.
    pub(crate) fn store(&mut self, run: Run) {
        let start = SLOTS_START + self.slot * SLOT_BYTES + self.half * HALF_BYTES;
        let mut half = [0; HALF_BYTES];
        put_word(&mut half, 0, self.epoch);
        put_word(&mut half, 8, run.first_sequence);
        put_word(&mut half, 16, run.count);
        let checksum = xxh3_64_with_seed(&half[..24], self.edge);
        put_word(&mut half, 24, checksum);
        self.pages.put(start, &half);
        self.half ^= 1;
    }
}

fn header() -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&MAGIC);
    put_word(&mut bytes, 8, u64::from(FORMAT_VERSION));
    let checksum = xxh3_64_with_seed(&bytes[..16], 0);
    put_word(&mut bytes, 16, checksum);
    bytes
}

fn remember(content: &[u8], slot: usize, edges: &[u64]) -> Option<Remembered> {
    let start = SLOTS_START + slot * SLOT_BYTES;
    let halves = [start, start + HALF_BYTES].into_iter().filter_map(|at| {
        let half = &content[at..at + HALF_BYTES];
        let run = Run { first_sequence: word_at(half, 8), count: word_at(half, 16) };
        let is_sound = |edge: &&u64| word_at(half, 24) == xxh3_64_with_seed(&half[..24], **edge);
        let edge = edges.iter().find(is_sound).filter(|_| run.count > 0)?;
        Some(Remembered { slot, edge: *edge, epoch: word_at(half, 0), run })
    });
    halves.max_by_key(|half| (half.epoch, half.run.end()))
}
