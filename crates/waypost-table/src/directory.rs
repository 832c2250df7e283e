//! The table's folder: its lock, the names of generations, and `CURRENT`, which names the live one.
//!
//! A switch has these steps: sync the complete folder, write and sync `CURRENT.tmp`, rename it to `CURRENT`, sync the
//! folder. Files that a crash leaves are recognised by their names and removed at the next open; nothing else in the
//! folder is changed.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::TableError;
use crate::meta::FORMAT;

const CURRENT: &str = "CURRENT";
const CURRENT_NEXT: &str = "CURRENT.tmp";
const CHECKING: &str = "CHECKING";
const LOCK: &str = "LOCK";
const PREFIX: &str = "gen-";
const BUILDING: &str = ".building";
const RUNS: &str = ".runs";
const CURRENT_MAGIC: &str = "waypost-table ";

/// A table's folder, locked for this `Table`.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Holds the lock until it is dropped.
    _lock: File,
}

/// The meaning of a name in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Complete(u64),
    Unfinished(u64),
    Ours,
    Foreign,
}

/// The contents of the folder.
#[derive(Debug, Default)]
struct Listing {
    complete: Vec<u64>,
    unfinished: Vec<PathBuf>,
    number_max: u64,
    has_current: bool,
    foreign: Option<PathBuf>,
}

impl Directory {
    /// Locks the folder, and creates it if absent.
    ///
    /// # Errors
    /// [`TableError::NotATable`] for a folder with other contents, [`TableError::InUse`], [`TableError::Io`]. A refused
    /// folder is not changed.
    pub(crate) fn lock(path: &Path) -> Result<Directory, TableError> {
        match fs::create_dir_all(path) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotADirectory) => {
                return Err(not_a_table(path, "it is a file"));
            }
            Err(error) => return Err(TableError::io("create the folder", path)(error)),
        }
        let listing = list(path)?;
        if let Some(foreign) = listing.foreign.filter(|_| !listing.has_current) {
            return Err(not_a_table(path, &format!("it holds {}", foreign.display())));
        }
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(TableError::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(TableError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(TableError::io("lock", &lock_path)(error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The live generation, or `None` in a folder that has none yet.
    pub(crate) fn current(&self) -> Result<Option<u64>, TableError> {
        let path = self.path.join(CURRENT);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return self.only_generation(),
            Err(error) => return Err(TableError::io("read", &path)(error)),
        };
        let Some((format, name)) =
            text.strip_prefix(CURRENT_MAGIC).and_then(|rest| rest.trim_end_matches('\n').split_once('\n'))
        else {
            return Err(self.unreadable_current(path));
        };
        if format != FORMAT.to_string() {
            return Err(TableError::OtherFormat { path, found: format.to_owned(), expected: FORMAT });
        }
        match name_kind(name) {
            Name::Complete(number) => Ok(Some(number)),
            Name::Unfinished(_) | Name::Ours | Name::Foreign => Err(self.unreadable_current(path)),
        }
    }

    /// Returns whether `CURRENT` is damaged, or belongs to another program: that also has other files there, and no
    /// generations of a table.
    fn unreadable_current(&self, path: PathBuf) -> TableError {
        let reason = "it does not name a generation";
        match list(&self.path) {
            Ok(Listing { foreign: None, complete, .. }) if !complete.is_empty() => {
                TableError::Damaged { path, reason: reason.to_owned() }
            }
            Ok(_) => not_a_table(&path, reason),
            Err(error) => error,
        }
    }

    /// Without `CURRENT` a single complete generation is the first one: its creation was interrupted before `CURRENT`
    /// was written. If there are several, the live one is unknown.
    fn only_generation(&self) -> Result<Option<u64>, TableError> {
        match list(&self.path)?.complete.as_slice() {
            [] => Ok(None),
            [number] => Ok(Some(*number)),
            [..] => Err(TableError::Damaged {
                path: self.path.join(CURRENT),
                reason: "it is missing, and there are several generations".to_owned(),
            }),
        }
    }

    /// Sets `number` as the live generation, atomically and durably.
    pub(crate) fn set_current(&self, number: u64) -> Result<(), TableError> {
        let next = self.path.join(CURRENT_NEXT);
        let mut file = File::create(&next).map_err(TableError::io("create", &next))?;
        let text = format!("{CURRENT_MAGIC}{FORMAT}\n{}\n", generation_name(number));
        file.write_all(text.as_bytes()).map_err(TableError::io("write", &next))?;
        file.sync_all().map_err(TableError::io("sync", &next))?;
        let current = self.path.join(CURRENT);
        fs::rename(&next, &current).map_err(TableError::io("replace", &current))?;
        sync_folder(&self.path)
    }

    /// Writes `CURRENT` if it is missing because the first generation's creation was interrupted.
    pub(crate) fn set_current_if_absent(&self, number: u64) -> Result<(), TableError> {
        if self.path.join(CURRENT).exists() { Ok(()) } else { self.set_current(number) }
    }

    /// Leaves the table without a generation.
    pub(crate) fn remove_current(&self) -> Result<(), TableError> {
        let path = self.path.join(CURRENT);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(&self.path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(TableError::io("remove", &path)(error)),
        }
    }

    /// Writes the mark that the live generation is being checked. Returns how many starts in a row ended before their
    /// check did.
    ///
    /// Not synced: it is for processes that died, and what they wrote survives them.
    pub(crate) fn begin_checking(&self) -> Result<u32, TableError> {
        let path = self.path.join(CHECKING);
        let died: u32 = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or(1),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) if error.kind() == ErrorKind::InvalidData => 1,
            Err(error) => return Err(TableError::io("read", &path)(error)),
        };
        if let Err(error) = fs::write(&path, format!("{}\n", died.saturating_add(1))) {
            // On a full disk the table is served without the mark.
            tracing::warn!(path = %path.display(), %error, "could not write a mark of the link table");
        }
        Ok(died)
    }

    /// Removes the mark after the check has ended or was stopped.
    pub(crate) fn end_checking(&self) {
        let path = self.path.join(CHECKING);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "could not remove a mark of the link table"),
        }
    }

    pub(crate) fn generation_path(&self, number: u64) -> PathBuf {
        self.path.join(generation_name(number))
    }

    /// The folder of generation `number` until it is complete.
    pub(crate) fn building_path(&self, number: u64) -> PathBuf {
        self.path.join(generation_name(number) + BUILDING)
    }

    /// The folder of the sorted runs for generation `number`.
    pub(crate) fn runs_path(&self, number: u64) -> PathBuf {
        self.path.join(generation_name(number) + RUNS)
    }

    /// Renames a complete generation from its building name to `number`, durably. It must be synced and closed.
    pub(crate) fn promote(&self, building: &Path, number: u64) -> Result<PathBuf, TableError> {
        let complete = self.generation_path(number);
        sync_folder(building)?;
        fs::rename(building, &complete).map_err(TableError::io("rename", building))?;
        sync_folder(&self.path)?;
        Ok(complete)
    }

    /// Removes incomplete generations, and complete ones other than `current`. Returns the highest generation number
    /// found, so that none is used twice.
    pub(crate) fn remove_leftovers(&self, current: Option<u64>) -> Result<u64, TableError> {
        let listing = list(&self.path)?;
        let stale = listing.complete.iter().filter(|number| Some(**number) != current);
        for path in stale.map(|number| self.generation_path(*number)).chain(listing.unfinished) {
            remove_folder(&path);
        }
        Ok(listing.number_max)
    }
}

