//! The file of losses: what each epoch lost last for want of room, kept up to date when not a byte more can be had.
//!
//! ```text
//! 0     "WPSPLLOS"  version u32  zero  checksum u64 at 16 over the first 16 bytes
//! 1024  SLOTS slots of 64 bytes, each two halves:  epoch u64  first sequence u64  count u64  checksum u64
//! ```
//!
//! The file is made with the folder, so a full disk cannot take it away. A writer has a slot for its life and stores
//! each new count into the half it did not store into before: a kill in the middle leaves the other half, which is one
//! click behind, and that click was never answered. Once the writer has a segment again the same run is in a loss record
//! there; what stays in the slot repeats it and does no harm. When the power goes just after a second run has begun, and
//! takes the segment between the two runs, the first run shows as a hole: still declared lost, but as damage.

use std::sync::Mutex;

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
    file: Box<dyn SpoolFile>,
    edge: u64,
    slots: Mutex<Slots>,
}

struct Slots {
    mapping: Mapping,
    taken: Vec<bool>,
}

/// What a slot held when the file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) slot: usize,
    pub(crate) epoch: u64,
    pub(crate) run: Run,
}

impl Losses {
    /// Makes the file of a new folder. Its name is durable once the folder is synced.
    pub(crate) fn create(files: &dyn FileSystem, edge: u64) -> Result<Losses, SpoolError> {
        let file = files.create(LOSSES, FILE_BYTES as u64, Populate::Lazily).map_err(on(files, "create", LOSSES))?;
        let mut mapping = file.map(Populate::Now).map_err(on(files, "map", LOSSES))?;
        mapping[..24].copy_from_slice(&header());
        file.sync().map_err(on(files, "sync", LOSSES))?;
        Ok(Losses { file, edge, slots: Mutex::new(Slots { mapping, taken: vec![false; SLOTS] }) })
    }

    /// Opens the file. One that is missing or has the wrong size is made anew, since the start must not depend on it.
    pub(crate) fn open(files: &dyn FileSystem, edge: u64) -> Result<(Losses, Vec<Remembered>), SpoolError> {
        let listed = files.list().map_err(on(files, "list", ""))?;
        let bytes = listed.iter().find(|(name, _)| name == LOSSES).map(|(_, bytes)| *bytes);
        if bytes != Some(FILE_BYTES as u64) {
            tracing::error!(file = %files.path(LOSSES).display(), "the spool's file of losses is not there; made anew");
            if bytes.is_some() {
                files.rename(LOSSES, LOSSES_DAMAGED).map_err(on(files, "rename", LOSSES))?;
            }
            return Ok((Losses::create(files, edge)?, Vec::new()));
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
        let mut mapping = file.map(Populate::Now).map_err(on(files, "map", LOSSES))?;
        mapping[..24].copy_from_slice(&header());
        let remembered: Vec<Remembered> = (0..SLOTS).filter_map(|slot| remember(&content, slot, edge)).collect();
        let mut taken = vec![false; SLOTS];
        for slot in &remembered {
            taken[slot.slot] = true;
        }
        Ok((Losses { file, edge, slots: Mutex::new(Slots { mapping, taken }) }, remembered))
    }

    /// Takes a free slot for an epoch. Nothing in it verifies: it was cleared when it was freed.
    pub(crate) fn claim(&self, files: &dyn FileSystem, epoch: u64) -> Result<LossSlot, SpoolError> {
        let mapping = self.file.map(Populate::Now).map_err(on(files, "map", LOSSES))?;
        let mut slots = lock(&self.slots);
        let Some(slot) = slots.taken.iter().position(|taken| !taken) else {
            return Err(SpoolError::LossEntriesUsedUp { path: files.path(LOSSES) });
        };
        slots.taken[slot] = true;
        Ok(LossSlot { mapping, slot, epoch, edge: self.edge, half: 0 })
    }

    /// Gives a slot back: everything in it has been released.
    pub(crate) fn free(&self, slot: usize) {
        let mut slots = lock(&self.slots);
        let start = SLOTS_START + slot * SLOT_BYTES;
        slots.mapping[start..start + SLOT_BYTES].fill(0);
        slots.taken[slot] = false;
    }

    pub(crate) fn sync(&self, files: &dyn FileSystem) -> Result<(), SpoolError> {
        self.file.sync().map_err(on(files, "sync", LOSSES))
    }
}

/// One writer's slot. It maps the file for itself, so that storing takes no lock.
pub(crate) struct LossSlot {
    mapping: Mapping,
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
        self.mapping[start..start + HALF_BYTES].copy_from_slice(&half);
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

fn remember(content: &[u8], slot: usize, edge: u64) -> Option<Remembered> {
    let start = SLOTS_START + slot * SLOT_BYTES;
    let halves = [start, start + HALF_BYTES].into_iter().filter_map(|at| {
        let half = &content[at..at + HALF_BYTES];
        let run = Run { first_sequence: word_at(half, 8), count: word_at(half, 16) };
        let is_sound = run.count > 0 && word_at(half, 24) == xxh3_64_with_seed(&half[..24], edge);
        is_sound.then(|| Remembered { slot, epoch: word_at(half, 0), run })
    });
    halves.max_by_key(|half| (half.epoch, half.run.end()))
}
