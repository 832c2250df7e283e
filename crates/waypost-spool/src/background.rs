//! The background threads: one prepares segments before they are needed, one flushes dirty ones.
//!
//! They are two threads, so that a slow flush never keeps a writer waiting for its next segment.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::SpoolError;
use crate::files::on;
use crate::format::SegmentId;
use crate::live::{LiveWriter, OpenSegment, Place};
use crate::marks::{MARKS, Mark};
use crate::segments;
use crate::shared::Shared;
use crate::sync::lock;

/// How long to wait before checking for room again.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// How long the preparer sleeps when every writer has what it needs; it is woken when one takes a segment.
const IDLE_INTERVAL: Duration = Duration::from_secs(60);
/// At most one log line about the same error in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// A disk that fails each flush may use up a segment of a writer only this often.
const RETIRE_INTERVAL: Duration = Duration::from_secs(5);

/// Starts both threads.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let preparer = Arc::clone(shared);
    let prepare =
        thread::Builder::new().name("spool-prepare".to_owned()).spawn(move || prepare_until_closing(&preparer));
    let flusher = Arc::clone(shared);
    let flush = thread::Builder::new().name("spool-flush".to_owned()).spawn(move || flush_until_closing(&flusher));
    match (prepare, flush) {
        (Ok(prepare), Ok(flush)) => Ok(vec![prepare, flush]),
        (started, other) => {
            shared.start_closing();
            let error = [started, other].into_iter().filter_map(Result::err).next();
            Err(error.unwrap_or_else(|| io::Error::other("no thread was started")))
        }
    }
}

fn prepare_until_closing(shared: &Shared) {
    let mut log = LogLimit::default();
    let mut at_most = Duration::ZERO;
    while shared.wait_for_want(at_most) {
        at_most = match prepare_all(shared) {
            Ok(()) => IDLE_INTERVAL,
            Err(error) => {
                log.error("no room for a segment of the spool; clicks may be counted as lost", &error);
                RETRY_INTERVAL
            }
        };
    }
}

/// Prepares a segment for each writer that needs one. Continues after an error, and returns the last one.
pub(crate) fn prepare_all(shared: &Shared) -> Result<(), SpoolError> {
    let mut result = Ok(());
    for live in shared.catalog.writers() {
        if !live.is_ready.load(Ordering::Acquire)
            && segments::wants_segment(shared, &live)
            && let Err(error) = segments::prepare(shared, &live)
        {
            result = Err(error);
        }
    }
    result
}

fn flush_until_closing(shared: &Shared) {
    let mut log = LogLimit::default();
    let mut retired = Retired::default();
    while shared.wait_for_closing(shared.options.flush_interval) {
        if let Err(error) = flush_all(shared, &mut retired) {
            log.error("a flush of the spool failed; clicks of this segment may not survive a power loss", &error);
        }
    }
}

/// When segments were last retired.
#[derive(Default)]
pub(crate) struct Retired {
    last: Vec<(u64, Instant)>,
}

impl Retired {
    /// Whether a segment of that epoch may be retired now; then it counts as done.
    fn allow(&mut self, epoch: u64) -> bool {
        self.last.retain(|(_, at)| at.elapsed() < RETIRE_INTERVAL);
        let is_allowed = self.last.iter().all(|(retired, _)| *retired != epoch);
        if is_allowed {
            self.last.push((epoch, Instant::now()));
        }
        is_allowed
    }
}

/// Makes durable what was appended before the call. Continues after an error, and returns the last one.
pub(crate) fn flush_all(shared: &Shared, retired: &mut Retired) -> Result<(), SpoolError> {
    let mut result = Ok(());
    let lost = shared.catalog.sums().lost;
    let writers = shared.catalog.writers();
    let reached: Vec<u64> = writers.iter().map(|live| live.progress.next_sequence()).collect();
    for live in &writers {
        let place = live.progress.place();
        if !live.is_ready.load(Ordering::Acquire)
            && live.is_in_first.load(Ordering::Acquire)
            && segments::wants_segment(shared, live)
        {
            shared.wake_preparer();
        }
        let open: Vec<Arc<OpenSegment>> = lock(&live.unflushed).clone();
        for segment in open {
            if let Err(error) = flush_segment(shared, live, &segment, place) {
                let is_current = segment.number == place.number;
                if is_current && retired.allow(live.epoch) {
                    live.retire.store(u64::from(segment.number), Ordering::Relaxed);
                }
                result = Err(error);
            }
        }
        lock(&live.unflushed).retain(|open| open.number >= place.number);
        let unmapped = std::mem::take(&mut *lock(&live.unmapped));
        drop(unmapped);
    }
    if shared.flushed.lost.load(Ordering::Relaxed) != lost {
        match shared.losses.sync(&*shared.files) {
            Ok(()) => shared.flushed.lost.store(lost, Ordering::Relaxed),
            Err(error) => result = Err(error),
        }
    }
    if shared.take_folder_dirty()
        && let Err(source) = shared.files.sync_folder()
    {
        shared.mark_folder_dirty();
        result = Err(on(&*shared.files, "sync", "")(source));
    }
    for (live, reached) in writers.iter().zip(reached) {
        if let Err(error) = mark(shared, live, reached) {
            result = Err(error);
        }
    }
    shared.flushed.rounds.fetch_add(1, Ordering::Relaxed);
    match &result {
        Ok(()) => *lock(&shared.flushed.last_success) = Some(Instant::now()),
        Err(_) => {
            shared.flushed.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
    result
}

/// Notes how far a writer was before this round. Nothing waits for the disk here: a mark is for when a segment
/// disappears.
fn mark(shared: &Shared, live: &LiveWriter, reached: u64) -> Result<(), SpoolError> {
    if reached == live.marked.load(Ordering::Relaxed) || !shared.catalog.state().epochs.contains_key(&live.epoch) {
        return Ok(());
    }
    let mark = Mark { edge: shared.edge, epoch: live.epoch, next_sequence: reached };
    shared.marks.put(live.slot, Some(mark)).map_err(on(&*shared.files, "write", MARKS))?;
    live.marked.store(reached, Ordering::Relaxed);
    Ok(())
}

/// Syncs what was stored to a segment since the last time, and not the pages ahead, which the writer is to find
/// writable. It is not tried again after a failure: that a second sync succeeds says nothing of the pages that the
/// first one dropped.
fn flush_segment(shared: &Shared, live: &LiveWriter, segment: &OpenSegment, place: Place) -> Result<(), SpoolError> {
    let written = match segment.number.cmp(&place.number) {
        std::cmp::Ordering::Less => u64::MAX,
        std::cmp::Ordering::Equal => place.offset,
        std::cmp::Ordering::Greater => 0,
    };
    let synced = segment.synced.load(Ordering::Relaxed);
    if written <= synced {
        return Ok(());
    }
    let result = segment.file.sync_range(synced..written);
    segment.synced.store(written, Ordering::Relaxed);
    result.map_err(|source| {
        shared.flushed.suspect_segments.fetch_add(1, Ordering::Relaxed);
        let name = SegmentId { epoch: live.epoch, number: segment.number }.file_name();
        on(&*shared.files, "sync", &name)(source)
    })
}

/// Keeps an error that lasts from filling the log.
#[derive(Default)]
struct LogLimit {
    last: Option<Instant>,
}

impl LogLimit {
    fn error(&mut self, message: &str, error: &SpoolError) {
        if self.last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            self.last = Some(Instant::now());
            tracing::error!(error = error as &dyn std::error::Error, "{message}");
        }
    }
}
