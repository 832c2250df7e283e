//! A file in memory. The one place of this crate with `unsafe`.

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};

use memmap2::{MmapMut, MmapOptions};
use rustix::io::Errno;

/// Whether pages are made present and writable when a file is mapped, instead of at their first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Populate {
    /// Page by page at first use: mapping is quick, first stores are not.
    Lazily,
    /// All of it now, if the kernel can (Linux 5.14); otherwise as [`Populate::Lazily`].
    Now,
}

/// Bytes made present at a time. The kernel does not let go of its core in between, and a redirect may wait for it.
const POPULATE_BYTES: usize = 128 << 10;

/// The whole of a file, shared with the page cache: what is stored here is visible at once to every reader of the file,
/// and stays when the process is killed.
#[derive(Debug)]
pub struct Mapping {
    pages: MmapMut,
}

impl Mapping {
    /// Maps a file that has all its blocks.
    ///
    /// # Errors
    ///
    /// What the system says, for instance that there is no memory for the map, or that a page cannot be had of the
    /// disk.
    #[allow(unsafe_code, reason = "mapping a file is unsafe by nature; the reasons are below")]
    pub fn of(file: &File, populate: Populate) -> io::Result<Mapping> {
        // SAFETY: memory of a shared map may change under us, or raise SIGBUS, when somebody else writes to or
        // truncates the file. These files have mode 0600 in a folder of mode 0700 that one process owns (its data
        // folder is locked), and this crate never truncates a file. A disk that fills up shows when the file is created
        // or used again, because all blocks are allocated then, whatever became of the file in between. Only `u8`
        // slices are made of the memory, so any bytes are valid; each byte is written through one live map only, and
        // all other reading goes through `pread`.
        let pages = unsafe { MmapOptions::new().map_mut(file)? };
        if populate == Populate::Now {
            for from in (0..pages.len()).step_by(POPULATE_BYTES) {
                let bytes = POPULATE_BYTES.min(pages.len() - from);
                match pages.advise_range(memmap2::Advice::PopulateWrite, from, bytes) {
                    Ok(()) => {}
                    // A store there would be a signal.
                    Err(error) if error.raw_os_error() == Some(Errno::FAULT.raw_os_error()) => return Err(error),
                    // An old kernel refuses; then the pages come one by one.
                    Err(_) => break,
                }
            }
        }
        Ok(Mapping { pages })
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.pages
    }
}

impl DerefMut for Mapping {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.pages
    }
}
