//! Opens a folder: tells ours from foreign, makes what is missing, and enters what earlier runs left into the catalog.
//!
//! Nothing is repaired here. Segments stay as they are until the reader has been through them, so a start that is killed
//! at any point can simply be made again, and takes little time however much waits.

use std::sync::Arc;

use crate::SpoolError;
use crate::catalog::{Catalog, SegmentFile, State};
use crate::files::{FileSystem, on, read_full};
use crate::format::{
    FORMAT_VERSION, FileName, HEADER_BYTES, HeaderState, SegmentId, SegmentKey, parse_name, read_header,
};
use crate::identity::{IDENTITY, IDENTITY_NEW, Identity};
use crate::losses::{LOSSES, Losses, Remembered};
use crate::scan::{Found, Walk};
use crate::shared::Shared;
use crate::spool::SpoolOptions;

/// How many last segments are looked through at the start to count what waits. More epochs than that are left by a
/// process that keeps dying; their count is a little low until the reader comes to them.
const TAILS_MAX: usize = 64;
/// How much of such a segment is looked through.
const TAIL_BYTES_MAX: u64 = 64 << 20;

pub(crate) fn open(files: Arc<dyn FileSystem>, options: SpoolOptions) -> Result<Shared, SpoolError> {
    let listed = files.list().map_err(on(&*files, "list", ""))?;
    let (mut identity, losses, remembered) = open_own_files(&*files, &listed)?;
    let catalog = Catalog::new(options.segment_bytes, options.bytes_max);
    let listed = without_misfits(&*files, listed, options.segment_bytes);
    {
        let mut state = catalog.state();
        for (name, bytes) in listed {
            enter_file(&*files, identity.edge(), &mut state, (name, bytes))?;
        }
        for slot in remembered {
            enter_losses(&mut state, slot, &losses);
        }
        count_tails(&*files, identity.edge(), &mut state);
        if let Some(epoch) = state.epochs.keys().next_back() {
            identity.skip_past(*epoch);
        }
    }
    Ok(Shared::new(files, options, identity, (losses, catalog)))
}

fn open_own_files(
    files: &dyn FileSystem,
    listed: &[(String, u64)],
) -> Result<(Identity, Losses, Vec<Remembered>), SpoolError> {
    let has = |wanted: &str| listed.iter().any(|(name, _)| name == wanted);
    if has(IDENTITY) {
        let identity = Identity::open(files)?;
        let (losses, remembered) = Losses::open(files, identity.edge())?;
        return Ok((identity, losses, remembered));
    }
    refuse_foreign(files, listed)?;
    // What a start left that was killed before the identity was in place: nobody has used it.
    for leftover in [IDENTITY_NEW, LOSSES] {
        if has(leftover) {
            files.remove(leftover).map_err(on(files, "remove", leftover))?;
        }
    }
    let edge = crate::identity::random_edge();
    let losses = Losses::create(files, edge)?;
    let identity = Identity::create(files, edge)?;
    Ok((identity, losses, Vec::new()))
}

/// Refuses a folder without an identity that holds more than an unfinished start leaves.
fn refuse_foreign(files: &dyn FileSystem, listed: &[(String, u64)]) -> Result<(), SpoolError> {
    for (name, _) in listed {
        if parse_name(name).is_some() {
            return Err(SpoolError::IdentityMissing { path: files.path(IDENTITY) });
        }
        // A volume of its own has this folder, and some tools leave hidden files.
        let is_harmless = name == "lost+found" || name.starts_with('.');
        if !is_harmless && name != IDENTITY_NEW && name != LOSSES {
            return Err(SpoolError::NotASpool { path: files.path(name) });
        }
    }
    Ok(())
}

/// Removes free files of another size, which an earlier run with other options left. They are in nobody's way if they
/// stay, but they could not serve as segments.
fn without_misfits(files: &dyn FileSystem, listed: Vec<(String, u64)>, segment_bytes: u64) -> Vec<(String, u64)> {
    let is_misfit = |name: &str, bytes| matches!(parse_name(name), Some(FileName::Free(_))) && bytes != segment_bytes;
    let (misfits, rest): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(name, bytes)| is_misfit(name, *bytes));
    for (name, _) in misfits {
        if let Err(error) = files.remove(&name) {
            tracing::warn!(file = %files.path(&name).display(), error = &error as &dyn std::error::Error, "cannot remove a free file");
        }
    }
    rest
}

