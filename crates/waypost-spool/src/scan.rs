//! Finds records in bytes that may be damaged.

use crate::chunk::{LossCause, Run};
use crate::format::{Head, Kind, RECORD_HEAD_BYTES, SegmentKey, word_at};

/// What is at a place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record; its payload is that range of the bytes looked at.
    Record { sequence: u64, start: usize, bytes: usize },
    /// A declared loss.
    Loss { run: Run, cause: LossCause },
    /// The end of the segment, and the sequence that follows it.
    End { next_sequence: u64 },
    /// The bytes end here; perhaps in the middle of a record, so look again from here with more of them.
    Out,
}

/// Walks over a part of a segment.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    bytes: &'a [u8],
    key: SegmentKey,
    at: usize,
    /// No more bytes follow: what looks like the start of a longer record is damage.
    is_last: bool,
}

impl<'a> Walk<'a> {
    /// Looks at bytes that start at a multiple of 8 in their segment.
    pub(crate) fn new(bytes: &'a [u8], key: SegmentKey, is_last: bool) -> Walk<'a> {
        Walk { bytes, key, at: 0, is_last }
    }

    /// How far the walk is: everything before it has been handed out or is not a record.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next thing that verifies, however far away it is.
    pub(crate) fn next(&mut self) -> Found {
        while self.at + RECORD_HEAD_BYTES <= self.bytes.len() {
            let word = word_at(self.bytes, self.at);
            let Some(head) = Head::read(word) else {
                self.at += 8;
                continue;
            };
            if self.at + head.record_bytes() > self.bytes.len() {
                if self.is_last {
                    self.at += 8;
                    continue;
                }
                return Found::Out;
            }
            match self.verify(word, head) {
                Some(found) => {
                    self.at += head.record_bytes();
                    return found;
                }
                None => self.at += 8,
            }
        }
        if self.is_last {
            self.at = self.bytes.len();
        }
        Found::Out
    }

    fn verify(&self, word: u64, head: Head) -> Option<Found> {
        let sequence = word_at(self.bytes, self.at + 8);
        let start = self.at + RECORD_HEAD_BYTES;
        let payload = &self.bytes[start..start + head.payload_bytes];
        if word_at(self.bytes, self.at + 16) != self.key.checksum(word, sequence, payload) {
            return None;
        }
        match head.kind {
            Kind::Payload => Some(Found::Record { sequence, start, bytes: head.payload_bytes }),
            Kind::End => Some(Found::End { next_sequence: sequence }),
            Kind::Loss => {
                let run = Run { first_sequence: word_at(payload, 0), count: word_at(payload, 8) };
                LossCause::from_code(word_at(payload, 16)).map(|cause| Found::Loss { run, cause })
            }
        }
    }
}
