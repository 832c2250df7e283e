//! Brings every change of a link from the store to its targets.
//!
//! [`TableSync`] keeps the link table of this process up to date; requests that changed a link wait for it.
//! [`OutboxWorker`] keeps Workers KV up to date, in its own time and over its own failures. Each reads the outbox
//! behind its own cursor, so that nothing is skipped and nothing goes back. [`Verifier`] compares all links with what
//! Workers KV contains.
//!
//! What it does not do: it handles no request, decides no permission, and contains no SQL.

mod compiled;
mod fresh;
mod kv;
mod left_out;
mod outbox;
mod rebuild;
mod table;
mod verify;

pub use compiled::compile_record;
pub use fresh::FreshRecords;
pub use kv::{
    BULK_BYTES_MAX, BULK_PAIRS_MAX, KvClient, KvFault, KvKeys, KvLimits, KvSettings, KvSetupError, ListPage, ListedKey,
    Metadata, Pair, PairFault, RetryAfter, Secret,
};
pub use outbox::{Chance, FaultCounts, Look, OutboxOptions, OutboxStatus, OutboxWorker, PENDING_AGE_S_MAX, Pause};
pub use table::{NotSynced, TableSync};
pub use verify::{ComparedLinks, Verifier};
