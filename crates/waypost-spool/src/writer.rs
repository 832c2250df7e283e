//! Appends records: one writer per edge thread, one epoch per writer.
//!
//! An append is a copy into mapped memory, so the kernel has the record when the call returns and no kill takes it
//! away. It makes no system call, allocates nothing and takes no lock. Once per segment the writer takes the next one,
//! which a background thread has prepared.

use std::sync::Arc;
use std::sync::atomic::{Ordering, compiler_fence};

use crate::chunk::{LossCause, Run};
use crate::format::{
    HEADER_BYTES, Head, Kind, LOSS_BYTES, RECORD_BYTES_MAX, RECORD_HEAD_BYTES, SegmentId, SegmentKey, header,
    loss_payload, put_word, record_bytes,
};
use crate::handle::Handle;
use crate::live::{LiveWriter, Place};
use crate::losses::LossSlot;
use crate::mapping::Mapping;
use crate::segments;
use crate::sync::lock;

/// The result of an append. The sequence is used in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Appended {
    /// The kernel has the record: it survives the process. Until the next flush a power failure can lose it.
    Stored {
        /// The record's sequence.
        sequence: u64,
    },
    /// There was no room, or the payload is too long; that this sequence is lost is recorded, and survives the process.
    Lost {
        /// The sequence that the record would have had.
        sequence: u64,
    },
}

/// The one writer of an epoch.
pub struct Writer {
    live: Arc<LiveWriter>,
    /// `None` while sequences are being lost because there is no room.
    segment: Option<Active>,
    next_sequence: u64,
    /// The current run of losses, or the last one.
    run: Run,
    losses: LossSlot,
    handle: Arc<Handle>,
}

/// The segment that is written to.
struct Active {
    mapping: Mapping,
    key: SegmentKey,
    number: u32,
    offset: usize,
}

impl Writer {
    pub(crate) fn new(handle: Arc<Handle>, live: Arc<LiveWriter>, losses: LossSlot) -> Writer {
        let run = Run { first_sequence: 1, count: 0 };
        let mut writer = Writer { live, segment: None, next_sequence: 1, run, losses, handle };
        // Without room now, the first append is lost and the preparer tries again.
        let _ = writer.change_segment(1);
        writer
    }

    /// The number of this epoch: never used before in this folder, and never again.
    pub fn epoch(&self) -> u64 {
        self.live.epoch
    }

    /// Appends a record. It takes the next sequence whether or not it can be stored.
    #[inline]
    pub fn append(&mut self, payload: &[u8]) -> Appended {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let appended = match &mut self.segment {
            Some(segment) if segment.has_room(payload.len()) && !segment.is_retired(&self.live) => {
                segment.put(Kind::Payload, sequence, payload);
                self.live.progress.set_place(segment.place());
                Appended::Stored { sequence }
            }
            Some(_) | None => self.append_slowly(sequence, payload),
        };
        self.live.progress.set_next_sequence(self.next_sequence);
        appended
    }

    /// Appends if the segment is full or absent, or the payload too long.
    #[cold]
    fn append_slowly(&mut self, sequence: u64, payload: &[u8]) -> Appended {
        if !self.make_room(sequence, payload.len().min(RECORD_BYTES_MAX)) {
            self.lose(sequence);
            return Appended::Lost { sequence };
        }
        let Some(segment) = &mut self.segment else { unreachable!("room was made in a segment") };
        let appended = if payload.len() > RECORD_BYTES_MAX {
            segment.put(Kind::Loss, sequence, &loss_payload(sequence, 1, LossCause::TooLong));
            self.live.progress.add_lost();
            Appended::Lost { sequence }
        } else {
            segment.put(Kind::Payload, sequence, payload);
            Appended::Stored { sequence }
        };
        self.live.progress.set_place(segment.place());
        appended
    }

