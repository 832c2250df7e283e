//! The truth: every SQL statement on links, accounts, keys, domains and targets, for SQLite and PostgreSQL.
//!
//! [`Store::open`] takes a database address, checks that the database is ours and brings its schema up to date. All work
//! goes through named transactions: [`Store::read`] hands out a [`ReadTx`] with one consistent view, [`Store::begin`] a
//! [`Tx`] that can also write. Their methods are the operations, each in the file of the noun it serves. On both
//! engines one write transaction runs at a time, so a writer never works on a stale view and outbox sequences become
//! visible in order.
//!
//! The same SQL text runs on both engines; what differs is in `dialect.rs`. Nothing here talks HTTP, knows a request or
//! decides a redirect.

mod accounts;
mod dialect;
mod domains;
mod error;
mod idempotency;
mod links;
mod outbox;
#[cfg(test)]
mod plans;
mod rows;
mod setup;
mod store;
mod sync;
mod tx;

pub use accounts::api_keys::{ApiKey, ApiKeyKind, ApiKeyLimits, KEY_ID_CHARS, NewApiKey};
pub use accounts::audit::{AuditEntry, AuditFilter, PAGE_AUDIT_ENTRIES_MAX, StoredAuditEntry};
pub use accounts::members::{Member, NewMember};
pub use accounts::utm_templates::{AccountUtmTemplate, NewUtmTemplate};
pub use accounts::{Account, AccountKind};
pub use domains::{Domain, DomainChange, NewDomain};
pub use error::StoreError;
pub use idempotency::{IDEMPOTENCY_HOURS, Idempotency};
pub use links::bulk::LINKS_PER_CALL_MAX;
pub use links::edge_records::{EdgeCursor, EdgePage, EdgeRecord, EdgeRecords, KeyedRecord, UnreadableLink};
pub use links::link::{CreateOutcome, Creation, Link, LinkChange, NewLink, SlugChoice};
pub use links::list::{FILTER_DOMAINS_MAX, LinkFilter, LinkPage, PAGE_LINKS_MAX};
pub use links::owners::LinkOwner;
pub use links::places::LinkPlaces;
pub use links::versions::LinkVersion;
pub use outbox::{OUTBOX_BATCH_MAX, OutboxEntry};
pub use setup::Setup;
pub use store::Store;
pub use sync::health::{CALLS_BURST, CALLS_PER_PERIOD, CALLS_PERIOD_S, SyncHealth};
pub use sync::list::PAGE_SYNC_STATES_MAX;
pub use sync::states::{
    Advance, Claim, Claimed, ClaimedKey, Lease, Outcome, SYNC_ATTEMPTS_MAX, Settled, SyncCounts, SyncKey,
    SyncSelection, SyncState, SyncWork,
};
pub use tx::{ReadTx, Tx};
pub use waypost_sql::{Clock, Engine, SqlError, StoreOptions};
