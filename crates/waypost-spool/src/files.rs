//! The operations of a file system that the spool needs, as two small traits, so that tests can simulate power failures
//! and errors.
//!
//! [`Disk`](crate::Disk) is the real one. Names are plain file names in one folder.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use crate::SpoolError;
use crate::mapping::{Mapping, Populate};

/// One folder.
pub trait FileSystem: Send + Sync {
    /// Where a file of that name is, for messages.
    fn path(&self, name: &str) -> PathBuf;

    /// Names and sizes in bytes of all files of the folder.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Makes a file of that size with all its blocks allocated, all zero. When it fails, no file is left behind.
    ///
    /// With [`Populate::Now`] the zeros are on the disk when it returns, so that making a part durable later writes
    /// that part and changes nothing of where the file lies.
    ///
    /// # Errors
    ///
    /// The disk is full, or a file of that name exists.
    fn create(&self, name: &str, bytes: u64, populate: Populate) -> io::Result<Box<dyn SpoolFile>>;

    /// Opens a file for reading, mapping and syncing.
    ///
    /// # Errors
    ///
    /// There is no such file, or it cannot be opened.
    fn open(&self, name: &str) -> io::Result<Box<dyn SpoolFile>>;

    /// Gives a file another name, replacing a file that has it. Open files and maps stay valid.
    ///
    /// # Errors
    ///
    /// The system refused; then nothing has changed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// The system refused; then the file is still there.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable: creations, renames and removals so far survive a power loss.
    ///
    /// # Errors
    ///
    /// The system could not.
    fn sync_folder(&self) -> io::Result<()>;
}

/// One open file.
pub trait SpoolFile: Send + Sync {
    /// Reads from that offset on; returns how many bytes were read, 0 at the end.
    ///
    /// # Errors
    ///
    /// The bytes cannot be read.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at that offset, inside of the file.
    ///
    /// # Errors
    ///
    /// The system refused; some of the bytes may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Gives the file blocks of its own for all of that many bytes, and leaves what is in them. Holes, as a sparse copy
    /// of a folder has them, and what was cut off become zero. To be called before an old file is mapped for writing,
    /// and not while anybody has it mapped.
    ///
    /// # Errors
    ///
    /// The disk is full; then the file must not be mapped.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Maps the whole file for writing. It has all its blocks: see [`SpoolFile::allocate`].
    ///
    /// # Errors
    ///
    /// It cannot be mapped.
    fn map(&self, populate: Populate) -> io::Result<Mapping>;

    /// Makes the file's bytes durable, mapped stores included.
    ///
    /// # Errors
    ///
    /// Some bytes may never reach the disk; asking again proves nothing about them.
    fn sync(&self) -> io::Result<()>;

    /// As [`SpoolFile::sync`], for the bytes of that range. The pages of others stay as they are: a store to one that
    /// was made writable does not wait for the file system.
    ///
    /// # Errors
    ///
    /// As those of [`SpoolFile::sync`]; a fault of other bytes may show here, too.
    fn sync_range(&self, range: Range<u64>) -> io::Result<()>;
}

/// Turns an I/O error on a file into one that names operation and file.
pub(crate) fn on<'a>(
    files: &'a dyn FileSystem,
    operation: &'static str,
    name: &'a str,
) -> impl FnOnce(io::Error) -> SpoolError + 'a {
    move |source| SpoolError::Io { operation, path: files.path(name), source }
}

/// Fills the buffer from a file; returns how much of it was filled before the file ended.
pub(crate) fn read_full(file: &dyn SpoolFile, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
