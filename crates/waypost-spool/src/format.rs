//! The bytes of a segment, and the names of files.
//!
//! All numbers are little-endian. A segment is a file of fixed size: a header, then records, each at a multiple of 8.
//!
//! ```text
//! header   0  "WPSPLSEG"          8  format version u32    12  segment number u32   16  epoch u64
//!         24  first sequence u64  32  edge id u64           40  checksum u64 over the first 40 bytes   48  zero
//! record   0  head u64: payload bytes (16 bits), kind (8 bits), MARK (40 bits)
//!          8  sequence u64        16  checksum u64          24  payload, then any bytes up to a multiple of 8
//! ```
//!
//! Kinds: 1 a record of the caller; 2 sequences that were lost before this point (first u64, count u64, cause u64); 3
//! the end of the segment, whose sequence is the one that follows it.
//!
//! The checksum is `(XXH3(payload) ^ place) * SPREAD`, where `place` is made of edge, epoch, segment number, sequence
//! and head. The same payload at another place has another checksum, so what a recycled file still holds, or what a
//! visitor put into a payload, does not pass for a record; and a record that is only half there does not either,
//! whatever half that is. Trust in a record needs no header: the file's name says epoch and number.
//!
//! Names: `seg-<epoch>-<number>` in hexadecimal (16 and 8 digits), `free-<counter>` for a file that waits to be used
//! again, `damaged-<name>` for a segment set aside.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::chunk::LossCause;

/// Version of every format in the folder.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Bytes of a record before its payload.
pub(crate) const RECORD_HEAD_BYTES: usize = 24;
/// Bytes of a loss record.
pub(crate) const LOSS_BYTES: usize = RECORD_HEAD_BYTES + 24;
/// The longest payload of a record, in bytes. A longer one is counted as lost.
pub const RECORD_BYTES_MAX: usize = 4096;

const MAGIC: [u8; 8] = *b"WPSPLSEG";
const MARK: u64 = 0xc11c_4a00_d500_0000;
const MARK_MASK: u64 = !0 << 24;
/// An odd constant (of the golden ratio) that spreads sequences over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Payload,
    Loss,
    End,
}

impl Kind {
    const fn code(self) -> u64 {
        match self {
            Kind::Payload => 1,
            Kind::Loss => 2,
            Kind::End => 3,
        }
    }
}

/// The first word of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) payload_bytes: usize,
}

impl Head {
    pub(crate) fn word(self) -> u64 {
        MARK | self.kind.code() << 16 | self.payload_bytes as u64
    }

    /// Reads a word that may be anything.
    pub(crate) fn read(word: u64) -> Option<Head> {
        if word & MARK_MASK != MARK {
            return None;
        }
        let payload_bytes = (word & 0xffff) as usize;
        let (kind, fits) = match word >> 16 & 0xff {
            1 => (Kind::Payload, payload_bytes <= RECORD_BYTES_MAX),
            2 => (Kind::Loss, payload_bytes == LOSS_BYTES - RECORD_HEAD_BYTES),
            3 => (Kind::End, payload_bytes == 0),
            _ => return None,
        };
        fits.then_some(Head { kind, payload_bytes })
    }

    pub(crate) fn record_bytes(self) -> usize {
        record_bytes(self.payload_bytes)
    }
}

/// Bytes that a record with such a payload takes up.
pub(crate) const fn record_bytes(payload_bytes: usize) -> usize {
    (RECORD_HEAD_BYTES + payload_bytes + 7) & !7
}

/// Which segment a record is in; part of its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentKey(u64);

impl SegmentKey {
    pub(crate) fn new(edge: u64, epoch: u64, number: u32) -> SegmentKey {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&edge.to_le_bytes());
        bytes[8..16].copy_from_slice(&epoch.to_le_bytes());
        bytes[16..].copy_from_slice(&number.to_le_bytes());
        SegmentKey(xxh3_64_with_seed(&bytes, 0))
    }

    pub(crate) fn checksum(self, head: u64, sequence: u64, payload: &[u8]) -> u64 {
        let place = (self.0 ^ sequence.wrapping_mul(SPREAD)).wrapping_add(head);
        (xxh3_64(payload) ^ place).wrapping_mul(SPREAD)
    }
}

