//! Brings every change of a link from the store to its targets.
//!
//! The link table of this process is kept by [`TableSync`], which those wait for who have changed a link. Workers KV is kept by
//! [`OutboxWorker`], in its own time and over its own faults. Both read the outbox behind a cursor of their own, so that nothing is
//! skipped and nothing goes back. [`Verifier`] compares all links with what Workers KV really holds.
//!
//! What it does not do: it takes no request, says nothing of who may do what, and writes no SQL.

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
