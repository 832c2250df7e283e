//! Errors of a spool. Each names the file that it is about.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A failure of the spool. Appending never fails; see [`Appended::Lost`](crate::Appended::Lost).
#[derive(Debug, Error)]
pub enum SpoolError {
    /// An option is not valid; the string says which one, and which values are valid.
    #[error("{0}")]
    Options(String),

    /// The file system refused an operation.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was attempted, such as "create".
        operation: &'static str,
        /// The file or folder it was attempted on.
        path: PathBuf,
        /// The error of the file system.
        #[source]
        source: io::Error,
    },

    /// The folder, or its main file, belongs to something else.
    #[error("{} does not belong to a click spool; give the spool a folder of its own", path.display())]
    NotASpool {
        /// The file that shows it.
        path: PathBuf,
    },

    /// A file was written in a format that this build does not know.
    #[error("{} has format version {found}; this build reads version {known}", path.display())]
    ForeignVersion {
        /// The file with that version.
        path: PathBuf,
        /// The version it says.
        found: u32,
        /// The version of this build.
        known: u32,
    },

    /// The size limit of the folder is reached.
    #[error("the spool has reached its limit of {bytes_max} bytes")]
    Full {
        /// The limit, in bytes.
        bytes_max: u64,
    },

    /// Every entry of the file of losses belongs to an epoch that is not released yet.
    #[error("{} has no free entry: ingest and release what earlier runs lost", path.display())]
    LossEntriesUsedUp {
        /// The file of losses.
        path: PathBuf,
    },

    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,

    /// A background thread could not be started.
    #[error("cannot start a thread of the spool")]
    Thread(#[source] io::Error),
}
