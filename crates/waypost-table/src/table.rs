//! The table itself: which generation is live, and who may write.
//!
//! Readers take the live generation from an `ArcSwap` and never wait for the writer's lock. `waypost-control` supplies
//! the changes.

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

/// The most changes of one [`Table::apply`].
pub const BATCH_CHANGES_MAX: usize = 65_536;

/// What a commit survives. With both the table stays undamaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A commit survives power loss when it returns.
    EveryCommit,
    /// Power loss may undo the last commit together with its cursor, and the outbox then supplies it again. Each commit
    /// needs one sync less. A crash of the process loses nothing.
    #[default]
    AllButLast,
}

/// How a table is opened.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// Address space for the table, in bytes; not disk, not memory. A full table grows by a copy, so choose a large
    /// value.
    pub map_size_bytes: usize,
    /// The largest size that the table may grow to, in bytes.
    pub map_size_max_bytes: usize,
    /// The most look-ups that search the tree at the same time; each takes 64 bytes of LMDB's lock file.
    pub readers_max: u32,
    /// What a commit survives.
    pub durability: Durability,
    /// Bytes that a rebuild collects before it sorts them.
    pub run_bytes_max: usize,
    /// Checks a record when the whole table is checked. The table itself does not know the format of records.
    pub record_is_sound: fn(&[u8]) -> bool,
    /// Whether a [`crate::Reader`] remembers the places of records. Without it every look-up searches the tree from its
    /// root. When a generation is opened, a sample of look-ups is done in both ways; if the results differ, this is
    /// turned off.
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
    /// Links that exist.
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
    /// Links that a [`crate::Reader`] can find without searching the tree; 0 if it remembers no places. When this
    /// number changes, all places were forgotten.
    pub places_max: u64,
}

/// The link table of one edge. Share it by `Arc`; every method may be called from any thread.
///
/// Look-ups run where they are called and do not block; everything that writes blocks on the disk, so call it on a
/// thread that may block.
#[derive(Debug)]
pub struct Table {
    live: ArcSwap<Generation>,
    domains: ArcSwap<Domains>,
    /// The live generation's cursor.
    cursor: AtomicU64,
    /// What the table stores about its store; see [`Meta::source`](crate::meta::Meta).
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
    /// Replaced generations that a reader may still use.
    retired: Vec<Arc<Generation>>,
    /// Set while a rebuild runs.
    late: Option<Late>,
}

impl Table {
    /// Opens the table in the folder `path`, or creates an empty one if the folder is empty or absent.
    ///
    /// Takes milliseconds for any number of links; they are read from disk when they are looked up. A table of another
    /// format, or one too damaged to open, is replaced by an empty one, which must be filled again. A small one is
    /// checked at once, a large one by [`Table::check`].
    ///
    /// # Errors
    /// [`TableError::InUse`] or [`TableError::NotATable`], and nothing was changed; or the folder cannot be read or
    /// written.
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

    /// Looks a link up and passes its record to `read`, in place in the map. `None`: an unknown link, or a deleted one.
    ///
    /// `domain` is empty for the default domain. Keep `read` short: while it runs, the space of records replaced
    /// meanwhile is not reused, and a replaced generation stays open.
    ///
    /// # Errors
    /// [`TableError::DamagedEntry`], or [`TableError::Lmdb`] if the file cannot be read, or if more look-ups than
    /// [`TableOptions::readers_max`] search the tree at the same time. A failure is never reported as "not found".
    #[inline]
    pub fn get<R>(&self, domain: &str, slug: &str, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, TableError> {
        match Key::new(domain, slug) {
            Some(key) => self.live.load().get(&key, read),
            None => Ok(None),
        }
    }

    /// Writes a batch in one transaction and moves the cursor to `cursor`, or leaves it if it is already later.
    ///
    /// Each change is only written if its version is higher than the stored one, within the batch too. The next look-up
    /// after the return sees all of it. The table grows if it must, which copies it.
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

    /// Reads every entry once, so that look-ups by a [`crate::Reader`] find links without searching the tree and
    /// without waiting for the disk. Stops when it has read all of one generation, or when `keep_going`, which is
    /// called every few milliseconds, returns false. Returns the number of entries read, including the table's own.
    ///
    /// For a thread of its own: with ten million links it takes seconds, plus the time of the disk.
    ///
    /// # Errors
    /// [`TableError::Lmdb`] if the file cannot be read.
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

    /// Starts to fill the table again. Look-ups and [`Table::apply`] continue meanwhile.
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

    /// The settings of all domains, as last set. Costs a shared counter; on a hot path prefer
    /// [`Table::borrow_domains`].
    pub fn domains(&self) -> Arc<Domains> {
        self.domains.load_full()
    }

    /// The settings of all domains, as last set, without touching memory that other threads write. Keep it for one
    /// request only.
    #[inline]
    pub fn borrow_domains(&self) -> impl Deref<Target = Arc<Domains>> {
        self.domains.load()
    }

    /// Replaces the settings of all domains, durably, for every look-up after the return.
    ///
    /// # Errors
    /// [`TableError::BadDomains`] if they contradict each other. On any error nothing was changed.
    pub fn set_domains(&self, settings: &[DomainSettings]) -> Result<(), TableError> {
        let domains = Domains::new(settings.to_vec())?;
        let json = domains.to_json()?;
        let mut writer = self.lock_writer();
        self.write(&mut writer, 1, json.len(), |live| live.set_domains_json(&json))?;
        self.domains.store(Arc::new(domains));
        close_retired(&mut writer);
        Ok(())
    }

    /// The table in numbers. Cheap. Do not call it within a look-up.
    ///
    /// # Errors
    /// [`TableError::Lmdb`] or [`TableError::Damaged`] if the table's own entry cannot be read.
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
    /// Passes the live generation to `read`.
    #[inline]
    pub(crate) fn with_live<R>(&self, read: impl FnOnce(&Generation) -> R) -> R {
        read(&self.live.load())
    }

    fn rebuild_settings(&self) -> Settings {
        self.options.settings(self.options.map_size_bytes)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        // A panic while the lock was held aborted its transaction; the state is valid.
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
