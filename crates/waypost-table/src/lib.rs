//! The native edge's link table: every link an edge serves, in an LMDB file that look-ups read in place.
//!
//! The table finds the record of a slug on a domain, from many threads at once, without copying the record and without
//! waiting for a writer. It is a copy: the truth is in `waypost-store`. With the links the table commits the outbox
//! [`Table::cursor`] up to which it is current. So a table that fell behind catches up, and a table that was lost is
//! filled again.
//!
//! What it does not do: it does not read records (`waypost-core` does), does not use SQL or HTTP, and does not decide
//! when to catch up.
//!
//! # Promises
//!
//! - **Never older.** A change is written only when its version is higher than the one stored for that link, deleted
//!   links included: a tombstone keeps the version of the deletion.
//! - **Readers never wait.** Writes, rebuilds and growth of the table do not block look-ups.
//! - **A crash leaves a valid table.** A commit is atomic; a new generation is complete and synced before it is live.
//! - **Foreign files are never overwritten.** A folder or file that is not this table is refused with its path.
//! - **"Not found" is only reported if it is certain.** [`Table::knows_all`] tells whether a link that is not found
//!   does not exist.
//! - **No manual repair.** A table of another format, or one that cannot be opened, is replaced by an empty one.
//! - **Damage stays local.** Whatever bit of the file flipped, no look-up ends the process, returns another link's
//!   record or reports that an existing link does not exist. [`Table::damage`] reports it, and a rebuild repairs it.
//!
//! # Files
//!
//! ```text
//! CURRENT                 "waypost-table 2\ngen-000002\n": format version, live generation
//! CHECKING                a start that has not come to the end of its check; how many did not in a row
//! LOCK                    held (flock) by the one process that has the table open
//! gen-000002/data.mdb     the live LMDB file; lock.mdb beside it is LMDB's reader table
//! gen-000003.building/    a generation that is not complete: removed at the next open
//! gen-000003.runs/        sorted runs of a rebuild: removed at the next open
//! ```
//!
//! The entries of the LMDB file are specified in the `entry` and `meta` modules.

mod bytes;
mod check;
mod directory;
mod domains;
mod entry;
mod environment;
mod error;
mod generation;
mod lmdb_file;
mod load;
mod meta;
mod page;
mod places;
mod reader;
mod rebuild;
mod runs;
mod soundness;
mod table;
mod tree;

pub use domains::{DOMAINS_MAX, Domains};
pub use entry::{Change, NAME_BYTES_MAX, RECORD_BYTES_MAX};
pub use error::TableError;
pub use reader::Reader;
pub use rebuild::Rebuild;
pub use table::{Applied, BATCH_CHANGES_MAX, Durability, Table, TableOptions, TableStats};
