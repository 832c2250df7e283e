//! The one reader: hands out what was appended, in the order of each epoch, and releases what is committed.
//!
//! It reads files and maps nothing, so a disk that fails under it is an error and not a signal. Of a live writer's
//! segment it reads no further than the writer has published.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::SpoolError;
use crate::catalog::{Life, SegmentFile};
use crate::chunk::{Chunk, Run};
use crate::files::{SpoolFile, on, read_full};
use crate::format::{HEADER_BYTES, RECORD_BYTES_MAX, SegmentId, SegmentKey};
use crate::handle::Handle;
use crate::live::Place;
use crate::scan::{Found, Walk};
use crate::segments;

/// The least bytes of a file that are read at once; the longest record fits.
const WINDOW_BYTES_MIN: usize = 2 * RECORD_BYTES_MAX;
/// The largest.
const WINDOW_BYTES_MAX: usize = 16 << 20;
/// How often a place that cannot be read is an error before its bytes count as damaged.
const READ_ATTEMPTS: u32 = 3;
/// What is read at a time around a place that cannot be read.
const PAGE_BYTES: usize = 4096;

/// How far a consumer is in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The epoch.
    pub epoch: u64,
    /// Everything below this sequence is finished.
    pub next_sequence: u64,
}

/// Limits on one chunk. At least one entry is always handed out. The two should match each other: bytes that
/// were read and not handed out, because there were records enough, are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// How many entries; a run of losses is one.
    pub records: usize,
    /// How many bytes of a segment are read, from 8 KiB to 16 MiB; values outside count as the nearest.
    pub bytes: usize,
}

impl Default for ReadLimit {
    fn default() -> ReadLimit {
        ReadLimit { records: 10_000, bytes: 1 << 20 }
    }
}

/// Reads a spool.
pub struct Reader {
    handle: Arc<Handle>,
    cursors: BTreeMap<u64, Cursor>,
    /// The epoch of the last chunk.
    last_epoch: u64,
}

/// Where the reader is in an epoch.
struct Cursor {
    /// The next sequence to hand out.
    expected: u64,
    /// The segment that is read.
    at: Option<At>,
    /// Segments up to this number have been read.
    last_number: u32,
    /// Segments that have been read and are not disposed of yet, and the sequence after each.
    passed: VecDeque<Passed>,
    /// Nothing more will be appended.
    is_over: bool,
    read_failures: u32,
}

struct At {
    number: u32,
    info: SegmentFile,
    file: Box<dyn SpoolFile>,
    offset: u64,
}

struct Passed {
    number: u32,
    info: SegmentFile,
    end: u64,
}

/// An epoch at one moment.
struct View {
    /// Each sequence below is in the bytes up to `place`, or lost.
    next_sequence: Option<u64>,
    /// The place up to which bytes may be read; `None` for all.
    place: Option<Place>,
    /// Who wrote it.
    edge: u64,
    /// The last run that was lost because there was no room.
    run: Option<Run>,
    /// No writer is on it.
    is_finished: bool,
    /// The segment after those that have been read.
    segment: Option<(u32, SegmentFile)>,
    /// The first sequence of the segment after that one, if known.
    following: Option<u64>,
}

impl Reader {
    pub(crate) fn new(handle: Arc<Handle>) -> Reader {
        Reader { handle, cursors: BTreeMap::new(), last_epoch: 0 }
    }

    /// Sets what the consumer has already committed, by its own records. Sequences below are not handed out
    /// again, and count as released. Epochs not named start at their first sequence.
    pub fn start_at(&mut self, positions: &[Position]) {
        self.cursors.clear();
        self.last_epoch = 0;
        self.commit(positions);
    }

