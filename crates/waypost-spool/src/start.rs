//! Opens a folder: distinguishes our files from others, creates missing ones, and enters what earlier runs left into
//! the catalog.
//!
//! Nothing is repaired here. Segments stay as they are until the reader has been through them, so a start that is
//! killed at any point can simply be made again, and takes little time however much waits.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::SpoolError;
use crate::catalog::{Catalog, Life, SegmentFile, State};
use crate::files::{FileSystem, on, read_full};
use crate::format::{
    FORMAT_VERSION, FileName, HEADER_BYTES, HeaderState, SegmentId, SegmentKey, last_use, parse_name, read_header,
};
use crate::identity::{IDENTITY, IDENTITY_DAMAGED, IDENTITY_NEW, Identity, edge_name, random_edge};
use crate::losses::{LOSSES, Losses, Remembered};
use crate::marks::{MARKS, Mark, Marks};
use crate::options::SpoolOptions;
use crate::scan::{Found, Walk};
use crate::shared::Shared;

/// How many last segments are looked through at the start to count what waits. More epochs than that are left by a
/// process that keeps dying; their count is a little low until the reader comes to them.
const TAILS_MAX: usize = 64;
/// How much of such a segment is looked through.
const TAIL_BYTES_MAX: u64 = 64 << 20;

pub(crate) fn open(files: Arc<dyn FileSystem>, options: SpoolOptions) -> Result<Shared, SpoolError> {
    let listed = files.list().map_err(on(&*files, "list", ""))?;
    let identity = if has(&listed, IDENTITY) { Identity::open(&*files)? } else { None };
    if identity.is_none() {
        refuse_foreign(&*files, &listed)?;
    }
    let (marks, marked) = Marks::open(&*files, &listed);
    let catalog = Catalog::new(options.segment_bytes, options.bytes_max);
    let listed = without_misfits(&*files, listed, options.segment_bytes);
    let (identity, losses) = {
        let mut state = catalog.state();
        for (name, bytes) in &listed {
            enter_file(&*files, &mut state, (name, *bytes))?;
        }
        let mut traces = Traces::of(&state, &marked);
        let (mut identity, losses, remembered) = match identity {
            Some(identity) => {
                let (losses, remembered) = Losses::open(&*files, &traces.with(identity.edge()))?;
                (identity, losses, remembered)
            }
            None => {
                traces.add_free_files(&*files, &listed);
                renew(&*files, &listed, &traces)?
            }
        };
        for slot in remembered {
            enter_losses(&mut state, slot, &losses);
        }
        for (slot, mark) in marked {
            enter_mark(&mut state, (slot, mark), &losses);
        }
        find_edges(&*files, &mut state, &traces.with(identity.edge()));
        count_tails(&*files, identity.edge(), &mut state);
        if let Some(epoch) = state.epochs.keys().next_back() {
            identity.skip_past(*epoch);
        }
        (identity, losses)
    };
    Ok(Shared::new(files, options, identity, (losses, marks, catalog)))
}

fn has(listed: &[(String, u64)], wanted: &str) -> bool {
    listed.iter().any(|(name, _)| name == wanted)
}

/// Creates an identity: of a new folder, or of one that has lost it.
fn renew(
    files: &dyn FileSystem,
    listed: &[(String, u64)],
    traces: &Traces,
) -> Result<(Identity, Losses, Vec<Remembered>), SpoolError> {
    if has(listed, IDENTITY) {
        files.rename(IDENTITY, IDENTITY_DAMAGED).map_err(on(files, "rename", IDENTITY))?;
    }
    let edge = random_edge();
    let is_used = traces.epoch_max > 0 || listed.iter().any(|(name, _)| parse_name(name).is_some());
    // Left by a start that was killed before the identity was in place: never used.
    for leftover in [IDENTITY_NEW, LOSSES] {
        if has(listed, leftover) && (leftover != LOSSES || !is_used) {
            files.remove(leftover).map_err(on(files, "remove", leftover))?;
        }
    }
    let (losses, remembered) = match is_used {
        true => Losses::open(files, &traces.with(edge))?,
        false => (Losses::create(files, edge)?, Vec::new()),
    };
    let identity = Identity::create(files, edge, traces.epoch_max + 1)?;
    if is_used {
        let former: Vec<String> = traces.edges.iter().map(|edge| edge_name(*edge)).collect();
        tracing::error!(
            file = %files.path(IDENTITY).display(), edge_id = edge_name(edge), former_edge_ids = former.join(" "),
            "the spool has lost its identity and goes on with a new one; what it holds is counted under the old one"
        );
    }
    Ok((identity, losses, remembered))
}

/// The edges that have written in a folder, as its files show.
struct Traces {
    edges: BTreeSet<u64>,
    epoch_max: u64,
}

impl Traces {
    fn of(state: &State, marked: &[(usize, Mark)]) -> Traces {
        let edges = state.epochs.values().filter_map(|epoch| match &epoch.life {
            Life::Earlier(earlier) => earlier.edge,
            Life::Live(_) => None,
        });
        let edges = edges.chain(marked.iter().map(|(_, mark)| mark.edge)).collect();
        let epochs = state.epochs.keys().copied().chain(marked.iter().map(|(_, mark)| mark.epoch));
        Traces { edges, epoch_max: epochs.max().unwrap_or(0) }
    }

