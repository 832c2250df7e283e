//! The click spool: a durable log that edge threads append to and one reader drains.
//!
//! Bytes in, bytes out. An append is a copy into mapped memory: no system call, no lock, no allocation, and it cannot
//! fail. What it returns is true from then on, whatever kills the process.
//!
//! What it does not do: it does not know what a record says, who consumes it or how; it does not lock its folder (the
//! caller's data folder is locked); it speaks neither HTTP nor SQL and needs no async runtime.
//!
//! # Promises
//!
//! - **Every sequence has one fate.** A writer is an *epoch*, a number never used before in the folder. Its appends are
//!   numbered from 1 without gaps. The reader hands out each sequence once between two starts, as a record or as lost,
//!   in order; so edge id, epoch and sequence name a click for ever.
//! - **A kill loses nothing** that [`Writer::append`] returned for. A power loss takes at most what the flush interval
//!   left unflushed, from the end of an epoch.
//! - **A full disk is survived.** Files have all their blocks before they are mapped, also after a sparse copy of the
//!   folder. Without room, appends return [`Appended::Lost`], and the count of them is as safe from a kill as a record.
//!   Room that comes back is used.
//! - **Damage stays where it is.** A record that does not verify is reported as lost; its neighbours are handed out. So
//!   is what was in a file that is gone, up to the epoch's last mark.
//! - **A lost identity stops nothing.** The folder gets another edge id; what it holds already keeps the one it was
//!   written under ([`Spool::former_epochs`]).
//! - **Nothing foreign is overwritten.** A folder or file that is not a spool of this version is refused with its path.
//!
//! # Files
//!
//! ```text
//! spool.identity            edge id and the counter of epochs (module `identity`)
//! spool.losses              what epochs lost for lack of room (module `losses`)
//! spool.marks               how far epochs were when they were last flushed (module `marks`)
//! seg-<epoch>-<number>      segments (module `format`)
//! free-<counter>            released segments, kept for the next ones
//! damaged-<name>            segments with an unreadable header, set aside when they were read
//! ```

mod background;
mod catalog;
mod chunk;
mod disk;
mod error;
mod files;
mod format;
mod handle;
mod identity;
mod live;
mod losses;
mod mapping;
mod marks;
mod options;
mod reader;
mod scan;
mod segments;
mod shared;
mod spool;
mod start;
mod sync;
#[cfg(test)]
mod tests;
mod writer;

pub use chunk::{Chunk, Entry, LossCause};
pub use disk::Disk;
pub use error::SpoolError;
pub use files::{FileSystem, SpoolFile};
pub use format::RECORD_BYTES_MAX;
pub use mapping::{Mapping, Populate};
pub use options::{NoRoom, SpoolOptions};
pub use reader::{Position, ReadLimit, Reader};
pub use spool::{Spool, SpoolStats};
pub use writer::{Appended, Writer};
