//! The data folder: where it is, what is in it, and who may use it.
//!
//! ```text
//! waypost.db      the database, unless another is configured
//! table/          the link table
//! clicks.db       the clicks database, unless another database is configured
//! spool/          clicks that wait to be counted
//! visitor-salts   the salts of today's and yesterday's visitor keys
//! country.mmdb    a database of countries, if its owner puts one there
//! other-database  marks that the links are in a database elsewhere
//! lock            locked by the process that uses the folder; has its process id, and is empty after its end
//! control.sock    the running server's local socket, for commands on this machine
//! ```
//!
//! The folder is created with mode 0700: everybody who can read it can do everything.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The most bytes of the lock file that are read.
const LOCK_BYTES_MAX: u64 = 64;
/// The second line of the lock file, written by processes that empty the file when they end.
const MARKS_END: &str = "running";

/// The most bytes of a socket's path that every system accepts (`sun_path` without the final zero).
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// A data folder that exists.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// No folder is named, and the environment has no home folder.
    #[error("no data folder: give --data-dir, or set HOME")]
    Unnamed,
    /// The folder could not be created or opened.
    #[error("the data folder {} cannot be used: {source}", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    /// The links of its instance are in a database elsewhere, and none is named.
    #[error(
        "the links of {} are in another database, whose address is not given: give --database-url, or set it in the \
         configuration; or, to {}, remove {}/other-database",
        path.display(), if *has_own { "use those of its waypost.db" } else { "start with no links" }, path.display()
    )]
    OtherDatabase { path: PathBuf, has_own: bool },
    /// The folder's own database has links, and the database that is named is new.
    #[error("{}", own_links(path, *links))]
    OwnLinks { path: PathBuf, links: u64 },
    /// Another process uses it.
    #[error("the data folder {} is in use by another instance{}: stop that one first, or choose another folder with --data-dir", path.display(), show_process(*process_id))]
    InUse { path: PathBuf, process_id: Option<u32> },
}

fn show_process(process_id: Option<u32>) -> String {
    process_id.map(|id| format!(" (process {id})")).unwrap_or_default()
}

fn own_links(path: &Path, links: u64) -> String {
    let (folder, links) = (path.display(), if links == 1 { "one link".to_owned() } else { format!("{links} links") });
    format!(
        "{folder}/waypost.db has {links}, and the database that database_url names has none: each of them would answer 404. \
         To move them, write them to files first, without --database-url:
  waypost export --data-dir {folder} -o links.ndjson
  waypost export --data-dir {folder} --anonymous -o anonymous.ndjson
then rename the old database, and import the files into the new one:
  mv {folder}/waypost.db {folder}/waypost.db.old
  waypost import links.ndjson --data-dir {folder} --database-url URL
  waypost import --anonymous anonymous.ndjson --data-dir {folder} --database-url URL
To start with no links, name another data folder, or only rename waypost.db as above. What does not move (API keys, \
domains, passwords of links, reports) is in docs/backup.md"
    )
}

/// The folder used when none is named: `waypost` in the user's data folder (`XDG_DATA_HOME`, else `~/.local/share`).
/// `None` if the environment has no home folder.
pub(crate) fn default_data_dir() -> Option<PathBuf> {
    // The XDG specification: a path that is not absolute is ignored.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data_home = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(data_home.join("waypost"))
}

