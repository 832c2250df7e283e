//! The table itself: which generation is live, and who may write.
//!
//! Readers take the live generation from an `ArcSwap` and never meet the writer's lock. Where the changes come from is not
//! known here; `waypost-control` brings them.

mod completeness;
mod damage;
mod switch;

use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use waypost_core::domain::DomainSettings;

use self::damage::open_or_replace;
use self::switch::close_retired;
use crate::directory::Directory;
use crate::entry::{Change, Key};
use crate::environment::SyncMode;
use crate::generation::{Generation, Settings};
use crate::load::Building;
use crate::rebuild::{Late, Rebuild};
use crate::runs::RunFolder;
use crate::{Domains, TableError};

/// Changes that one [`Table::apply`] takes.
pub const BATCH_CHANGES_MAX: usize = 65_536;

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
    /// Look-ups that ask the tree at one time; each takes 64 bytes of LMDB's lock file.
    pub readers_max: u32,
    /// What a commit survives.
    pub durability: Durability,
    /// Bytes that a rebuild gathers before it sorts them.
    pub run_bytes_max: usize,
    /// Judges a record when the whole table is checked. What records are, the table does not know.
    pub record_is_sound: fn(&[u8]) -> bool,
    /// Whether a [`crate::Reader`] remembers where records lie. Without it every look-up asks the tree, and nothing is read but by
    /// the way from its root. A sample of look-ups by both ways is compared whenever a generation is opened, and this is turned off
    /// by itself where they differ.
    pub remember_places: bool,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            map_size_bytes: 64 << 30,
            map_size_max_bytes: 1 << 40,
            readers_max: 1_024,
            durability: Durability::default(),
            run_bytes_max: 32 << 20,
            record_is_sound: |_| true,
            remember_places: true,
        }
    }
}

impl TableOptions {
    fn settings(&self, map_bytes: usize) -> Settings {
        let sync = match self.durability {
            Durability::EveryCommit => SyncMode::Full,
            Durability::AllButLast => SyncMode::DataOnly,
        };
        Settings {
            map_bytes,
            map_bytes_max: self.map_size_max_bytes,
            readers_max: self.readers_max,
            sync,
            record_is_sound: self.record_is_sound,
            remember_places: self.remember_places,
        }
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
    /// Links that a [`crate::Reader`] can find without asking the tree; 0 where it remembers no places. Where this changes, it has
    /// forgotten them all.
    pub places_max: u64,
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
    /// What the table says of its store; see [`Meta::source`](crate::meta::Meta).
    source: AtomicU32,
    /// Whether it was compared with its store.
    is_confirmed: AtomicBool,
    /// Whether the mark of an unfinished check is on disk.
    is_marked: AtomicBool,
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
    /// Takes milliseconds whatever the number of links; they are read from disk as they are asked for. A table of another
    /// format, or one that is damaged so that it cannot be opened, is replaced by an empty one, to be filled anew. A small one is
    /// checked at once, a large one by [`Table::check`].
    ///
    /// # Errors
    /// [`TableError::InUse`] or [`TableError::NotATable`], and nothing was changed; or the folder cannot be read or written.
    pub fn open(path: &Path, options: TableOptions) -> Result<Table, TableError> {
        let directory = Directory::lock(path)?;
        let settings = options.settings(options.map_size_bytes);
        let (generation, domains, is_marked) = open_or_replace(&directory, settings)?;
        let meta = generation.meta()?;
        let number_max = directory.remove_leftovers(Some(generation.number()))?;
        directory.set_current_if_absent(generation.number())?;
        Ok(Table {
            cursor: AtomicU64::new(meta.cursor),
            source: AtomicU32::new(meta.source),
            is_confirmed: AtomicBool::new(false),
            is_marked: AtomicBool::new(is_marked),
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
    /// meanwhile is not reused, and a replaced generation stays open.
    ///
    /// # Errors
    /// [`TableError::DamagedEntry`], or [`TableError::Lmdb`] where the file cannot be read, or more
    /// look-ups than [`TableOptions::readers_max`] ask the tree at one time. Never "absent" for a failure.
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

    /// Reads every entry once, so that look-ups by a [`crate::Reader`] find links without asking the tree, and without waiting
    /// for the disk. Goes on until it has read all of one generation, or `keep_going` says no, which it is asked every few
    /// milliseconds; gives the number of entries read, the table's own included.
    ///
    /// For a thread of its own: with ten million links it takes seconds, and what the disk needs.
    ///
    /// # Errors
    /// [`TableError::Lmdb`] where the file cannot be read.
    pub fn warm(&self, keep_going: impl Fn() -> bool) -> Result<u64, TableError> {
        let mut generation = self.with_live(Generation::number);
        let (mut last, mut entries) = (Vec::new(), 0);
        while keep_going() {
            let (number, step) = self.with_live(|live| (live.number(), live.warm(&mut last)));
            if number != generation {
                (generation, entries) = (number, 0);
                last.clear();
                continue;
            }
            match step? {
                0 => break,
                step => entries += step,
            }
        }
        Ok(entries)
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

    /// The settings of all domains, as last set. Costs a shared counter; on a hot path prefer [`Table::borrow_domains`].
    pub fn domains(&self) -> Arc<Domains> {
        self.domains.load_full()
    }

    /// The settings of all domains, as last set, without touching memory that other threads write. To be kept for one request.
    #[inline]
    pub fn borrow_domains(&self) -> impl Deref<Target = Arc<Domains>> {
        self.domains.load()
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
            domains: self.borrow_domains().all().len(),
            cursor: meta.cursor,
            generation: live.number(),
            used_bytes: live.used_bytes(),
            map_bytes: live.map_bytes() as u64,
            places_max: live.places().room(),
        })
    }
}

impl Table {
    /// Hands the live generation to `read`.
    #[inline]
    pub(crate) fn with_live<R>(&self, read: impl FnOnce(&Generation) -> R) -> R {
        read(&self.live.load())
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
        self.end_checking();
        if let Err(error) = self.live.load().environment().sync() {
            tracing::warn!(%error, "the link table's last commit was not synced");
        }
    }
}
