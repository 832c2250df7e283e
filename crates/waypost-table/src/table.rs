//! The table itself: which generation is live, who may write, and how one generation follows another.
//!
//! Readers take the live generation from an `ArcSwap` and never meet the writer's lock. A generation that was replaced is
//! closed by a writer once its last reader let go, never by the reader. Two things replace a generation: a rebuild, and
//! growth, which is a copy with a larger map. Reading rows from anywhere else is not done here.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use waypost_core::domain::DomainSettings;

use crate::directory::{Directory, remove_folder};
use crate::entry::{Change, Key};
use crate::environment::SyncMode;
use crate::generation::{Generation, LMDB_FILE, Settings};
use crate::load::Building;
use crate::rebuild::{Late, Rebuild};
use crate::runs::RunFolder;
use crate::{Domains, TableError};

/// Changes that one [`Table::apply`] takes.
pub const BATCH_CHANGES_MAX: usize = 65_536;
/// Times a table grows for one write before the write fails.
const GROWTHS_MAX: u32 = 8;
/// Disk space left free by growth, for everything else that writes.
const DISK_RESERVE_BYTES: u64 = 64 << 20;
/// How long a switch waits for the last readers of the old generation, which read for microseconds. Past it the old
/// generation is closed by a later write.
const RETIRE_WAIT: Duration = Duration::from_millis(50);

/// What a commit survives. Neither ever leaves a damaged table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A commit survives power loss when it returns.
    EveryCommit,
    /// Power loss may take the last commit back, cursor and all, so that the outbox fills the gap. One sync less each.
    /// The end of a process, however violent, takes nothing.
    #[default]
    AllButLast,
}

/// How a table is opened.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// Address space for the table, in bytes; not disk, not memory. A full table grows by a copy, so give plenty.
    pub map_size_bytes: usize,
    /// Growth ends here, in bytes.
    pub map_size_max_bytes: usize,
    /// Threads that look links up, over the life of the process; each keeps 64 bytes.
    pub readers_max: u32,
    /// What a commit survives.
    pub durability: Durability,
    /// Bytes that a rebuild gathers before it sorts them.
    pub run_bytes_max: usize,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            map_size_bytes: 64 << 30,
            map_size_max_bytes: 1 << 40,
            readers_max: 1_024,
            durability: Durability::default(),
            run_bytes_max: 32 << 20,
        }
    }
}

impl TableOptions {
    fn settings(&self, map_bytes: usize) -> Settings {
        let sync = match self.durability {
            Durability::EveryCommit => SyncMode::Full,
            Durability::AllButLast => SyncMode::DataOnly,
        };
        Settings { map_bytes, map_bytes_max: self.map_size_max_bytes, readers_max: self.readers_max, sync }
    }
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Changes written.
    pub written: u64,
    /// Changes skipped: the stored version was the same or higher.
    pub stale: u64,
}

/// The table in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// Links that are found.
    pub links: u64,
    /// Deleted links whose version is kept.
    pub tombstones: u64,
    /// Domains served.
    pub domains: usize,
    /// Outbox sequence up to which the table is current.
    pub cursor: u64,
    /// Number of the live generation; changes at each rebuild and growth.
    pub generation: u64,
    /// Bytes of the file in use, free pages inside it included.
    pub used_bytes: u64,
    /// Bytes the file may take before the table grows.
    pub map_bytes: u64,
}

/// The link table of one edge. Share it by `Arc`; every method may be called from any thread.
///
/// Look-ups run where they are called and do not block; everything that writes blocks on the disk and belongs on a
/// thread that may.
#[derive(Debug)]
pub struct Table {
    live: ArcSwap<Generation>,
    domains: ArcSwap<Domains>,
    /// The live generation's cursor.
    cursor: AtomicU64,
    /// A std mutex: held over disk writes by design, and never by a reader.
    writer: Mutex<Writer>,
    options: TableOptions,
    /// Declared last: its lock is released after everything else is closed.
    directory: Directory,
}