impl DataDir {
    /// Whether an instance has or had its data there.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`] if that cannot be read, as in another user's folder.
    pub(crate) fn is_in(path: &Path) -> Result<bool, DataDirError> {
        for name in ["lock", "waypost.db", "table"] {
            let exists = path.join(name).try_exists();
            if exists.map_err(|source| DataDirError::Unusable { path: path.to_owned(), source })? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The folder at `path`, created with mode 0700 if it does not exist.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`] if it cannot be created or is not a folder.
    pub(crate) fn create(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        Ok(Self { path: fs::canonicalize(path).map_err(unusable)? })
    }

    /// Where the folder is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The embedded database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("waypost.db")
    }

    /// The embedded database, to be opened or created.
    ///
    /// # Errors
    /// [`DataDirError::OtherDatabase`] if the links are in a database elsewhere: this one would hide them.
    pub(crate) fn own_database(&self) -> Result<PathBuf, DataDirError> {
        let path = self.database();
        if self.other_database_mark().exists() {
            return Err(DataDirError::OtherDatabase { path: self.path.clone(), has_own: path.exists() });
        }
        Ok(path)
    }

    /// The file that marks that the links are in a database elsewhere.
    pub(crate) fn other_database_mark(&self) -> PathBuf {
        self.path.join("other-database")
    }

    /// The embedded clicks database.
    pub(crate) fn clicks_database(&self) -> PathBuf {
        self.path.join("clicks.db")
    }

    /// The folder of clicks that wait to be counted.
    pub(crate) fn spool(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// The salts of visitor keys.
    pub(crate) fn visitor_salts(&self) -> PathBuf {
        self.path.join("visitor-salts")
    }

    /// The first place where a database of countries is looked for.
    pub(crate) fn country_database(&self) -> PathBuf {
        self.path.join("country.mmdb")
    }

    /// The link table's folder.
    pub(crate) fn table(&self) -> PathBuf {
        self.path.join("table")
    }

    /// The running server's local socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The process that uses the folder at this path, if there is one.
    pub(crate) fn process_in(path: &Path) -> Option<u32> {
        let mut file = File::open(path.join("lock")).ok()?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => read_process_id(&mut file),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// Locks the folder for this process, for as long as the lock lives. Never waits.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] if another process has locked it; [`DataDirError::Unusable`] if the folder cannot be
    /// written.
    pub(crate) fn lock(&self) -> Result<InstanceLock, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: self.path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.join("lock"))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse { path: self.path.clone(), process_id: read_process_id(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let died = read_lock(&mut file).filter(|held| held.marks_end).map(|held| held.process_id);
        file.set_len(0).map_err(unusable)?;
        file.rewind().map_err(unusable)?;
        write!(file, "{}\n{MARKS_END}\n", std::process::id()).map_err(unusable)?;
        Ok(InstanceLock { file, died })
    }
}

/// A path to the local socket that is short enough for the system, however long the data folder's path is.
#[derive(Debug)]
pub(crate) struct SocketPath {
    path: PathBuf,
    /// The open data folder, if `path` goes through its descriptor.
    _folder: Option<File>,
}

impl SocketPath {
    /// The socket of this data folder.
    ///
    /// # Errors
    /// If the folder cannot be opened.
    pub(crate) fn of(data_dir: &DataDir) -> io::Result<Self> {
        let path = data_dir.socket();
        if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(data_dir.path())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }

    /// The path to bind or connect to. Valid as long as this value lives.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Keeps other processes from using a data folder. The system releases it however the process ends.
#[derive(Debug)]
pub(crate) struct InstanceLock {
    file: File,
    /// See [`InstanceLock::died`].
    died: Option<u32>,
}

/// The process in a lock file.
struct Held {
    process_id: u32,
    /// Whether it empties the file when it ends. Earlier releases did not.
    marks_end: bool,
}

impl InstanceLock {
    /// The last process that had the folder, if it ended without releasing it: it was killed, or the power failed.
    pub(crate) const fn died(&self) -> Option<u32> {
        self.died
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // If that fails, the next start warns without reason.
        let _ = self.file.set_len(0);
    }
}

fn read_process_id(file: &mut File) -> Option<u32> {
    read_lock(file).map(|held| held.process_id)
}

fn read_lock(file: &mut File) -> Option<Held> {
    let mut text = String::new();
    file.take(LOCK_BYTES_MAX).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    Some(Held { process_id: lines.next()?.trim().parse().ok()?, marks_end: lines.next() == Some(MARKS_END) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_is_taken_once() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = DataDir::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let lock = folder.lock().unwrap();
        let refused = DataDir::create(&path).unwrap().lock().unwrap_err().to_string();
        assert!(refused.contains(&format!("in use by another instance (process {})", std::process::id())), "{refused}");
        drop(lock);
        assert_eq!(folder.lock().unwrap().died(), None, "it was given back");
    }

    #[test]
    fn a_process_that_did_not_give_the_folder_back_is_known() {
        let parent = tempfile::tempdir().unwrap();
        let folder = DataDir::create(parent.path()).unwrap();
        for (left, died) in [("", None), ("77\n", None), ("77\nrunning\n", Some(77)), ("x\nrunning\n", None)] {
            fs::write(parent.path().join("lock"), left).unwrap();
            let lock = folder.lock().unwrap();
            assert_eq!(lock.died(), died, "{left}");
            let refused = folder.lock().unwrap_err().to_string();
            assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
        }
    }

    #[test]
    fn a_file_is_no_folder() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        fs::write(&path, "text").unwrap();
        let refused = DataDir::create(&path).unwrap_err().to_string();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }
}