fn enter_file(
    files: &dyn FileSystem,
    edge: u64,
    state: &mut State,
    (name, bytes): (String, u64),
) -> Result<(), SpoolError> {
    match parse_name(&name) {
        Some(FileName::Segment(segment)) => {
            let header = look_at_header(files, edge, segment)?;
            let first_sequence = match header {
                HeaderState::Own { first_sequence } => Some(first_sequence),
                HeaderState::Unused | HeaderState::Damaged | HeaderState::Foreign { .. } => None,
            };
            let is_header_damaged = header == HeaderState::Damaged;
            state.find_bytes(bytes, false);
            let (earlier, segments) = state.earlier(segment.epoch);
            earlier.end = earlier.end.max(first_sequence.unwrap_or(1));
            segments.insert(segment.number, SegmentFile { bytes, first_sequence, is_header_damaged });
        }
        Some(FileName::Free(counter)) => state.find_free(name, counter, bytes),
        Some(FileName::Damaged) => state.find_bytes(bytes, true),
        None => {}
    }
    Ok(())
}

/// Reads a segment's header. One that cannot be read is a damaged one: the start goes on.
fn look_at_header(files: &dyn FileSystem, edge: u64, segment: SegmentId) -> Result<HeaderState, SpoolError> {
    let name = segment.file_name();
    let mut bytes = [0; HEADER_BYTES];
    let read = files.open(&name).and_then(|file| read_full(&*file, &mut bytes, 0));
    let state = match read {
        Ok(_) => read_header(&bytes, edge, segment),
        Err(error) => {
            tracing::error!(file = %files.path(&name).display(), error = &error as &dyn std::error::Error, "cannot read a segment of the spool");
            HeaderState::Damaged
        }
    };
    match state {
        HeaderState::Foreign { version: found } => {
            return Err(SpoolError::ForeignVersion { path: files.path(&name), found, known: FORMAT_VERSION });
        }
        HeaderState::Damaged => {
            tracing::error!(file = %files.path(&name).display(), "a segment of the spool has a damaged header; its sound records are read, then it is set aside");
        }
        HeaderState::Own { .. } | HeaderState::Unused => {}
    }
    Ok(state)
}

fn enter_losses(state: &mut State, slot: Remembered, losses: &Losses) {
    let (earlier, _) = state.earlier(slot.epoch);
    if let Some(other) = earlier.slot {
        // Two slots of one epoch cannot be: a slot is cleared before it is claimed. Keep the later run.
        if earlier.losses.is_some_and(|run| run.end() >= slot.run.end()) {
            losses.free(slot.slot);
            return;
        }
        losses.free(other);
    }
    earlier.slot = Some(slot.slot);
    earlier.losses = Some(slot.run);
    earlier.end = earlier.end.max(slot.run.end());
}

/// Counts the records in the last segment of the latest epochs.
fn count_tails(files: &dyn FileSystem, edge: u64, state: &mut State) {
    let epochs: Vec<u64> = state.epochs.keys().rev().take(TAILS_MAX).copied().collect();
    for epoch in epochs {
        let (earlier, segments) = state.earlier(epoch);
        let last = segments.iter().rev().find(|(_, file)| file.first_sequence.is_some());
        if let Some((number, file)) = last {
            let segment = SegmentId { epoch, number: *number };
            let end = end_of(files, edge, (segment, file.bytes)).unwrap_or(1);
            earlier.end = earlier.end.max(end);
        }
    }
}

/// The sequence after the last record of a segment.
fn end_of(files: &dyn FileSystem, edge: u64, (segment, bytes): (SegmentId, u64)) -> Option<u64> {
    let file = files.open(&segment.file_name()).ok()?;
    let mut content = vec![0; bytes.min(TAIL_BYTES_MAX) as usize];
    let filled = read_full(&*file, &mut content, 0).ok()?;
    let records = content.get(HEADER_BYTES..filled & !7)?;
    let mut walk = Walk::new(records, SegmentKey::new(edge, segment.epoch, segment.number), true);
    let mut end = None;
    loop {
        match walk.next() {
            Found::Record { sequence, .. } => end = Some(sequence + 1),
            Found::Loss { run, .. } => end = Some(run.end()),
            Found::End { next_sequence } => return Some(next_sequence),
            Found::Out => return end,
        }
    }
}
