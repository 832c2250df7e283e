//! One LMDB file of the table, complete or under construction: look-ups, and transactions that never replace a link by
//! an older version.
//!
//! LMDB writes, and protects pages that are being read. Reads do not use its functions (`tree`), so that a damaged page
//! is an error and not a crash. LMDB only writes to a file that was checked (`soundness`).
//!
//! Which generation is live, and when one follows another, is decided in `table`.

mod look_up;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, PutFlags, RwTxn};
use memmap2::Mmap;

use crate::entry::{Change, Entry, Key, is_tombstone, version_of};
use crate::environment::{Environment, SyncMode, map_file};
use crate::meta::{self, DOMAINS_KEY, META_ENTRIES, META_KEY, Meta};
use crate::places::{Places, hash_of};
use crate::soundness::Soundness;
use crate::{Applied, TableError, lmdb_file};

/// LMDB's name for the file inside its folder.
pub(crate) const LMDB_FILE: &str = "data.mdb";
/// The file grows in steps of this; see [`Generation::reserve`].
const FILE_STEP_BYTES: u64 = 4 << 20;
/// Pages that one change may touch: the leaf, its branches, the free list.
const PAGES_PER_CHANGE: u64 = 4;

/// How to open a generation's environment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The map has at least this size, and room to double the file.
    pub(crate) map_bytes: usize,
    /// The most bytes of the map.
    pub(crate) map_bytes_max: usize,
    pub(crate) readers_max: u32,
    pub(crate) sync: SyncMode,
    pub(crate) record_is_sound: fn(&[u8]) -> bool,
    pub(crate) remember_places: bool,
}

/// Where a generation's file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This process has just written it.
    Made,
    /// It already existed.
    Found,
}

/// An open generation.
#[derive(Debug)]
pub(crate) struct Generation {
    number: u64,
    folder: PathBuf,
    entries: Database<'static, Bytes, Bytes>,
    environment: Environment,
    /// For look-ups. `None` while it is under construction, when LMDB's own map may move.
    map: Option<Mmap>,
    /// The same file as the environment's, only ever made longer.
    file: File,
    /// A lower bound of the file's length.
    file_bytes: AtomicU64,
    page_bytes: u64,
    places: Places,
    soundness: Soundness,
    record_is_sound: fn(&[u8]) -> bool,
}

/// What a transaction did to the entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) applied: Applied,
    tombstones_added: u64,
    tombstones_removed: u64,
}

impl Generation {
    /// Creates an empty generation in the existing, empty folder. It has no meta entries until [`Generation::seal`].
    pub(crate) fn create(folder: PathBuf, number: u64, settings: Settings) -> Result<Generation, TableError> {
        let environment = open_environment(&folder, settings)?;
        let tx = environment.write_txn().map_err(TableError::lmdb("begin the first write"))?;
        let entries = environment
            .env()
            .create_databases_and_commit(tx, |opener, tx| {
                opener.create_database::<Bytes, Bytes>(tx, None).map(CommitOrAbort::<_, ()>::Commit)
            })
            .map_err(TableError::lmdb("create its database"))?
            .commit();
        Self::assemble(folder, number, environment, entries, settings)
    }

    /// Opens a complete generation after checking its meta pages. [`Generation::check`] checks the rest, unless
    /// `origin` says that this process has just written it.
    pub(crate) fn open(
        folder: PathBuf,
        number: u64,
        settings: Settings,
        origin: Origin,
    ) -> Result<Generation, TableError> {
        let path = folder.join(LMDB_FILE);
        let file_meta = lmdb_file::verify(&path)?;
        let used_bytes = usize::try_from(file_meta.used_bytes()).unwrap_or(usize::MAX);
        // No reader exists yet, so room for growth costs nothing now. Later it would cost a copy of the whole file.
        let map_bytes = used_bytes.saturating_mul(2).min(settings.map_bytes_max).max(settings.map_bytes);
        let environment = open_environment(&folder, Settings { map_bytes, ..settings })?;
        let tx = environment.read_txn().map_err(TableError::lmdb("begin the first read"))?;
        let entries = environment
            .env()
            .open_databases_and_commit(tx, |opener, tx| {
                opener.open_database::<Bytes, Bytes>(tx, None).map(CommitOrAbort::<_, ()>::Commit)
            })
            .map_err(TableError::lmdb("open its database"))?
            .commit()
            .flatten();
        let mut generation = Self::assemble(folder, number, environment, entries, settings)?;
        let map = map_file(&generation.file, generation.map_bytes()).map_err(TableError::io("map", &path))?;
        generation.map = Some(map);
        let unchecked = (origin == Origin::Found).then_some(file_meta);
        generation.soundness = Soundness::new(path, unchecked);
        generation.meta()?;
        generation.test_places();
        Ok(generation)
    }