/// What only the one writer may touch.
#[derive(Debug)]
struct Writer {
    next_number: u64,
    /// Replaced generations that a reader may still be in.
    retired: Vec<Arc<Generation>>,
    /// Set while a rebuild runs.
    late: Option<Late>,
}

impl Table {
    /// Opens the table in the folder `path`, or creates an empty one where the folder is empty or absent.
    ///
    /// Takes milliseconds whatever the number of links; they are read from disk as they are asked for.
    ///
    /// # Errors
    /// [`TableError::InUse`], [`TableError::NotATable`], [`TableError::OtherFormat`] or [`TableError::Damaged`]; nothing
    /// was changed.
    pub fn open(path: &Path, options: TableOptions) -> Result<Table, TableError> {
        let directory = Directory::lock(path)?;
        let settings = options.settings(options.map_size_bytes);
        let current = directory.current()?;
        let generation = match current {
            Some(number) => Generation::open(directory.generation_path(number), number, settings)?,
            None => create_first(&directory, settings)?,
        };
        let domains = Domains::from_json(&generation.domains_json()?)?;
        let meta = generation.meta()?;
        let number_max = directory.remove_leftovers(Some(generation.number()))?;
        directory.set_current_if_absent(generation.number())?;
        Ok(Table {
            cursor: AtomicU64::new(meta.cursor),
            live: ArcSwap::from_pointee(generation),
            domains: ArcSwap::from_pointee(domains),
            writer: Mutex::new(Writer { next_number: number_max + 1, retired: Vec::new(), late: None }),
            options,
            directory,
        })
    }