    /// Ensures that there is a segment with room for the payload, and for a loss record.
    fn make_room(&mut self, sequence: u64, payload_bytes: usize) -> bool {
        let wanted_bytes = payload_bytes.max(LOSS_BYTES - RECORD_HEAD_BYTES);
        match &self.segment {
            // While sequences are being lost only the flag is checked: not every append may try the disk.
            None => self.live.is_ready.load(Ordering::Acquire) && self.change_segment(sequence),
            Some(segment) if segment.has_room(wanted_bytes) => {
                if segment.is_retired(&self.live) && !self.change_segment(sequence) {
                    // A segment that may not reach the disk is better than none: continue with it.
                    self.live.retire.store(0, Ordering::Relaxed);
                }
                true
            }
            Some(_) => {
                let is_changed = self.change_segment(sequence);
                if !is_changed && let Some(full) = self.segment.take() {
                    self.seal(full, sequence);
                }
                is_changed
            }
        }
    }

    /// Continues in a new segment, whose first record will have that sequence. False when none can be had.
    fn change_segment(&mut self, sequence: u64) -> bool {
        let shared = &self.handle.shared;
        let Ok(prepared) = segments::take(shared, &self.live) else {
            // The preparer gets the same error, and logs it.
            return false;
        };
        let segment = SegmentId { epoch: self.live.epoch, number: prepared.number };
        let mut next = Active {
            key: SegmentKey::new(shared.edge, segment.epoch, segment.number),
            mapping: prepared.mapping,
            number: prepared.number,
            offset: HEADER_BYTES,
        };
        let lost = if self.segment.is_none() { self.run.count } else { 0 };
        let header = header(shared.edge, segment, sequence - lost);
        next.mapping[..HEADER_BYTES].copy_from_slice(&header);
        if lost > 0 {
            let payload = loss_payload(self.run.first_sequence, lost, LossCause::Full);
            next.put(Kind::Loss, self.run.first_sequence, &payload);
        }
        let place = next.place();
        if let Some(full) = self.segment.replace(next) {
            self.seal(full, sequence);
        }
        self.run = Run { first_sequence: sequence, count: 0 };
        self.live.is_losing.store(false, Ordering::Release);
        self.live.progress.set_place(place);
        true
    }

    /// Ends a segment: the next sequence is elsewhere.
    fn seal(&mut self, mut full: Active, next_sequence: u64) {
        full.put(Kind::End, next_sequence, &[]);
        self.live.progress.set_place(full.place());
        lock(&self.live.unmapped).push(full.mapping);
    }

    /// Records a loss, durably against a kill.
    fn lose(&mut self, sequence: u64) {
        if self.run.count == 0 {
            self.run.first_sequence = sequence;
            self.live.progress.start_losing(sequence);
            self.live.is_losing.store(true, Ordering::Release);
        }
        self.run.count += 1;
        self.losses.store(self.run);
        self.live.progress.add_lost();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.seal(segment, self.next_sequence);
        }
        segments::finish(&self.handle.shared, &self.live);
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("epoch", &self.epoch()).field("next_sequence", &self.next_sequence).finish()
    }
}

impl Active {
    /// Whether a record with such a payload fits, and the end after it.
    #[inline]
    fn has_room(&self, payload_bytes: usize) -> bool {
        payload_bytes <= RECORD_BYTES_MAX
            && self.offset + record_bytes(payload_bytes) + RECORD_HEAD_BYTES <= self.mapping.len()
    }

    #[inline]
    fn is_retired(&self, live: &LiveWriter) -> bool {
        live.retire.load(Ordering::Relaxed) == u64::from(self.number)
    }

    /// Stores a record: payload first, head last. A kill between any two stores leaves either no head, or one whose
    /// checksum does not fit what is there; so the order is a help to the reader and not what correctness rests on.
    #[inline]
    fn put(&mut self, kind: Kind, sequence: u64, payload: &[u8]) {
        let head = Head { kind, payload_bytes: payload.len() };
        let word = head.word();
        let checksum = self.key.checksum(word, sequence, payload);
        let record = &mut self.mapping[self.offset..self.offset + head.record_bytes()];
        record[RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + payload.len()].copy_from_slice(payload);
        put_word(record, 8, sequence);
        put_word(record, 16, checksum);
        compiler_fence(Ordering::Release);
        put_word(record, 0, word);
        self.offset += head.record_bytes();
    }

    #[inline]
    fn place(&self) -> Place {
        Place { number: self.number, offset: self.offset as u64 }
    }
}