/// Removes a folder that this crate created. If that fails, it is logged, and the next open tries again.
pub(crate) fn remove_folder(path: &Path) {
    match fs::remove_dir_all(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "could not remove an old folder of the link table");
        }
    }
}

fn list(path: &Path) -> Result<Listing, TableError> {
    let mut listing = Listing::default();
    for item in fs::read_dir(path).map_err(TableError::io("list", path))? {
        let item = item.map_err(TableError::io("list", path))?;
        let name = item.file_name();
        match name_kind(&name.to_string_lossy()) {
            Name::Complete(number) => {
                listing.complete.push(number);
                listing.number_max = listing.number_max.max(number);
            }
            Name::Unfinished(number) => {
                listing.unfinished.push(item.path());
                listing.number_max = listing.number_max.max(number);
            }
            Name::Ours => listing.has_current |= name == CURRENT,
            // The root of a volume has this folder, and some tools leave hidden files. They are ignored and never
            // removed.
            Name::Foreign if name == "lost+found" || name.to_string_lossy().starts_with('.') => {}
            Name::Foreign => listing.foreign = Some(item.path()),
        }
    }
    Ok(listing)
}

fn generation_name(number: u64) -> String {
    format!("{PREFIX}{number:06}")
}

fn name_kind(name: &str) -> Name {
    if matches!(name, CURRENT | CURRENT_NEXT | CHECKING | LOCK) {
        return Name::Ours;
    }
    let stem = name.strip_suffix(BUILDING).or_else(|| name.strip_suffix(RUNS));
    let number = stem.unwrap_or(name).strip_prefix(PREFIX).and_then(|digits| digits.parse::<u64>().ok());
    match number {
        // Comparing with the formatted name rejects `gen-+1` and `gen-1`.
        Some(number) if stem.unwrap_or(name) == generation_name(number) => {
            if stem.is_some() {
                Name::Unfinished(number)
            } else {
                Name::Complete(number)
            }
        }
        Some(_) | None => Name::Foreign,
    }
}

fn not_a_table(path: &Path, reason: &str) -> TableError {
    TableError::NotATable { path: path.to_owned(), reason: reason.to_owned() }
}

fn sync_folder(path: &Path) -> Result<(), TableError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(TableError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_crate_are_its_own() {
        let check = |name: &str, expect: Name| assert_eq!(name_kind(name), expect, "{name}");
        check("CURRENT", Name::Ours);
        check("CURRENT.tmp", Name::Ours);
        check("CHECKING", Name::Ours);
        check("LOCK", Name::Ours);
        check("gen-000001", Name::Complete(1));
        check("gen-1234567", Name::Complete(1_234_567));
        check("gen-000002.building", Name::Unfinished(2));
        check("gen-000002.runs", Name::Unfinished(2));
        for foreign in ["gen-1", "gen-+00001", "gen-", "gen-000001.bak", "gen-000001.runs.runs", "data.mdb", "current"]
        {
            check(foreign, Name::Foreign);
        }
    }
}
