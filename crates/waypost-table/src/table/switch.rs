//! How one generation follows another: the end of a rebuild, and growth, which is a copy with a larger map.
//!
//! A new generation is complete, synced and named by `CURRENT` before a look-up can see it. The one it replaces is
//! closed by a writer after its last reader has left, never by a reader.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Table, TableStats, Writer};
use crate::directory::{Directory, remove_folder};
use crate::generation::{Generation, LMDB_FILE, Origin, Settings};
use crate::load::Building;
use crate::meta::Meta;
use crate::rebuild::Late;
use crate::runs::RunFolder;
use crate::{Domains, TableError};

/// How often a table grows for one write before the write fails.
const GROWTHS_MAX: u32 = 8;
/// Disk space that growth leaves free for everything else that writes.
const DISK_RESERVE_BYTES: u64 = 64 << 20;
/// How long a switch waits for the last readers of the old generation, which read for microseconds. After that a later
/// write closes the old generation.
const RETIRE_WAIT: Duration = Duration::from_millis(50);

impl Table {
    pub(crate) fn run_bytes_max(&self) -> usize {
        self.options.run_bytes_max
    }

    pub(crate) fn create_building(&self) -> Result<Building, TableError> {
        let number = self.lock_writer().take_number();
        Building::create(self.directory.building_path(number), self.rebuild_settings())
    }

    /// What was applied since the rebuild with this folder began, or since the last call of this.
    pub(crate) fn take_late(&self, folder: &Arc<RunFolder>) -> Late {
        let fresh = Late::new(Arc::clone(folder));
        let late = self.lock_writer().late.replace(fresh);
        late.expect("a rebuild is registered from its start to its end")
    }

    pub(crate) fn forget_rebuild(&self, folder: &Arc<RunFolder>) {
        let mut writer = self.lock_writer();
        if writer.late.as_ref().is_some_and(|late| late.belongs_to(folder)) {
            writer.late = None;
        }
    }

    /// Ends a rebuild: adds the last changes and makes the generation live, while writers wait.
    pub(crate) fn switch_to_rebuilt(
        &self,
        mut building: Building,
        cursor: u64,
        start_cursor: u64,
    ) -> Result<TableStats, TableError> {
        let mut writer = self.lock_writer();
        writer.late.take().expect("a rebuild is registered from its start to its end").put_into(&mut building)?;
        let cursor = if cursor < start_cursor { cursor } else { cursor.max(self.cursor()) };
        let (domains_json, map_bytes) = {
            let live = self.live.load();
            (self.domains().to_json()?, live.map_bytes().max(self.options.map_size_bytes))
        };
        let source = self.source.load(Ordering::Acquire);
        let meta = Meta { cursor, source, is_complete: true, ..Meta::default() };
        let building = building.complete(meta, &domains_json)?;
        self.switch(&mut writer, building.folder(), map_bytes)?;
        drop(writer);
        let stats = self.stats()?;
        tracing::info!(generation.number = stats.generation, links = stats.links, cursor, "link table rebuilt");
        Ok(stats)
    }

    /// Runs a write on the live generation after that was checked, and grows the table as often as it is full.
    pub(super) fn write<T>(
        &self,
        writer: &mut Writer,
        changes: usize,
        stored_bytes: usize,
        attempt: impl Fn(&Generation) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        self.check(|| true)?;
        for _ in 0..GROWTHS_MAX {
            let live = self.live.load();
            match attempt(&live) {
                Err(error) if error.is_map_full() => {
                    let room_bytes = live.room_bytes(changes, stored_bytes);
                    // The old generation is closed once nobody holds it, this function included.
                    drop(live);
                    self.grow(writer, room_bytes)?;
                }
                Err(error) if live.has_given_up() => {
                    drop(live);
                    self.reopen(writer, &error)?;
                    // The caller decides whether to try the write again.
                    return Err(error);
                }
                done => return done,
            }
        }
        attempt(&self.live.load())
    }

    /// Opens the live generation's file once more, under another number: if LMDB could not write the page that ends a
    /// commit, it refuses everything, even look-ups, until the file is opened again. Nothing is copied; the file gets a
    /// second name.
    fn reopen(&self, writer: &mut Writer, cause: &TableError) -> Result<(), TableError> {
        let folder = self.directory.building_path(writer.take_number());
        let (path, map_bytes) = {
            let live = self.live.load();
            (live.folder().join(LMDB_FILE), live.map_bytes())
        };
        fs::create_dir(&folder).map_err(TableError::io("create the folder", &folder))?;
        let named = fs::hard_link(&path, folder.join(LMDB_FILE)).map_err(TableError::io("give another name to", &path));
        let reopened = named.and_then(|()| self.switch_to_same(writer, &folder, map_bytes));
        if reopened.is_err() {
            remove_folder(&folder);
        }
        reopened?;
        tracing::warn!(error = %cause, "a write to the link table failed; the table is opened again");
        Ok(())
    }

    /// Replaces the live generation by a copy of it with a map that is at least twice as large and has `room_bytes`
    /// free.
    fn grow(&self, writer: &mut Writer, room_bytes: u64) -> Result<(), TableError> {
        let folder = self.directory.building_path(writer.take_number());
        let grown = self.copy_live(&folder, room_bytes).and_then(|map_bytes| {
            self.switch_to_same(writer, &folder, map_bytes)?;
            tracing::info!(map_bytes, "link table grew");
            Ok(())
        });
        if grown.is_err() {
            remove_folder(&folder);
        }
        grown
    }

