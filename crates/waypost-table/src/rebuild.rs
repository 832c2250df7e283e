//! Fills a new generation of the table while the old one is live.
//!
//! Changes may come in any order. They are sorted in a buffer. If a sorted buffer comes after all keys so far, it is
//! appended to the new generation at once, so input in key order is written once. Else it becomes a run on disk, and
//! `finish` merges the runs. Memory stays near `run_bytes_max` plus one transaction's pages, however many links there
//! are.
//!
//! `Table::apply` keeps a copy of changes that are applied meanwhile, and they are added to the new generation before
//! the switch. So no acknowledged change is lost, whichever snapshot the caller reads.

use std::sync::Arc;

use crate::entry::Key;
use crate::load::Building;
use crate::runs::{Buffer, Pair, RunFolder, Runs};
use crate::{Change, Table, TableError, TableStats};

/// Bytes of changes applied during a rebuild that are kept in memory.
const LATE_BYTES_MAX: usize = 8 << 20;

/// A running rebuild. Dropping it abandons it; the live table is untouched.
#[derive(Debug)]
pub struct Rebuild<'t> {
    table: &'t Table,
    folder: Arc<RunFolder>,
    buffer: Buffer,
    runs: Runs,
    /// The entries that came in key order. `None` only during `finish`.
    base: Option<Building>,
    /// The live cursor when the rebuild began: changes up to it are not kept.
    start_cursor: u64,
    value: Vec<u8>,
}

impl<'t> Rebuild<'t> {
    pub(crate) fn new(table: &'t Table, folder: Arc<RunFolder>, base: Building, start_cursor: u64) -> Rebuild<'t> {
        let buffer = Buffer::new(table.run_bytes_max());
        let runs = Runs::new(Arc::clone(&folder));
        Rebuild { table, folder, buffer, runs, base: Some(base), start_cursor, value: Vec::new() }
    }

    /// Adds one link, or a tombstone whose version is to be kept. If a link is added several times, the highest version
    /// counts.
    ///
    /// From time to time this sorts and writes the buffer, at [`crate::TableOptions::run_bytes_max`].
    ///
    /// # Errors
    /// A change that the table cannot hold is refused and the rebuild goes on without it. After
    /// [`TableError::Io`] or [`TableError::Lmdb`] the rebuild is incomplete and must be dropped.
    pub fn put(&mut self, change: Change<'_>) -> Result<(), TableError> {
        change.validate()?;
        let Some(key) = Key::new(change.domain, change.slug) else {
            return Err(TableError::NameTooLong { size_bytes: change.domain.len() + change.slug.len() });
        };
        change.encode_value(key.as_bytes(), &mut self.value);
        self.buffer.push(key.as_bytes(), &self.value);
        if self.buffer.is_full() { self.flush() } else { Ok(()) }
    }

    /// Makes the added links, with the changes applied since the rebuild began, the live table.
    ///
    /// `cursor` is the outbox sequence up to which the added links are current. The new table's cursor is the later of
    /// it and the live one, unless `cursor` is before the point where the rebuild began. Then it is `cursor`, and the
    /// caller applies the outbox from there again.
    ///
    /// # Errors
    /// The live table stays unchanged; [`TableError::RebuildIncomplete`] if a change applied meanwhile was lost.
    pub fn finish(mut self, cursor: u64) -> Result<TableStats, TableError> {
        self.flush()?;
        let base = self.base.take().expect("only finish takes the base, and finish takes the rebuild");
        let mut building = if self.runs.is_empty() { base } else { self.merge(&base)? };
        self.catch_up(&mut building)?;
        // Most data is on disk before writers must wait for the switch.
        building.sync()?;
        self.table.switch_to_rebuilt(building, cursor, self.start_cursor)
    }

    /// Appends the buffer to the base if its keys come after it, else writes it as a run.
    fn flush(&mut self) -> Result<(), TableError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.buffer.sort();
        let first_key = self.buffer.iter().next().map(|(key, _)| key);
        let base = self.base.as_mut().expect("only finish takes the base, and finish takes the rebuild");
        if first_key.is_some_and(|key| !base.ends_before(key)) {
            return self.runs.spill(&mut self.buffer);
        }
        let mut entries = self.buffer.iter();
        base.append_all(|pair| {
            let Some((key, value)) = entries.next() else { return Ok(false) };
            pair.key.clear();
            pair.key.extend_from_slice(key);
            pair.value.clear();
            pair.value.extend_from_slice(value);
            Ok(true)
        })?;
        drop(entries);
        self.buffer.clear();
        Ok(())
    }

    /// Base and runs as one new generation.
    fn merge(&mut self, base: &Building) -> Result<Building, TableError> {
        self.buffer = Buffer::new(0);
        let mut building = self.table.create_building()?;
        let generation = base.generation();
        let tx = generation.environment().read_txn().map_err(TableError::lmdb("begin a read"))?;
        let entries = generation.entries().iter(&tx).map_err(TableError::lmdb("read a generation in order"))?;
        let mut merge = self.runs.merge(Some(entries))?;
        building.append_all(|pair| merge.next_into(pair))?;
        drop(merge);
        self.runs = Runs::new(Arc::clone(&self.folder));
        Ok(building)
    }

    /// Adds what was applied to the live table so far.
    fn catch_up(&self, building: &mut Building) -> Result<(), TableError> {
        self.table.take_late(&self.folder).put_into(building)
    }
}

impl Drop for Rebuild<'_> {
    fn drop(&mut self) {
        self.table.forget_rebuild(&self.folder);
    }
}

/// Changes applied to the live table while a rebuild runs.
#[derive(Debug)]
pub(crate) struct Late {
    folder: Arc<RunFolder>,
    buffer: Buffer,
    runs: Runs,
    failure: Option<TableError>,
}

impl Late {
    pub(crate) fn new(folder: Arc<RunFolder>) -> Late {
        let runs = Runs::new(Arc::clone(&folder));
        Late { folder, buffer: Buffer::new(LATE_BYTES_MAX), runs, failure: None }
    }

    pub(crate) fn belongs_to(&self, folder: &Arc<RunFolder>) -> bool {
        Arc::ptr_eq(&self.folder, folder)
    }

    /// Keeps changes that are already live. If that fails, the rebuild fails, not the write.
    pub(crate) fn keep(&mut self, changes: &[Change<'_>]) {
        let mut value = Vec::new();
        for change in changes {
            let Some(key) = Key::new(change.domain, change.slug) else { continue };
            change.encode_value(key.as_bytes(), &mut value);
            self.buffer.push(key.as_bytes(), &value);
            if self.buffer.is_full() && self.failure.is_none() {
                self.failure = self.spill().err();
            }
        }
        if self.failure.is_some() {
            self.buffer.clear();
        }
    }

    fn spill(&mut self) -> Result<(), TableError> {
        self.buffer.sort();
        self.runs.spill(&mut self.buffer)
    }

    /// Writes everything kept into the new generation.
    pub(crate) fn put_into(mut self, building: &mut Building) -> Result<(), TableError> {
        if let Some(failure) = self.failure.take() {
            return Err(TableError::RebuildIncomplete(Box::new(failure)));
        }
        if !self.buffer.is_empty() {
            self.spill()?;
        }
        let mut merge = self.runs.merge(None)?;
        building.put_all_newer(|pair: &mut Pair| merge.next_into(pair))
    }
}