    /// The next chunk, or `None` when nothing waits now. Epochs take turns, from the oldest on. What comes before the
    /// consumer's position is skipped.
    ///
    /// # Errors
    ///
    /// A segment cannot be opened or read. Nothing is skipped by that: the next call tries again. Bytes that cannot be
    /// read three times in a row count as damaged.
    pub fn next(&mut self, limit: ReadLimit) -> Result<Option<Chunk>, SpoolError> {
        let epochs: Vec<u64> = {
            let state = self.handle.shared.catalog.state();
            let later = state.epochs.range(self.last_epoch + 1..);
            later.chain(state.epochs.range(..=self.last_epoch)).map(|(epoch, _)| *epoch).collect()
        };
        let mut failure = None;
        for epoch in epochs {
            match self.read_epoch(epoch, limit) {
                Ok(Some(chunk)) => {
                    self.last_epoch = epoch;
                    self.handle.shared.damaged.fetch_add(chunk.damaged(), Ordering::Relaxed);
                    return Ok(Some(chunk));
                }
                Ok(None) => {}
                // Other epochs need not wait for this one.
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Releases what is committed: segments wholly below the positions are used again or removed.
    ///
    /// # Errors
    ///
    /// A file cannot be renamed or removed. The next release tries again; the positions count in any case.
    pub fn release(&mut self, positions: &[Position]) -> Result<(), SpoolError> {
        self.commit(positions);
        let epochs: Vec<u64> = self.cursors.keys().copied().collect();
        let mut result = Ok(());
        for epoch in epochs {
            if let Err(error) = self.settle(epoch) {
                result = Err(error);
            }
        }
        result
    }

    /// How many sequences no release has covered yet; see [`SpoolStats::pending`](crate::SpoolStats::pending).
    pub fn pending(&self) -> u64 {
        self.handle.shared.catalog.sums().pending
    }

    fn commit(&self, positions: &[Position]) {
        let mut state = self.handle.shared.catalog.state();
        for position in positions {
            if let Some(epoch) = state.epochs.get_mut(&position.epoch) {
                epoch.committed = epoch.committed.max(position.next_sequence);
            }
        }
    }

    fn read_epoch(&mut self, epoch: u64, limit: ReadLimit) -> Result<Option<Chunk>, SpoolError> {
        loop {
            let Some(view) = self.look_at(epoch) else { return Ok(None) };
            let Some(cursor) = self.cursors.get_mut(&epoch) else { return Ok(None) };
            if cursor.at.is_none() {
                let Some((number, info)) = view.segment else { return Ok(self.end_epoch(epoch, &view)) };
                if view.following.is_some_and(|following| following <= cursor.expected) {
                    cursor.pass(number, info);
                    self.settle_or_leave(epoch);
                    continue;
                }
                let name = SegmentId { epoch, number }.file_name();
                let files = &*self.handle.shared.files;
                let file = match files.open(&name) {
                    Ok(file) => file,
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        tracing::error!(file = %files.path(&name).display(), "a segment of the spool was removed by somebody else: the clicks in it are lost");
                        cursor.pass(number, info);
                        self.leave_removed(epoch, number);
                        continue;
                    }
                    Err(error) => return Err(on(files, "open", &name)(error)),
                };
                cursor.at = Some(At { number, info, file, offset: HEADER_BYTES as u64 });
            }
            let before = cursor.place();
            let chunk = self.read_segment(epoch, &view, limit)?;
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
            let after = self.cursors.get(&epoch).and_then(Cursor::place);
            if after.is_some() && after == before {
                return Ok(self.end_epoch(epoch, &view));
            }
            self.settle_or_leave(epoch);
        }
    }

    /// Looks at an epoch, and starts a cursor on it if there is none.
    fn look_at(&mut self, epoch: u64) -> Option<View> {
        let state = self.handle.shared.catalog.state();
        let entry = state.epochs.get(&epoch)?;
        let cursor = self.cursors.entry(epoch).or_insert_with(|| Cursor::new(entry.committed));
        let own = self.handle.shared.edge;
        let nothing = View {
            next_sequence: None,
            place: None,
            edge: own,
            run: None,
            is_finished: true,
            segment: None,
            following: None,
        };
        let mut view = match &entry.life {
            Life::Live(live) => {
                // In this order: a finished writer stores no more, and the place covers every sequence read before it.
                let is_finished = live.is_finished.load(Ordering::Acquire);
                let next_sequence = live.progress.next_sequence();
                let run = live.progress.last_run(next_sequence);
                let place = Some(live.progress.place());
                View { next_sequence: Some(next_sequence), place, run, is_finished, ..nothing }
            }
            Life::Earlier(earlier) => View {
                next_sequence: Some(earlier.losses.map_or(0, Run::end).max(earlier.marked)),
                edge: earlier.edge.unwrap_or(own),
                run: earlier.losses,
                ..nothing
            },
        };
        let last_number = view.place.map_or(u32::MAX, |place| place.number);
        if last_number > cursor.last_number {
            let mut ahead = entry.segments.range(cursor.last_number + 1..=last_number);
            view.segment = ahead.next().map(|(number, info)| (*number, *info));
            view.following = ahead.next().and_then(|(_, info)| info.first_sequence);
        }
        Some(view)
    }

    /// Reads on in the segment the cursor is in. The chunk is empty if no record was found.
    fn read_segment(&mut self, epoch: u64, view: &View, limit: ReadLimit) -> Result<Chunk, SpoolError> {
        let Some(cursor) = self.cursors.get_mut(&epoch) else { return Ok(Chunk::new(epoch, 1)) };
        let mut chunk = Chunk::new(epoch, cursor.expected);
        let Some(at) = &mut cursor.at else { return Ok(chunk) };
        let growing = view.place.filter(|place| place.number == at.number);
        let end = growing.map_or(at.info.bytes, |place| place.offset);
        let window = limit.bytes.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX).next_multiple_of(8) as u64;
        let wanted = window.min(end.saturating_sub(at.offset));
        let bytes = match read_window(at, wanted as usize, cursor.read_failures >= READ_ATTEMPTS) {
            Ok(bytes) => bytes,
            Err(source) => {
                cursor.read_failures += 1;
                let name = SegmentId { epoch, number: at.number }.file_name();
                return Err(on(&*self.handle.shared.files, "read", &name)(source));
            }
        };
        cursor.read_failures = 0;
        let is_short = (bytes.len() as u64) < wanted;
        let is_last = is_short || at.offset + wanted >= end;
        let key = SegmentKey::new(view.edge, epoch, at.number);
        let mut walk = Walk::new(&bytes, key, is_last);
        // In a live epoch a loss record says what was lost for lack of room; any other hole is damage.
        let full = if view.place.is_some() { None } else { view.run };
        let stop = collect(&mut walk, &mut chunk, (limit.records.max(1), full));
        at.offset += walk.at() as u64;
        cursor.expected = chunk.next_sequence();
        let is_behind = match stop {
            Stop::End => true,
            Stop::Out => is_last && growing.is_none(),
            Stop::Limit => false,
        };
        if is_behind {
            let (number, info) = (at.number, at.info);
            cursor.pass(number, info);
        }
        chunk.keep(bytes);
        Ok(chunk)
    }

    /// At the end of what there is: declares what was lost after the last record, or finds the epoch over.
    fn end_epoch(&mut self, epoch: u64, view: &View) -> Option<Chunk> {
        let cursor = self.cursors.get_mut(&epoch)?;
        let mut chunk = Chunk::new(epoch, cursor.expected);
        chunk.push_hole(view.next_sequence.unwrap_or(0), view.run);
        cursor.expected = chunk.next_sequence();
        if !chunk.is_empty() {
            return Some(chunk);
        }
        if view.is_finished && !cursor.is_over {
            let mut state = self.handle.shared.catalog.state();
            if let Some(entry) = state.epochs.get_mut(&epoch) {
                // Segments that were made ready and never used.
                for (number, info) in entry.segments.range(cursor.last_number + 1..) {
                    cursor.passed.push_back(Passed { number: *number, info: *info, end: cursor.expected });
                }
                if let Life::Earlier(earlier) = &mut entry.life {
                    earlier.end = cursor.expected;
                }
            }
            cursor.is_over = true;
        }
        self.settle_or_leave(epoch);
        None
    }

    /// Goes on behind a segment whose file somebody removed. What its writer appends to it from here on nobody could
    /// read.
    fn leave_removed(&mut self, epoch: u64, number: u32) {
        if let Some(Life::Live(live)) = self.handle.shared.catalog.state().epochs.get(&epoch).map(|entry| &entry.life) {
            live.retire.store(u64::from(number), Ordering::Relaxed);
        }
        self.settle_or_leave(epoch);
    }

    /// Settles on the way: a file that cannot be removed now is not a reason to hand out nothing, and the next release
    /// says so if it still cannot.
    fn settle_or_leave(&mut self, epoch: u64) {
        if let Err(error) = self.settle(epoch) {
            tracing::debug!(error = &error as &dyn std::error::Error, "a released segment stays for now");
        }
    }

    /// Disposes of segments that are wholly committed, and of the epoch when it is over.
    fn settle(&mut self, epoch: u64) -> Result<(), SpoolError> {
        let shared = &self.handle.shared;
        let Some(cursor) = self.cursors.get_mut(&epoch) else { return Ok(()) };
        let committed = match shared.catalog.state().epochs.get(&epoch) {
            Some(entry) => entry.committed,
            None => return Ok(()),
        };
        while let Some(passed) = cursor.passed.front() {
            if passed.end > committed {
                return Ok(());
            }
            segments::dispose(shared, SegmentId { epoch, number: passed.number }, passed.info)?;
            cursor.passed.pop_front();
        }
        if cursor.is_over && cursor.expected <= committed {
            let slot = shared.catalog.state().forget(epoch);
            if let Some(slot) = slot {
                shared.losses.free(slot);
                shared.marks.clear(slot);
            }
            self.cursors.remove(&epoch);
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.handle.shared.is_reader_out.store(false, Ordering::Release);
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("epochs", &self.cursors.len()).finish_non_exhaustive()
    }
}

impl Cursor {
    fn new(expected: u64) -> Cursor {
        Cursor { expected, at: None, last_number: 0, passed: VecDeque::new(), is_over: false, read_failures: 0 }
    }

    /// Marks a segment as read.
    fn pass(&mut self, number: u32, info: SegmentFile) {
        self.at = None;
        self.last_number = number;
        self.passed.push_back(Passed { number, info, end: self.expected });
    }

    fn place(&self) -> Option<Place> {
        self.at.as_ref().map(|at| Place { number: at.number, offset: at.offset })
    }
}

/// Why a walk ended.
enum Stop {
    End,
    Out,
    Limit,
}

/// Fills a chunk from a walk. Records before the chunk's next sequence were handed out earlier.
fn collect(walk: &mut Walk<'_>, chunk: &mut Chunk, (records_max, full): (usize, Option<Run>)) -> Stop {
    while chunk.len() < records_max {
        match walk.next() {
            Found::Record { sequence, start, bytes } => {
                if sequence >= chunk.next_sequence() {
                    chunk.push_hole(sequence, full);
                    chunk.push_record(start, bytes);
                }
            }
            Found::Loss { run, cause } => {
                chunk.push_hole(run.first_sequence, full);
                chunk.push_lost(run.end(), cause);
            }
            Found::End { next_sequence } => {
                chunk.push_hole(next_sequence, full);
                return Stop::End;
            }
            Found::Out => return Stop::Out,
        }
    }
    Stop::Limit
}

/// Reads bytes, as many as there are. With `page_by_page`, pages that cannot be read are zero.
fn read_window(at: &At, wanted: usize, page_by_page: bool) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; wanted];
    if page_by_page {
        for (index, page) in bytes.chunks_mut(PAGE_BYTES).enumerate() {
            let offset = at.offset + (index * PAGE_BYTES) as u64;
            if read_full(&*at.file, page, offset).is_err() {
                page.fill(0);
            }
        }
        return Ok(bytes);
    }
    let filled = read_full(&*at.file, &mut bytes, at.offset)?;
    bytes.truncate(filled & !7);
    Ok(bytes)
}
