//! What can go wrong with a link table. Every message names the operation and, if a person must act, what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a table operation was refused or failed. Nothing was changed unless a variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A domain or slug holds a NUL byte, which separates the two in a key.
    #[error("the domain or slug of a link holds a NUL byte")]
    NulInName,
    /// Domain and slug together are longer than [`crate::NAME_BYTES_MAX`].
    #[error("domain and slug take {size_bytes} bytes together; at most {} fit", crate::NAME_BYTES_MAX)]
    NameTooLong {
        /// Bytes of domain and slug.
        size_bytes: usize,
    },
    /// A record is longer than [`crate::RECORD_BYTES_MAX`].
    #[error("a link record takes {size_bytes} bytes; at most {} fit", crate::RECORD_BYTES_MAX)]
    RecordTooLarge {
        /// Bytes of the record.
        size_bytes: usize,
    },
    /// A batch has more than [`crate::BATCH_CHANGES_MAX`] changes.
    #[error("a batch of {changes} changes; at most {} are applied at once", crate::BATCH_CHANGES_MAX)]
    BatchTooLarge {
        /// Changes in the batch.
        changes: usize,
    },
    /// The domain settings contradict each other.
    #[error("the domain settings are not usable: {reason}")]
    BadDomains {
        /// What is wrong with them.
        reason: String,
    },
    /// Another process, or another `Table` of this one, has the folder open.
    #[error("the link table in {} is in use by another instance; stop that one first", path.display())]
    InUse {
        /// The table's folder.
        path: PathBuf,
    },
    /// The folder or one of its files is something else.
    #[error("{} is not a link table ({reason}); choose an empty folder, or move this one away", path.display())]
    NotATable {
        /// The folder or file.
        path: PathBuf,
        /// What was found there.
        reason: String,
    },
    /// The table was written by a version with another file format.
    #[error("{} has link table format {found}, this version reads format {expected}; it is filled anew from the store", path.display())]
    OtherFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The format this version reads and writes.
        expected: u32,
    },
    /// A file of the table is incomplete or was changed by something else.
    #[error("the link table file {} is damaged ({reason})", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// One stored link failed its checksum. Other links are unaffected; writing the link again repairs it.
    #[error("the stored link {} failed its checksum; write it again or rebuild the table", waypost_core::Quoted(name))]
    DamagedEntry {
        /// Domain, `/` and slug, as far as they are readable.
        name: String,
    },
    /// The table needs more room than [`crate::TableOptions::map_size_max_bytes`] allows.
    #[error("the link table is full: it needs a map of {needed_bytes} bytes, {max_bytes} are allowed")]
    MapLimit {
        /// The map size needed.
        needed_bytes: usize,
        /// The map size allowed.
        max_bytes: usize,
    },
    /// Growing the table needs room for a second copy of it, which the disk does not have.
    #[error("the link table cannot grow: {} has {free_bytes} bytes free, {needed_bytes} are needed", path.display())]
    DiskFull {
        /// The table's folder.
        path: PathBuf,
        /// Bytes the copy needs.
        needed_bytes: u64,
        /// Bytes free for this user.
        free_bytes: u64,
    },
    /// A rebuild is running already; one at a time.
    #[error("a rebuild of the link table is running already")]
    RebuildRunning,
    /// A change applied during a rebuild could not be kept for it; the rebuild is abandoned, the live table is current.
    #[error("the rebuild lost a change that was applied meanwhile; start it again")]
    RebuildIncomplete(#[source] Box<TableError>),
    /// The file system failed.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// LMDB failed.
    #[error("the link table could not {operation}")]
    Lmdb {
        /// What was attempted.
        operation: &'static str,
        /// The cause.
        source: heed::Error,
    },
}

impl TableError {
    /// For `map_err` on file operations.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TableError {
        let path = path.to_owned();
        move |source| TableError::Io { operation, path, source }
    }

    /// For `map_err` on LMDB operations.
    pub(crate) fn lmdb(operation: &'static str) -> impl Fn(heed::Error) -> TableError {
        move |source| TableError::Lmdb { operation, source }
    }

    /// Whether the table's files are damaged, as opposed to a failure to read or write them. A table is a copy, so a
    /// damaged one is filled again.
    pub(crate) fn means_damage(&self) -> bool {
        match self {
            TableError::OtherFormat { .. }
            | TableError::Damaged { .. }
            | TableError::DamagedEntry { .. }
            | TableError::BadDomains { .. } => true,
            // A disk that cannot read what was written.
            TableError::Io { source, .. } => source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()),
            TableError::Lmdb { source: heed::Error::Mdb(error), .. } => matches!(
                error,
                heed::MdbError::PageNotFound
                    | heed::MdbError::Corrupted
                    | heed::MdbError::Panic
                    | heed::MdbError::VersionMismatch
                    | heed::MdbError::Invalid
                    | heed::MdbError::Incompatible
            ),
            _ => false,
        }
    }

    /// The write did not fit into the memory map. It succeeds with a larger map.
    pub(crate) fn is_map_full(&self) -> bool {
        matches!(self, TableError::Lmdb { source: heed::Error::Mdb(heed::MdbError::MapFull), .. })
    }
}