    /// Adds what files that wait to be used again hold. A new epoch must not be one of theirs: what is in them would
    /// pass for its own if it were read under an old edge id.
    fn add_free_files(&mut self, files: &dyn FileSystem, listed: &[(String, u64)]) {
        let free = listed.iter().filter(|(name, _)| matches!(parse_name(name), Some(FileName::Free(_))));
        for (name, _) in free {
            let mut bytes = [0; HEADER_BYTES];
            let read = files.open(name).and_then(|file| read_full(&*file, &mut bytes, 0));
            if let (Ok(HEADER_BYTES), Some((edge, epoch))) = (read, last_use(&bytes)) {
                self.edges.insert(edge);
                self.epoch_max = self.epoch_max.max(epoch);
            }
        }
    }

    /// All edges, that one first.
    fn with(&self, edge: u64) -> Vec<u64> {
        std::iter::once(edge).chain(self.edges.iter().copied().filter(|other| *other != edge)).collect()
    }
}

/// Refuses a folder without an identity that holds what no spool leaves.
fn refuse_foreign(files: &dyn FileSystem, listed: &[(String, u64)]) -> Result<(), SpoolError> {
    for (name, _) in listed {
        // A volume of its own has this folder, and some tools leave hidden files.
        let is_harmless = name == "lost+found" || name.starts_with('.');
        let is_own = parse_name(name).is_some() || [IDENTITY, IDENTITY_NEW, LOSSES, MARKS].contains(&name.as_str());
        if !is_harmless && !is_own {
            return Err(SpoolError::NotASpool { path: files.path(name) });
        }
    }
    Ok(())
}

/// Removes free files of another size, which an earlier run with other options left. They do no harm if they
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

fn enter_file(files: &dyn FileSystem, state: &mut State, (name, bytes): (&str, u64)) -> Result<(), SpoolError> {
    match parse_name(name) {
        Some(FileName::Segment(segment)) => {
            let header = look_at_header(files, segment)?;
            state.find_bytes(bytes, false);
            let (earlier, segments) = state.earlier(segment.epoch);
            let (first_sequence, edge) = match header {
                HeaderState::Own { edge, first_sequence } => (Some(first_sequence), Some(edge)),
                HeaderState::Unused | HeaderState::Damaged | HeaderState::Foreign { .. } => (None, None),
            };
            // Two edges cannot have written one epoch.
            let is_misfit = edge.is_some_and(|edge| *earlier.edge.get_or_insert(edge) != edge);
            let first_sequence = first_sequence.filter(|_| !is_misfit);
            let is_header_damaged = header == HeaderState::Damaged || is_misfit;
            earlier.end = earlier.end.max(first_sequence.unwrap_or(1));
            segments.insert(segment.number, SegmentFile { bytes, first_sequence, is_header_damaged });
        }
        Some(FileName::Free(counter)) => state.find_free(name.to_owned(), counter, bytes),
        Some(FileName::Damaged) => state.find_bytes(bytes, true),
        None => {}
    }
    Ok(())
}

/// Reads a segment's header. One that cannot be read is a damaged one: the start goes on.
fn look_at_header(files: &dyn FileSystem, segment: SegmentId) -> Result<HeaderState, SpoolError> {
    let name = segment.file_name();
    let mut bytes = [0; HEADER_BYTES];
    let read = files.open(&name).and_then(|file| read_full(&*file, &mut bytes, 0));
    let state = match read {
        Ok(_) => read_header(&bytes, segment),
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
    earlier.edge.get_or_insert(slot.edge);
    earlier.end = earlier.end.max(slot.run.end());
}

fn enter_mark(state: &mut State, (slot, mark): (usize, Mark), losses: &Losses) {
    let (earlier, _) = state.earlier(mark.epoch);
    if *earlier.edge.get_or_insert(mark.edge) != mark.edge {
        return;
    }
    earlier.marked = earlier.marked.max(mark.next_sequence);
    earlier.end = earlier.end.max(mark.next_sequence);
    // A slot that holds losses is of the epoch that has these.
    if earlier.slot.is_none() && losses.take(slot) {
        earlier.slot = Some(slot);
    }
}

/// Finds out who wrote epochs that no header, mark or loss names: the edge under which a record of them
/// verifies.
fn find_edges(files: &dyn FileSystem, state: &mut State, edges: &[u64]) {
    if edges.len() < 2 {
        return;
    }
    let epochs: Vec<u64> = state.epochs.keys().copied().collect();
    for epoch in epochs {
        let (earlier, segments) = state.earlier(epoch);
        if earlier.edge.is_none() {
            let mut segments = segments.iter().map(|(number, file)| (SegmentId { epoch, number: *number }, file.bytes));
            earlier.edge =
                segments.find_map(|segment| edges.iter().copied().find(|edge| end_of(files, *edge, segment).is_some()));
        }
    }
}

/// Counts the records in the last segment of the latest epochs.
fn count_tails(files: &dyn FileSystem, own: u64, state: &mut State) {
    let epochs: Vec<u64> = state.epochs.keys().rev().take(TAILS_MAX).copied().collect();
    for epoch in epochs {
        let (earlier, segments) = state.earlier(epoch);
        let last = segments.iter().rev().find(|(_, file)| file.first_sequence.is_some());
        if let Some((number, file)) = last {
            let segment = SegmentId { epoch, number: *number };
            let end = end_of(files, earlier.edge.unwrap_or(own), (segment, file.bytes)).unwrap_or(1);
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