    fn assemble(
        folder: PathBuf,
        number: u64,
        environment: Environment,
        entries: Option<Database<'static, Bytes, Bytes>>,
        settings: Settings,
    ) -> Result<Generation, TableError> {
        let path = folder.join(LMDB_FILE);
        let entries = entries
            .ok_or_else(|| TableError::Damaged { path: path.clone(), reason: "it has no main database".to_owned() })?;
        let file = File::options().read(true).write(true).open(&path).map_err(TableError::io("open", &path))?;
        let file_bytes = file.metadata().map_err(TableError::io("read the length of", &path))?.len();
        let page_bytes = u64::from(environment.env().unnamed_database_stat().page_size);
        let stat = environment.env().unnamed_database_stat();
        let places = Places::new(stat.entries as u64, page_bytes, settings.remember_places);
        Ok(Generation {
            number,
            folder,
            entries,
            environment,
            map: None,
            file,
            file_bytes: file_bytes.into(),
            page_bytes,
            places,
            soundness: Soundness::new(path, None),
            record_is_sound: settings.record_is_sound,
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn environment_mut(&mut self) -> &mut Environment {
        &mut self.environment
    }

    pub(crate) fn entries(&self) -> Database<'static, Bytes, Bytes> {
        self.entries
    }

    pub(crate) fn map_bytes(&self) -> usize {
        self.environment.info().map_size
    }

    /// Whether LMDB refuses everything from now on, also look-ups, because it could not write the end of a commit.
    pub(crate) fn has_given_up(&self) -> bool {
        matches!(self.environment.read_txn(), Err(heed::Error::Mdb(heed::MdbError::Panic)))
    }

    /// Bytes of the file's pages in use, free ones inside it included.
    pub(crate) fn used_bytes(&self) -> u64 {
        (self.environment.info().last_page_number as u64 + 1) * self.page_bytes
    }

    /// Checks the file if that was not done yet; see [`Soundness::check`].
    pub(crate) fn check(&self, keep_going: &dyn Fn() -> bool) -> Result<bool, TableError> {
        self.soundness.check(self.record_is_sound, keep_going)
    }

    pub(crate) fn soundness(&self) -> &Soundness {
        &self.soundness
    }

    /// The remembered places of records.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// Links and tombstones together.
    pub(crate) fn entry_count(&self) -> u64 {
        (self.environment.env().unnamed_database_stat().entries as u64).saturating_sub(META_ENTRIES)
    }

    /// Applies a batch and moves the cursor forward, in one transaction. Nothing is changed on an error.
    pub(crate) fn apply(&self, changes: &[Change<'_>], cursor: u64) -> Result<(Applied, Meta), TableError> {
        // Before the write, because it may use these places again; after it, for places that were remembered meanwhile.
        self.forget_places(changes);
        let applied = self.apply_unseen(changes, cursor);
        self.places.make_room(self.entry_count());
        self.forget_places(changes);
        applied
    }

    fn forget_places(&self, changes: &[Change<'_>]) {
        let keys = changes.iter().filter_map(|change| Key::new(change.domain, change.slug));
        self.places.forget(keys.map(|key| hash_of(key.as_bytes())));
    }

    fn apply_unseen(&self, changes: &[Change<'_>], cursor: u64) -> Result<(Applied, Meta), TableError> {
        let stored_bytes: usize = changes.iter().map(Change::stored_bytes).sum();
        self.reserve(self.room_bytes(changes.len(), stored_bytes))?;
        let old = self.meta()?;
        let mut tx = self.environment.write_txn().map_err(TableError::lmdb("begin a write"))?;
        let mut tally = Tally::default();
        let mut value = Vec::new();
        for change in changes {
            let key = Key::new(change.domain, change.slug)
                .ok_or(TableError::NameTooLong { size_bytes: change.domain.len() + change.slug.len() })?;
            change.encode_value(key.as_bytes(), &mut value);
            self.put_newer(&mut tx, key.as_bytes(), &value, &mut tally)?;
        }
        let meta = tally.added_to(Meta { cursor: old.cursor.max(cursor), ..old });
        self.put(&mut tx, META_KEY, &meta.encode())?;
        tx.commit().map_err(TableError::lmdb("commit a write"))?;
        Ok((tally.applied, meta))
    }

    /// Changes the generation's own entry, in one transaction.
    pub(crate) fn set_meta(&self, change: impl Fn(Meta) -> Meta) -> Result<Meta, TableError> {
        self.reserve(self.room_bytes(1, 0))?;
        let meta = change(self.meta()?);
        let mut tx = self.environment.write_txn().map_err(TableError::lmdb("begin a write"))?;
        self.put(&mut tx, META_KEY, &meta.encode())?;
        tx.commit().map_err(TableError::lmdb("commit a write"))?;
        Ok(meta)
    }

    /// Replaces the domain settings, in one transaction.
    pub(crate) fn set_domains_json(&self, json: &[u8]) -> Result<(), TableError> {
        self.reserve(self.room_bytes(1, json.len()))?;
        let mut tx = self.environment.write_txn().map_err(TableError::lmdb("begin a write"))?;
        self.put(&mut tx, DOMAINS_KEY, &meta::seal(json))?;
        tx.commit().map_err(TableError::lmdb("commit the domain settings"))
    }

    /// Completes a generation under construction: writes its own entry and the domain settings.
    pub(crate) fn seal(&self, meta: Meta, domains_json: &[u8]) -> Result<(), TableError> {
        self.reserve(self.room_bytes(2, domains_json.len()))?;
        let mut tx = self.environment.write_txn().map_err(TableError::lmdb("begin a write"))?;
        self.put(&mut tx, META_KEY, &meta.encode())?;
        self.put(&mut tx, DOMAINS_KEY, &meta::seal(domains_json))?;
        tx.commit().map_err(TableError::lmdb("complete a generation"))
    }

    /// Writes an encoded value if its version is higher than the stored one.
    ///
    /// A stored value that fails its check is always replaced, because its version may be wrong.
    pub(crate) fn put_newer(
        &self,
        tx: &mut RwTxn<'_>,
        key: &[u8],
        value: &[u8],
        tally: &mut Tally,
    ) -> Result<(), TableError> {
        // Most links are new; for them the tree is searched once.
        let stored = self.entries.get_or_put(tx, key, value).map_err(TableError::lmdb("write an entry"))?;
        if let Some(stored) = stored {
            match Entry::decode(key, stored) {
                Ok(stored) if stored.version >= version_of(value) => {
                    tally.applied.stale += 1;
                    return Ok(());
                }
                Ok(Entry { record: None, .. }) => tally.tombstones_removed += 1,
                Ok(Entry { record: Some(_), .. }) => {}
                Err(_) => {
                    tracing::warn!(generation.number = self.number, "replacing a damaged entry of the link table");
                }
            }
            self.put(tx, key, value)?;
        }
        tally.applied.written += 1;
        tally.tombstones_added += u64::from(is_tombstone(value));
        Ok(())
    }

    /// Writes an encoded value whose key is greater than every stored key, without a search.
    pub(crate) fn append(&self, tx: &mut RwTxn<'_>, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.entries.put_with_flags(tx, PutFlags::APPEND, key, value).map_err(TableError::lmdb("append a link"))
    }

    fn put(&self, tx: &mut RwTxn<'_>, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.entries.put(tx, key, value).map_err(TableError::lmdb("write an entry"))
    }

    /// An upper bound of the file's growth by a transaction of `changes` changes with `stored_bytes` bytes.
    pub(crate) fn room_bytes(&self, changes: usize, stored_bytes: usize) -> u64 {
        (changes as u64 + 16) * PAGES_PER_CHANGE * self.page_bytes + 2 * stored_bytes as u64
    }

    /// Makes the file long enough for a transaction that adds up to `room_bytes` to it.
    ///
    /// LMDB leaves pages at the end of its file unwritten when they were freed in the transaction that took them, so
    /// the file may be shorter than the meta page says and still be sound; a truncated file looks the same. With the
    /// length set in advance (as a hole, which takes no space) a file that is too short is a damaged one.
    pub(crate) fn reserve(&self, room_bytes: u64) -> Result<(), TableError> {
        let needed_bytes = self.used_bytes() + room_bytes;
        if needed_bytes <= self.file_bytes.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = || self.folder.join(LMDB_FILE);
        let now_bytes =
            self.file.metadata().map_err(|source| TableError::io("read the length of", &path())(source))?.len();
        let wanted_bytes = (needed_bytes + FILE_STEP_BYTES).next_multiple_of(FILE_STEP_BYTES).max(now_bytes);
        if wanted_bytes > now_bytes {
            self.file.set_len(wanted_bytes).map_err(|source| TableError::io("extend", &path())(source))?;
        }
        self.file_bytes.store(wanted_bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Tally {
    /// `meta` after the transaction.
    pub(crate) fn added_to(&self, meta: Meta) -> Meta {
        let tombstones = (meta.tombstones + self.tombstones_added).saturating_sub(self.tombstones_removed);
        Meta { tombstones, ..meta }
    }
}

fn open_environment(folder: &Path, settings: Settings) -> Result<Environment, TableError> {
    Environment::open(folder, settings.map_bytes, settings.readers_max, settings.sync).map_err(|source| match source {
        heed::Error::Io(source) => {
            TableError::Io { operation: "open the LMDB files in", path: folder.to_owned(), source }
        }
        source => TableError::Lmdb { operation: "open its LMDB file", source },
    })
}
