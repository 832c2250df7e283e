//! A consumer that checks what it is given: each sequence of an epoch once, in order.

use std::collections::BTreeMap;

use crate::{Chunk, Entry, LossCause, Position, ReadLimit, Reader, SpoolOptions};

/// Small segments, so that a few records fill them.
pub(crate) fn small() -> SpoolOptions {
    SpoolOptions { segment_bytes: 8192, bytes_max: 1 << 20, ..SpoolOptions::default() }
}

/// A payload that tells what it is of.
pub(crate) fn payload(epoch: u64, sequence: u64, bytes: usize) -> Vec<u8> {
    let start = format!("{epoch}/{sequence}/");
    let mut payload = start.into_bytes();
    let filler = (epoch.wrapping_mul(31).wrapping_add(sequence) % 251) as u8;
    payload.resize(payload.len().max(bytes), filler);
    payload
}

/// What became of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Record(Vec<u8>),
    Lost(LossCause),
}

/// All that was handed out, by epoch; a sequence is its index plus 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    pub(crate) fates: BTreeMap<u64, Vec<Fate>>,
}

impl Consumer {
    /// Takes a chunk, checking that it goes on where the last one of its epoch ended.
    #[track_caller]
    pub(crate) fn take(&mut self, chunk: &Chunk) {
        let fates = self.fates.entry(chunk.epoch()).or_default();
        assert_eq!(chunk.first_sequence(), fates.len() as u64 + 1, "epoch {}", chunk.epoch());
        for entry in chunk.entries() {
            match entry {
                Entry::Record { sequence, payload } => {
                    assert_eq!(sequence, fates.len() as u64 + 1);
                    fates.push(Fate::Record(payload.to_vec()));
                }
                Entry::Lost { first_sequence, count, cause } => {
                    assert_eq!(first_sequence, fates.len() as u64 + 1);
                    assert!(count > 0);
                    fates.extend((0..count).map(|_| Fate::Lost(cause)));
                }
            }
        }
        assert_eq!(chunk.next_sequence(), fates.len() as u64 + 1);
        assert!(chunk.next_sequence() > chunk.first_sequence(), "an empty chunk");
    }

    /// Takes all there is.
    #[track_caller]
    pub(crate) fn drain(&mut self, reader: &mut Reader) {
        while let Some(chunk) = reader.next(ReadLimit { records: 7, bytes: 0 }).unwrap() {
            self.take(&chunk);
        }
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        let positions = self.fates.iter();
        positions.map(|(epoch, fates)| Position { epoch: *epoch, next_sequence: fates.len() as u64 + 1 }).collect()
    }

    pub(crate) fn of(&self, epoch: u64) -> &[Fate] {
        self.fates.get(&epoch).map_or(&[], Vec::as_slice)
    }
}