    /// Looks a link up and hands its record to `read`, in place in the map. `None`: no such link, or a deleted one.
    ///
    /// `domain` is empty for the default domain. Keep `read` short: while it runs, the space of records replaced
    /// meanwhile is not reused, and a replaced generation stays open. It must not call the table again.
    ///
    /// # Errors
    /// [`TableError::DamagedEntry`], or [`TableError::Lmdb`] where the file cannot be read, `read` calls the table, or
    /// more threads than [`TableOptions::readers_max`] have looked links up. Never "absent" for a failure.
    #[inline]
    pub fn get<R>(&self, domain: &str, slug: &str, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, TableError> {
        match Key::new(domain, slug) {
            Some(key) => self.live.load().get(&key, read),
            None => Ok(None),
        }
    }

    /// Writes a batch in one transaction and moves the cursor to `cursor`, or leaves it where it is already later.
    ///
    /// Each change is written only where its version is higher than the stored one, within the batch too. The next look-up
    /// after the return sees all of it. The table grows where it must, which copies it.
    ///
    /// # Errors
    /// A batch with a change that the table cannot hold is refused as a whole. On any error nothing was changed.
    pub fn apply(&self, changes: &[Change<'_>], cursor: u64) -> Result<Applied, TableError> {
        if changes.len() > BATCH_CHANGES_MAX {
            return Err(TableError::BatchTooLarge { changes: changes.len() });
        }
        changes.iter().try_for_each(Change::validate)?;
        let stored_bytes = changes.iter().map(Change::stored_bytes).sum();
        let mut writer = self.lock_writer();
        let (applied, meta) =
            self.write(&mut writer, changes.len(), stored_bytes, |live| live.apply(changes, cursor))?;
        if let Some(late) = &mut writer.late {
            late.keep(changes);
        }
        self.cursor.store(meta.cursor, Ordering::Release);
        close_retired(&mut writer);
        Ok(applied)
    }

    /// The outbox sequence up to which this table is current; 0 for a new one.
    pub fn cursor(&self) -> u64 {
        self.cursor.load(Ordering::Acquire)
    }

    /// Starts to fill the table anew. Look-ups and [`Table::apply`] go on meanwhile.
    ///
    /// # Errors
    /// [`TableError::RebuildRunning`] while another one runs.
    pub fn rebuild(&self) -> Result<Rebuild<'_>, TableError> {
        let mut writer = self.lock_writer();
        if writer.late.is_some() {
            return Err(TableError::RebuildRunning);
        }
        let number = writer.take_number();
        let folder = RunFolder::create(self.directory.runs_path(number))?;
        let base = Building::create(self.directory.building_path(number), self.rebuild_settings())?;
        writer.late = Some(Late::new(Arc::clone(&folder)));
        Ok(Rebuild::new(self, folder, base, self.cursor()))
    }

    /// The settings of all domains, as last set. Costs a shared counter; on a hot path prefer [`Table::read_domains`].
    pub fn domains(&self) -> Arc<Domains> {
        self.domains.load_full()
    }

    /// Hands the domain settings to `read` without touching memory that other threads write.
    #[inline]
    pub fn read_domains<R>(&self, read: impl FnOnce(&Domains) -> R) -> R {
        read(&self.domains.load())
    }

    /// Replaces the settings of all domains, durably, for every look-up after the return.
    ///
    /// # Errors
    /// [`TableError::BadDomains`] where they contradict each other. On any error nothing was changed.
    pub fn set_domains(&self, settings: &[DomainSettings]) -> Result<(), TableError> {
        let domains = Domains::new(settings.to_vec())?;
        let json = domains.to_json()?;
        let mut writer = self.lock_writer();
        self.write(&mut writer, 1, json.len(), |live| live.set_domains_json(&json))?;
        self.domains.store(Arc::new(domains));
        close_retired(&mut writer);
        Ok(())
    }

    /// The table in numbers. Cheap, and not to be called within a look-up.
    ///
    /// # Errors
    /// [`TableError::Lmdb`] or [`TableError::Damaged`] where the table's own entry cannot be read.
    pub fn stats(&self) -> Result<TableStats, TableError> {
        let live = self.live.load();
        let meta = live.meta()?;
        Ok(TableStats {
            links: live.entry_count().saturating_sub(meta.tombstones),
            tombstones: meta.tombstones,
            domains: self.read_domains(|domains| domains.all().len()),
            cursor: meta.cursor,
            generation: live.number(),
            used_bytes: live.used_bytes(),
            map_bytes: live.map_bytes() as u64,
        })
    }
}

/// Switching generations.
impl Table {
    pub(crate) fn run_bytes_max(&self) -> usize {
        self.options.run_bytes_max
    }

    pub(crate) fn create_building(&self) -> Result<Building, TableError> {
        let number = self.lock_writer().take_number();
        Building::create(self.directory.building_path(number), self.rebuild_settings())
    }

    /// What was applied since the rebuild with this folder began, or since this was last called for it.
    pub(crate) fn take_late(&self, folder: &Arc<RunFolder>) -> Result<Late, TableError> {
        let fresh = Late::new(Arc::clone(folder));
        let late = self.lock_writer().late.replace(fresh);
        Ok(late.expect("a rebuild is registered from its start to its end"))
    }

    pub(crate) fn forget_rebuild(&self, folder: &Arc<RunFolder>) {
        let mut writer = self.lock_writer();
        if writer.late.as_ref().is_some_and(|late| late.belongs_to(folder)) {
            writer.late = None;
        }
    }

