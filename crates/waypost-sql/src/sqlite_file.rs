//! The SQLite file before it is opened: made where it is missing, refused where it is not ours or cut short.
//!
//! SQLite would take an empty file for a new database and find a missing end only much later, so both are looked for
//! here, in the file's own header (sqlite.org/fileformat.html, section 1.3), before anything could write to it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use sqlx::{AnyConnection, Connection, Executor, Row};

use crate::dialect::{self, Address};
use crate::error::SqlError;
use crate::schema::{FileSettings, Schema};

const HEADER_BYTES: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Makes sure that `path` is a database of ours that may be opened, making one where there is none.
pub(crate) async fn prepare(path: &Path, schema: &Schema) -> Result<(), SqlError> {
    match fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => create(path, schema).await?,
        Err(error) => return Err(refused(path, format!("it cannot be read ({error})"))),
    }
    check(path, schema)?;
    may_be_written(path)
}

/// Looks whether this process may write the database and its logs: SQLite would say so of each write, and not of which file. None
/// is opened for that: closing it would take away the locks of all connections that this process has on it.
fn may_be_written(path: &Path) -> Result<(), SqlError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let file = PathBuf::from(file);
        match access(&file, Access::WRITE_OK).map_err(std::io::Error::from) {
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                let reason =
                    format!("it cannot be written ({error}): its owner, its mode or its file system must allow that");
                return Err(refused(&file, reason));
            }
            // Logs are mostly not there, and what else is wrong SQLite finds out.
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn refused(path: &Path, reason: impl Into<String>) -> SqlError {
    SqlError::Refused { database: path.display().to_string(), reason: reason.into() }
}

/// Makes an empty database under another name and moves it into place only when it is whole, so that a file of this name is
/// never half made. Where another process was faster, its file stays.
async fn create(path: &Path, schema: &Schema) -> Result<(), SqlError> {
    let failed = |error: std::io::Error| refused(path, format!("it cannot be created ({error})"));
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".new-{}", uuid::Uuid::now_v7().simple()));
    let draft = PathBuf::from(draft);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    // Closing the connection moves the log into the file, and does not say where that failed.
    let unwritten = |_| failed(std::io::Error::other("what was written to it did not reach the disk"));
    let made = write_empty_database(&draft, &schema.file).await.and_then(|()| check(&draft, schema).map_err(unwritten));
    let moved = made.and_then(|()| {
        File::open(&draft).and_then(|file| file.sync_all()).map_err(failed)?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(error)),
            _ => sync_folder(path).map_err(failed),
        }
    });
    for suffix in ["-wal", "-shm"] {
        let mut left_over = draft.as_os_str().to_owned();
        left_over.push(suffix);
        // Mostly there is none.
        let _ = fs::remove_file(left_over);
    }
    fs::remove_file(&draft).map_err(failed)?;
    moved
}

async fn write_empty_database(draft: &Path, settings: &FileSettings) -> Result<(), SqlError> {
    let mut connection = Address::Sqlite(draft.to_owned()).connect_once(settings, 0, Duration::MAX).await?;
    let mark = format!("PRAGMA application_id = {}", settings.application_id);
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(mark))).await.map_err(|e| dialect::failure("create", e))?;
    connection.close().await.map_err(|error| dialect::failure("create", error))
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Looks at the header only.
fn check(path: &Path, schema: &Schema) -> Result<(), SqlError> {
    let unreadable = |error: std::io::Error| refused(path, format!("it cannot be read ({error})"));
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(refused(path, "it is not a file"));
    }
    if metadata.len() == 0 {
        return Err(refused(path, "it is empty; move it away if a new database is to be made"));
    }
    let mut header = [0; HEADER_BYTES];
    let is_short = file.read_exact(&mut header).is_err();
    if is_short || !header.starts_with(MAGIC) {
        return Err(refused(path, "it is not an SQLite database; move it away if a new database is to be made"));
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if word(68) != schema.file.application_id {
        if schema.others.iter().any(|other| word(68) == other.application_id) {
            return Err(refused(path, "it is the other one of our databases: links and clicks have a file each"));
        }
        return Err(refused(path, "it is the SQLite database of another program"));
    }
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    // The page count holds where the change counter agrees. Pages that are still in the write-ahead log may be missing.
    let expected = page_bytes * u64::from(word(28));
    if word(24) == word(92) && metadata.len() < expected && !has_log(path) {
        return Err(truncated(path, metadata.len(), expected));
    }
    Ok(())
}

fn truncated(path: &Path, found: u64, expected: u64) -> SqlError {
    refused(path, format!("it is cut short: {found} of {expected} bytes are there; restore it from a backup"))
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(PathBuf::from(log)).is_ok_and(|metadata| metadata.len() > 0)
}

/// Looks for a missing end once more when the write-ahead log has been read back into the file.
pub(crate) async fn check_opened(path: &Path, connection: &mut AnyConnection) -> Result<(), SqlError> {
    let failed = |error: sqlx::Error| dialect::failure("check", error);
    let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut *connection).await.map_err(failed)?;
    let (in_log, moved): (i64, i64) = (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
    if in_log != moved {
        return Ok(());
    }
    let mut pragma = async |text: &'static str| {
        let row = sqlx::query(text).fetch_one(&mut *connection).await?;
        row.try_get::<i64, _>(0)
    };
    let expected =
        pragma("PRAGMA page_count").await.map_err(failed)? * pragma("PRAGMA page_size").await.map_err(failed)?;
    let expected = u64::try_from(expected).unwrap_or(0);
    let found = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if found < expected { Err(truncated(path, found, expected)) } else { Ok(()) }
}
