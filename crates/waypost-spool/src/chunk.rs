//! Chunks, which the reader hands out: consecutive sequences of one epoch.

/// Why sequences were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossCause {
    /// There was no room: the disk was full, or the spool at its limit.
    Full,
    /// The bytes on the disk are not those that were written, or a power failure came before they were on the disk.
    Damaged,
    /// The payload was longer than [`RECORD_BYTES_MAX`](crate::RECORD_BYTES_MAX).
    TooLong,
}

impl LossCause {
    pub(crate) const fn code(self) -> u64 {
        match self {
            LossCause::Full => 1,
            LossCause::Damaged => 2,
            LossCause::TooLong => 3,
        }
    }

    pub(crate) const fn from_code(code: u64) -> Option<LossCause> {
        match code {
            1 => Some(LossCause::Full),
            2 => Some(LossCause::Damaged),
            3 => Some(LossCause::TooLong),
            _ => None,
        }
    }
}

/// A record, or a run of lost sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A record as it was appended.
    Record {
        /// Its sequence.
        sequence: u64,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// Sequences whose records are gone.
    Lost {
        /// The first of them.
        first_sequence: u64,
        /// How many, at least 1.
        count: u64,
        /// Why.
        cause: LossCause,
    },
}

/// A run of sequences that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first_sequence: u64,
    pub(crate) count: u64,
}

impl Run {
    /// The sequence after the run.
    pub(crate) fn end(self) -> u64 {
        self.first_sequence.saturating_add(self.count)
    }
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    Record { sequence: u64, start: u32, bytes: u32 },
    Lost { run: Run, cause: LossCause },
}

/// Consecutive sequences of one epoch: each of `first_sequence..next_sequence` is in exactly one entry.
#[derive(Debug)]
pub struct Chunk {
    epoch: u64,
    first_sequence: u64,
    next_sequence: u64,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

impl Chunk {
    /// The epoch it is of.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Its first sequence.
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// The sequence after its last: what to commit as [`Position::next_sequence`](crate::Position::next_sequence).
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Its entries, in the order of their sequences.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.pieces.iter().map(|piece| match *piece {
            Piece::Record { sequence, start, bytes } => {
                Entry::Record { sequence, payload: &self.bytes[start as usize..start as usize + bytes as usize] }
            }
            Piece::Lost { run, cause } => Entry::Lost { first_sequence: run.first_sequence, count: run.count, cause },
        })
    }

    pub(crate) fn new(epoch: u64, next_sequence: u64) -> Chunk {
        Chunk { epoch, first_sequence: next_sequence, next_sequence, bytes: Vec::new(), pieces: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Sequences of the chunk that were found damaged.
    pub(crate) fn damaged(&self) -> u64 {
        let damaged = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Lost { run, cause: LossCause::Damaged } => Some(run.count),
            Piece::Lost { .. } | Piece::Record { .. } => None,
        });
        damaged.sum()
    }

    /// Adds the next sequence as a record; `start` is in the bytes that [`Chunk::keep`] gets.
    pub(crate) fn push_record(&mut self, start: usize, bytes: usize) {
        let sequence = self.next_sequence;
        self.pieces.push(Piece::Record { sequence, start: start as u32, bytes: bytes as u32 });
        self.next_sequence += 1;
    }

    /// Declares all sequences before `until` lost for that cause; nothing if there are none.
    pub(crate) fn push_lost(&mut self, until: u64, cause: LossCause) {
        if until > self.next_sequence {
            let run = Run { first_sequence: self.next_sequence, count: until - self.next_sequence };
            self.pieces.push(Piece::Lost { run, cause });
            self.next_sequence = until;
        }
    }

    /// Declares all sequences before `until` lost: those in `full` for lack of room, others by damage.
    pub(crate) fn push_hole(&mut self, until: u64, full: Option<Run>) {
        if let Some(full) = full {
            self.push_lost(full.first_sequence.min(until), LossCause::Damaged);
            self.push_lost(full.end().min(until), LossCause::Full);
        }
        self.push_lost(until, LossCause::Damaged);
    }

    /// Hands over the bytes that the records are in.
    pub(crate) fn keep(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}
