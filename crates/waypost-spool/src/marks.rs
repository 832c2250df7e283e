//! The file of marks: how far each epoch was when it was last flushed, so that a segment which disappears is missed.
//!
//! ```text
//! 0     "WPSPLMRK"  version u32  zero  checksum u64 at 16 over the first 16 bytes
//! 1024  SLOTS slots of 32 bytes:  epoch u64  next sequence u64  edge id u64  checksum u64
//! ```
//!
//! A writer's slot has the number of its slot in the file of losses. The flusher writes into it what the writer has
//! used by then, after the records are on the disk; a redirect never does. So after a kill it is behind by at most what
//! came in one flush interval. What is not read of an epoch up to its mark is declared lost; what came after the mark,
//! in a segment that nobody finds, nobody can tell of. Without the file nothing else is missing.
//!
//! A mark also says whose epoch that was: an epoch keeps its edge id if the folder has got another one since.

use std::io;

use xxhash_rust::xxh3::xxh3_64;

use crate::files::{FileSystem, SpoolFile, read_full};
use crate::format::{FORMAT_VERSION, put_word, word_at};
use crate::losses::SLOTS;
use crate::mapping::Populate;

/// The file's name.
pub(crate) const MARKS: &str = "spool.marks";
/// Its name when it is set aside.
const MARKS_DAMAGED: &str = "damaged-spool.marks";

const MAGIC: [u8; 8] = *b"WPSPLMRK";
const SLOTS_START: usize = 1024;
const SLOT_BYTES: usize = 32;
const FILE_BYTES: usize = SLOTS_START + SLOTS * SLOT_BYTES;

/// How far an epoch was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) edge: u64,
    pub(crate) epoch: u64,
    /// The sequence after the last that was used.
    pub(crate) next_sequence: u64,
}

/// The open file; written to and never mapped.
pub(crate) struct Marks {
    /// `None` if it cannot be had.
    file: Option<Box<dyn SpoolFile>>,
}

impl Marks {
    /// Opens the file, or creates it. What is in its slots comes back with their numbers. The start does not depend on
    /// it.
    pub(crate) fn open(files: &dyn FileSystem, listed: &[(String, u64)]) -> (Marks, Vec<(usize, Mark)>) {
        let is_there = listed.iter().any(|(name, _)| name == MARKS);
        let opened = if is_there { open(files) } else { create(files).map(|file| (file, Vec::new())) };
        match opened {
            Ok((file, found)) => (Marks { file: Some(file) }, found),
            Err(error) => {
                tracing::error!(file = %files.path(MARKS).display(), error = &error as &dyn std::error::Error, "no file of marks: clicks of a segment that disappears are not missed");
                (Marks { file: None }, Vec::new())
            }
        }
    }

    /// Writes a mark into its slot; `None` empties it.
    pub(crate) fn put(&self, slot: usize, mark: Option<Mark>) -> io::Result<()> {
        let bytes = mark.map_or([0; SLOT_BYTES], to_bytes);
        let at = (SLOTS_START + slot * SLOT_BYTES) as u64;
        self.file.as_ref().map_or(Ok(()), |file| file.write_at(&bytes, at))
    }

    /// Empties a slot. If that fails, the mark is of an epoch that is done with and does no harm.
    pub(crate) fn clear(&self, slot: usize) {
        drop(self.put(slot, None));
    }
}

type Opened = (Box<dyn SpoolFile>, Vec<(usize, Mark)>);

/// Opens the file, or sets a damaged one aside and creates another.
fn open(files: &dyn FileSystem) -> io::Result<Opened> {
    let mut content = vec![0; FILE_BYTES];
    let file = files.open(MARKS)?;
    let filled = read_full(&*file, &mut content, 0)?;
    if filled == FILE_BYTES && content[..24] == header() {
        let slots = content[SLOTS_START..].chunks_exact(SLOT_BYTES).enumerate();
        return Ok((file, slots.filter_map(|(slot, bytes)| Some((slot, from_bytes(bytes)?))).collect()));
    }
    tracing::error!(file = %files.path(MARKS).display(), "the spool's file of marks is damaged; created again");
    files.rename(MARKS, MARKS_DAMAGED)?;
    Ok((create(files)?, Vec::new()))
}

fn create(files: &dyn FileSystem) -> io::Result<Box<dyn SpoolFile>> {
    let file = files.create(MARKS, FILE_BYTES as u64, Populate::Lazily)?;
    match file.write_at(&header(), 0) {
        Ok(()) => Ok(file),
        Err(error) => {
            files.remove(MARKS)?;
            Err(error)
        }
    }
}

fn header() -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&MAGIC);
    put_word(&mut bytes, 8, u64::from(FORMAT_VERSION));
    let checksum = xxh3_64(&bytes[..16]);
    put_word(&mut bytes, 16, checksum);
    bytes
}

fn to_bytes(mark: Mark) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    put_word(&mut bytes, 0, mark.epoch);
    put_word(&mut bytes, 8, mark.next_sequence);
    put_word(&mut bytes, 16, mark.edge);
    let checksum = xxh3_64(&bytes[..24]);
    put_word(&mut bytes, 24, checksum);
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Mark> {
    let mark = Mark { epoch: word_at(bytes, 0), next_sequence: word_at(bytes, 8), edge: word_at(bytes, 16) };
    (mark.next_sequence > 1 && word_at(bytes, 24) == xxh3_64(&bytes[..24])).then_some(mark)
}