    /// Copies the live generation into the new folder and says how large the copy's map is to be.
    fn copy_live(&self, folder: &Path, room_bytes: u64) -> Result<usize, TableError> {
        let live = self.live.load();
        let max_bytes = self.options.map_size_max_bytes;
        let needed_bytes = usize::try_from(live.used_bytes() + room_bytes).unwrap_or(usize::MAX);
        let wanted_bytes = live.map_bytes().saturating_mul(2).max(needed_bytes).min(max_bytes);
        if wanted_bytes <= live.map_bytes() {
            return Err(TableError::MapLimit { needed_bytes: needed_bytes.max(max_bytes + 1), max_bytes });
        }
        check_free_space(self.directory.path(), live.used_bytes() + DISK_RESERVE_BYTES)?;
        fs::create_dir(folder).map_err(TableError::io("create the folder", folder))?;
        let path = folder.join(LMDB_FILE);
        live.environment().copy_to(&path).map_err(|source| match source {
            heed::Error::Io(source) => TableError::Io { operation: "copy the link table to", path, source },
            source => TableError::Lmdb { operation: "copy itself", source },
        })?;
        Ok(wanted_bytes)
    }

    /// Replaces the live generation by an empty one with this entry.
    pub(super) fn empty(&self, writer: &mut Writer, source: u32) -> Result<(), TableError> {
        let folder = self.directory.building_path(writer.take_number());
        let building = Building::create(folder, self.rebuild_settings())?;
        let domains = Domains::default();
        let building = building.complete(Meta { source, ..Meta::default() }, &domains.to_json()?)?;
        self.switch(writer, building.folder(), self.options.map_size_bytes)?;
        self.source.store(source, Ordering::Release);
        self.domains.store(Arc::new(domains));
        Ok(())
    }

    /// As [`Table::switch`], to a generation with exactly the entries of the live one, including damaged ones.
    fn switch_to_same(&self, writer: &mut Writer, folder: &Path, map_bytes: usize) -> Result<(), TableError> {
        let damage = self.damage();
        self.switch(writer, folder, map_bytes)?;
        if let Some(damage) = damage {
            self.with_live(|same| same.soundness().inherit(damage));
        }
        Ok(())
    }

    /// Makes the complete, synced and closed generation in the building `folder` the live one.
    fn switch(&self, writer: &mut Writer, folder: &Path, map_bytes: usize) -> Result<(), TableError> {
        let number = writer.take_number();
        let folder = self.directory.promote(folder, number)?;
        let (generation, meta) =
            Generation::open(folder.clone(), number, self.options.settings(map_bytes), Origin::Made)
                .and_then(|generation| generation.meta().map(|meta| (generation, meta)))
                .inspect_err(|_| remove_folder(&folder))?;
        // From here both generations stay: after a failure it is unknown which of them CURRENT names on disk.
        self.directory.set_current(number)?;
        writer.retired.push(self.live.swap(Arc::new(generation)));
        self.cursor.store(meta.cursor, Ordering::Release);
        let deadline = Instant::now() + RETIRE_WAIT;
        while close_retired(writer) > 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        Ok(())
    }
}

/// Closes replaced generations that no reader is in, and removes their folders. Returns how many remain.
///
/// Nobody can enter a replaced generation any more, so the only `Arc` left is the last one.
pub(super) fn close_retired(writer: &mut Writer) -> usize {
    for generation in std::mem::take(&mut writer.retired) {
        match Arc::try_unwrap(generation) {
            Ok(generation) => {
                let folder: PathBuf = generation.folder().to_owned();
                drop(generation);
                remove_folder(&folder);
            }
            Err(generation) => writer.retired.push(generation),
        }
    }
    writer.retired.len()
}

/// The generation that the folder says is live, and its domains; the first one if there is none yet.
pub(super) fn open_current(directory: &Directory, settings: Settings) -> Result<(Generation, Domains), TableError> {
    let generation = match directory.current()? {
        Some(number) => Generation::open(directory.generation_path(number), number, settings, Origin::Found)?,
        None => create_first(directory, settings)?,
    };
    let domains = Domains::from_json(&generation.domains_json()?)?;
    Ok((generation, domains))
}

/// The first generation of a new table.
pub(super) fn create_first(directory: &Directory, settings: Settings) -> Result<Generation, TableError> {
    let number = directory.remove_leftovers(None)? + 1;
    let building = Building::create(directory.building_path(number), settings)?;
    let building = building.complete(Meta::default(), b"[]")?;
    let folder = directory.promote(building.folder(), number)?;
    Generation::open(folder, number, settings, Origin::Made)
}

fn check_free_space(path: &Path, needed_bytes: u64) -> Result<(), TableError> {
    let volume =
        rustix::fs::statvfs(path).map_err(|error| TableError::io("read the free space of", path)(error.into()))?;
    let free_bytes = volume.f_bavail.saturating_mul(volume.f_frsize);
    if free_bytes < needed_bytes {
        return Err(TableError::DiskFull { path: path.to_owned(), needed_bytes, free_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_disk_without_room_for_a_copy_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_free_space(folder.path(), 1).is_ok());
        let error = check_free_space(folder.path(), u64::MAX).unwrap_err();
        assert!(matches!(error, TableError::DiskFull { needed_bytes: u64::MAX, .. }), "{error:?}");
    }
}