    /// Ends a rebuild: brings in the last changes and makes the generation live, with writers waiting.
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
            (live.domains_json()?, live.map_bytes().max(self.options.map_size_bytes))
        };
        let building = building.complete(cursor, &domains_json)?;
        self.switch(&mut writer, building.folder(), map_bytes)?;
        drop(writer);
        let stats = self.stats()?;
        tracing::info!(generation.number = stats.generation, links = stats.links, cursor, "link table rebuilt");
        Ok(stats)
    }

    /// Runs a write against the live generation, growing the table as often as it is full.
    fn write<T>(
        &self,
        writer: &mut Writer,
        changes: usize,
        stored_bytes: usize,
        attempt: impl Fn(&Generation) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        for _ in 0..GROWTHS_MAX {
            let live = self.live.load_full();
            match attempt(&live) {
                Err(error) if error.is_map_full() => {
                    let room_bytes = live.room_bytes(changes, stored_bytes);
                    self.grow(writer, &live, room_bytes)?;
                }
                done => return done,
            }
        }
        attempt(&self.live.load_full())
    }

    /// Replaces the live generation by a copy of it with a map that is at least twice as large and has `room_bytes` free.
    fn grow(&self, writer: &mut Writer, live: &Generation, room_bytes: u64) -> Result<(), TableError> {
        let max_bytes = self.options.map_size_max_bytes;
        let needed_bytes = usize::try_from(live.used_bytes() + room_bytes).unwrap_or(usize::MAX);
        let wanted_bytes = live.map_bytes().saturating_mul(2).max(needed_bytes).min(max_bytes);
        if wanted_bytes <= live.map_bytes() {
            return Err(TableError::MapLimit { needed_bytes: needed_bytes.max(max_bytes + 1), max_bytes });
        }
        check_free_space(self.directory.path(), live.used_bytes() + DISK_RESERVE_BYTES)?;
        let folder = self.directory.building_path(writer.take_number());
        let grown = copy_generation(live, &folder).and_then(|()| self.switch(writer, &folder, wanted_bytes));
        if grown.is_err() {
            remove_folder(&folder);
        } else {
            tracing::info!(map_bytes = wanted_bytes, "link table grew");
        }
        grown
    }

    /// Makes the complete, synced and closed generation in the building `folder` the live one.
    fn switch(&self, writer: &mut Writer, folder: &Path, map_bytes: usize) -> Result<(), TableError> {
        let number = writer.take_number();
        let folder = self.directory.promote(folder, number)?;
        let generation = Generation::open(folder.clone(), number, self.options.settings(map_bytes))
            .and_then(|generation| generation.meta().map(|meta| (generation, meta)))
            .inspect_err(|_| remove_folder(&folder))?;
        let (generation, meta) = generation;
        // Past this point both generations stay: a failure leaves open which of them CURRENT names on disk.
        self.directory.set_current(number)?;
        writer.retired.push(self.live.swap(Arc::new(generation)));
        self.cursor.store(meta.cursor, Ordering::Release);
        let deadline = Instant::now() + RETIRE_WAIT;
        while close_retired(writer) > 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn rebuild_settings(&self) -> Settings {
        self.options.settings(self.options.map_size_bytes)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        // A panic while the lock was held aborted its transaction; the state behind it is sound.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        close_retired(&mut self.lock_writer());
        if let Err(error) = self.live.load().environment().sync() {
            tracing::warn!(%error, "the link table's last commit was not synced");
        }
    }
}

/// Closes replaced generations that no reader is in, and removes their folders. Returns how many remain.
///
/// Nobody can enter a replaced generation any more, so the only `Arc` left is the last one.
fn close_retired(writer: &mut Writer) -> usize {
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

/// The first generation of a new table.
fn create_first(directory: &Directory, settings: Settings) -> Result<Generation, TableError> {
    let number = directory.remove_leftovers(None)? + 1;
    let building = Building::create(directory.building_path(number), settings)?;
    let building = building.complete(0, b"[]")?;
    let folder = directory.promote(building.folder(), number)?;
    Generation::open(folder, number, settings)
}

fn copy_generation(live: &Generation, folder: &Path) -> Result<(), TableError> {
    std::fs::create_dir(folder).map_err(TableError::io("create the folder", folder))?;
    let path = folder.join(LMDB_FILE);
    live.environment().copy_to(&path).map_err(|source| match source {
        heed::Error::Io(source) => TableError::Io { operation: "copy the link table to", path, source },
        source => TableError::Lmdb { operation: "copy itself", source },
    })
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