/// Reads a word at that place; the caller has made sure that it is there.
pub(crate) fn word_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Writes a word at that place.
pub(crate) fn put_word(bytes: &mut [u8], at: usize, word: u64) {
    bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

/// The payload of a loss record.
pub(crate) fn loss_payload(first_sequence: u64, count: u64, cause: LossCause) -> [u8; LOSS_BYTES - RECORD_HEAD_BYTES] {
    let mut payload = [0; LOSS_BYTES - RECORD_HEAD_BYTES];
    put_word(&mut payload, 0, first_sequence);
    put_word(&mut payload, 8, count);
    put_word(&mut payload, 16, cause.code());
    payload
}

/// What the first bytes of a segment file say, seen against its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderState {
    /// The header belongs to this file, which that edge wrote: all sequences before this one are in earlier segments,
    /// or lost.
    Own { edge: u64, first_sequence: u64 },
    /// Zero, or the header from before the file was recycled: the segment was made ready and not used, or its header
    /// did not reach the disk before the power went.
    Unused,
    /// Unreadable.
    Damaged,
    /// Written by another version of the format.
    Foreign { version: u32 },
}

/// A segment's header as written.
pub(crate) fn header(edge: u64, segment: SegmentId, first_sequence: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    put_word(&mut bytes, 8, u64::from(segment.number) << 32 | u64::from(FORMAT_VERSION));
    put_word(&mut bytes, 16, segment.epoch);
    put_word(&mut bytes, 24, first_sequence);
    put_word(&mut bytes, 32, edge);
    let checksum = xxh3_64_with_seed(&bytes[..40], 0);
    put_word(&mut bytes, 40, checksum);
    bytes
}

/// Reads the first bytes of a segment file.
pub(crate) fn read_header(bytes: &[u8; HEADER_BYTES], segment: SegmentId) -> HeaderState {
    if bytes.iter().all(|byte| *byte == 0) {
        return HeaderState::Unused;
    }
    if bytes[..8] != MAGIC || word_at(bytes, 40) != xxh3_64_with_seed(&bytes[..40], 0) {
        return HeaderState::Damaged;
    }
    let version = word_at(bytes, 8) as u32;
    if version != FORMAT_VERSION {
        return HeaderState::Foreign { version };
    }
    let (edge, first_sequence) = (word_at(bytes, 32), word_at(bytes, 24));
    if *bytes == header(edge, segment, first_sequence) {
        HeaderState::Own { edge, first_sequence }
    } else {
        HeaderState::Unused
    }
}

/// The edge and the epoch that last wrote to a file that waits to be used again, as far as its first bytes say.
pub(crate) fn last_use(bytes: &[u8; HEADER_BYTES]) -> Option<(u64, u64)> {
    let is_sound = bytes[..8] == MAGIC && word_at(bytes, 40) == xxh3_64_with_seed(&bytes[..40], 0);
    is_sound.then(|| (word_at(bytes, 32), word_at(bytes, 16)))
}

/// Names a segment: its epoch, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentId {
    pub(crate) epoch: u64,
    pub(crate) number: u32,
}

/// What a file is, going by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    Segment(SegmentId),
    Free(u64),
    Damaged,
}

impl SegmentId {
    pub(crate) fn file_name(self) -> String {
        format!("seg-{:016x}-{:08x}", self.epoch, self.number)
    }

    /// The name of the segment when it is set aside.
    pub(crate) fn damaged_name(self) -> String {
        format!("damaged-{}", self.file_name())
    }
}

/// The name of a file that waits to be used again.
pub(crate) fn free_name(counter: u64) -> String {
    format!("free-{counter:016x}")
}

/// Reads a file name; `None` for what is not one of these.
pub(crate) fn parse_name(name: &str) -> Option<FileName> {
    if name.starts_with("damaged-") {
        return Some(FileName::Damaged);
    }
    if let Some(counter) = name.strip_prefix("free-") {
        return u64::from_str_radix(counter, 16).ok().map(FileName::Free);
    }
    let (epoch, number) = name.strip_prefix("seg-")?.split_once('-')?;
    let segment =
        SegmentId { epoch: u64::from_str_radix(epoch, 16).ok()?, number: u32::from_str_radix(number, 16).ok()? };
    (segment.file_name() == name).then_some(FileName::Segment(segment))
}
