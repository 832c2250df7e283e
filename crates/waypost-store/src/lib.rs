//! The truth: every SQL statement of the product, for SQLite and PostgreSQL.
//!
//! There are two databases: [`Store`] holds what people make (accounts, links), [`ClickStore`] what visitors leave (clicks).
//! On SQLite each is a file, so that counting and editing never wait for one another.
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
mod api_keys;
mod batched_delete;
mod bulk;
mod clicks;
mod database;
mod deleted_slugs;
mod dialect;
mod domains;
mod edge_records;
mod error;
mod idempotency;
mod link;
mod link_owners;
mod link_places;
mod links;
mod list;
mod members;
mod migrate;
mod options;
mod outbox;
mod outbox_trim;
#[cfg(test)]
mod plans;
mod qr_logos;
mod record_json;
mod rights;
mod rows;
mod settings;
mod setup;
mod sqlite_file;
mod statement;
mod store;
mod sync_claims;
mod sync_health;
mod sync_list;
mod sync_marks;
#[cfg(test)]
mod sync_model;
mod sync_settle;
mod sync_sql;
mod sync_states;
mod sync_unread;
mod sync_walk;
mod tx;
mod tx_connection;
mod utm_templates;
mod versions;
mod write_health;

pub use accounts::{Account, AccountKind};
pub use api_keys::{ApiKey, KEY_ID_CHARS, NewApiKey};
pub use bulk::LINKS_PER_CALL_MAX;
pub use clicks::{
    ClickAudit, ClickBatch, ClickPage, ClickPosition, ClickStore, EventOutcome, LossCause, PAGE_CLICKS_MAX,
    PAGE_REFUSED_MAX, RawQuery, RefusedEvent, RefusedPage, ReportError, RetentionClock, StoredRefusal,
};
pub use dialect::Engine;
pub use domains::{Domain, DomainChange, NewDomain};
pub use edge_records::{EdgeCursor, EdgePage, EdgeRecord, EdgeRecords, KeyedRecord, UnreadableLink};
pub use error::StoreError;
pub use idempotency::{IDEMPOTENCY_HOURS, Idempotency};
pub use link::{CreateOutcome, Creation, Link, LinkChange, NewLink, SlugChoice};
pub use link_owners::LinkOwner;
pub use link_places::LinkPlaces;
pub use list::{LinkFilter, LinkPage, PAGE_LINKS_MAX};
pub use members::{Member, NewMember, Role};
pub use options::{Clock, StoreOptions};
pub use outbox::{OUTBOX_BATCH_MAX, OutboxEntry};
pub use setup::Setup;
pub use store::Store;
pub use sync_health::{CALLS_BURST, CALLS_PER_PERIOD, CALLS_PERIOD_S, SyncHealth};
pub use sync_list::PAGE_SYNC_STATES_MAX;
pub use sync_states::{
    Advance, Claim, Claimed, ClaimedKey, Lease, Outcome, SYNC_ATTEMPTS_MAX, Settled, SyncCounts, SyncKey,
    SyncSelection, SyncState, SyncWork,
};
pub use tx::{ReadTx, Tx};
pub use utm_templates::{AccountUtmTemplate, NewUtmTemplate};
pub use versions::LinkVersion;
