//! Creates segments for writers, and disposes of finished ones.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::SpoolError;
use crate::catalog::{Disposal, SegmentFile};
use crate::files::{FileSystem, SpoolFile, on};
use crate::format::SegmentId;
use crate::live::{LiveWriter, OpenSegment, Prepared, Spare};
use crate::mapping::Populate;
use crate::shared::Shared;
use crate::sync::lock;

/// Prepares the next segment of a writer, unless one is ready, none is needed or the writer is gone.
pub(crate) fn prepare(shared: &Shared, live: &LiveWriter) -> Result<(), SpoolError> {
    let mut spare = lock(&live.spare);
    // Checked again under the lock: the writer may have taken its first segment meanwhile.
    if spare.prepared.is_none() && !live.is_finished.load(Ordering::Acquire) && wants_segment(shared, live) {
        spare.prepared = Some(make(shared, live, &mut spare, Populate::Now)?);
        live.is_ready.store(true, Ordering::Release);
    }
    Ok(())
}

/// Whether a writer should find its next segment ready: always, but for the first half of a first segment that is a
/// small one.
pub(crate) fn wants_segment(shared: &Shared, live: &LiveWriter) -> bool {
    let first = shared.options.bytes_of_segment(1);
    let is_small = live.is_in_first.load(Ordering::Acquire) && first < shared.options.segment_bytes;
    !is_small || live.progress.place().offset >= first / 2
}

/// Takes the segment that is ready for a writer, or creates one: a few system calls are better than a lost click.
pub(crate) fn take(shared: &Shared, live: &LiveWriter) -> Result<Prepared, SpoolError> {
    let mut spare = lock(&live.spare);
    live.is_ready.store(false, Ordering::Release);
    let taken = match spare.prepared.take() {
        Some(prepared) => Ok(prepared),
        None => make(shared, live, &mut spare, Populate::Lazily),
    };
    live.is_in_first.store(taken.as_ref().is_ok_and(|prepared| prepared.number == 1), Ordering::Release);
    drop(spare);
    shared.wake_preparer();
    taken
}

fn make(shared: &Shared, live: &LiveWriter, spare: &mut Spare, populate: Populate) -> Result<Prepared, SpoolError> {
    let files = &*shared.files;
    let segment = SegmentId { epoch: live.epoch, number: spare.last_number + 1 };
    let name = segment.file_name();
    let bytes = shared.options.bytes_of_segment(segment.number);
    let file = obtain(shared, (&name, bytes), populate).inspect_err(|error| shared.note_no_room(error))?;
    // The number is used from here on, whatever happens, and the file has an owner that disposes of it.
    spare.last_number = segment.number;
    shared.catalog.add_segment(segment, bytes);
    shared.mark_folder_dirty();
    let mapping = match file.map(populate) {
        Ok(mapping) => mapping,
        Err(source) => {
            discard(shared, segment);
            return Err(on(files, "map", &name)(source));
        }
    };
    let open = OpenSegment { number: segment.number, file, synced: AtomicU64::new(0) };
    lock(&live.unflushed).push(Arc::new(open));
    Ok(Prepared { number: segment.number, mapping })
}

/// Creates or reuses a file under that name, with all its blocks, and counts its room.
fn obtain(shared: &Shared, (name, bytes): (&str, u64), populate: Populate) -> Result<Box<dyn SpoolFile>, SpoolError> {
    let files = &*shared.files;
    while let Some(free) = shared.catalog.take_free(bytes) {
        match use_again(files, (&free, name), bytes) {
            Ok(file) => return Ok(file),
            Err(SpoolError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(file = %files.path(&free).display(), "a free file of the spool was removed by somebody else");
                shared.catalog.unreserve(bytes);
            }
            Err(error) => {
                shared.catalog.put_free(free);
                return Err(error);
            }
        }
    }
    if !shared.catalog.reserve(bytes) {
        return Err(SpoolError::Full { bytes_max: shared.options.bytes_max });
    }
    match files.create(name, bytes, populate) {
        Ok(file) => Ok(file),
        Err(source) => {
            shared.catalog.unreserve(bytes);
            Err(on(files, "create", name)(source))
        }
    }
}

/// Gives a free file another name. It may have come here as a sparse copy of a folder, or been cut short by somebody:
/// what is stored to a map of it must not be what finds the disk full, so it gets its blocks first.
fn use_again(files: &dyn FileSystem, (free, name): (&str, &str), bytes: u64) -> Result<Box<dyn SpoolFile>, SpoolError> {
    let file = files.open(free).map_err(on(files, "open", free))?;
    file.allocate(bytes).map_err(on(files, "allocate", free))?;
    files.rename(free, name).map_err(on(files, "rename", free))?;
    Ok(file)
}

/// Disposes of a segment without records. If that fails, the reader finds it later.
fn discard(shared: &Shared, segment: SegmentId) {
    let file = {
        let state = shared.catalog.state();
        state.epochs.get(&segment.epoch).and_then(|epoch| epoch.segments.get(&segment.number).copied())
    };
    if let Some(file) = file
        && let Err(error) = dispose(shared, segment, file)
    {
        tracing::debug!(error = &error as &dyn std::error::Error, "a segment that was not used stays for now");
    }
}

/// Ends a writer: the segment prepared for it is not needed.
pub(crate) fn finish(shared: &Shared, live: &LiveWriter) {
    let prepared = {
        let mut spare = lock(&live.spare);
        live.is_finished.store(true, Ordering::Release);
        spare.prepared.take()
    };
    if let Some(prepared) = prepared {
        lock(&live.unflushed).retain(|open| open.number != prepared.number);
        discard(shared, SegmentId { epoch: live.epoch, number: prepared.number });
    }
}

/// Recycles, sets aside or removes a segment's file. After an error the file is still there and in the catalog.
pub(crate) fn dispose(shared: &Shared, segment: SegmentId, file: SegmentFile) -> Result<(), SpoolError> {
    let files = &*shared.files;
    let name = segment.file_name();
    let disposal = shared.catalog.plan_disposal(file);
    let (operation, mut result) = match &disposal {
        Disposal::Reuse { free_name } => ("rename", files.rename(&name, free_name)),
        Disposal::SetAside => ("rename", files.rename(&name, &segment.damaged_name())),
        Disposal::Remove => ("remove", files.remove(&name)),
    };
    let mut booked = disposal;
    if let Err(error) = &result
        && error.kind() == io::ErrorKind::NotFound
    {
        // Somebody else removed it; what counts is that it is gone.
        shared.catalog.book_disposal(segment, booked, false);
        booked = Disposal::Remove;
        result = Ok(());
    }
    shared.catalog.book_disposal(segment, booked, result.is_ok());
    shared.mark_folder_dirty();
    shared.wake_preparer();
    result.map_err(on(files, operation, &name))
}
