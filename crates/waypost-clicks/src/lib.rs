//! The clicks database: what was counted, where every edge's count stands, and the clicks themselves for as long as
//! they are kept.
//!
//! It is a database apart from that of the links (on SQLite a file of its own), so that counting never waits for an
//! edit. One transaction takes a whole batch: roll-ups, raw clicks, and how far the edge's numbering has come; so
//! whatever dies wherever, a click is counted once.
//!
//! [`ClickStore`] is the database; its methods are the operations, each in the file of the noun it serves. Ids of
//! accounts and links are texts here: nothing asks whether they exist.

mod batch;
mod blocks;
mod cells;
mod chunks;
mod clock;
mod erase;
mod error;
mod events;
mod ingest;
mod keep;
mod months;
mod page;
#[cfg(test)]
mod plans;
mod raw;
mod refused;
mod report;
mod schema;
mod scopes;
mod spools;
mod store;
mod totals;
mod tx;
mod types;
mod wanted;
mod writers;

pub use batch::ClickBatch;
pub use clock::RetentionClock;
pub use error::{ClicksError, ReportError};
pub use refused::{PAGE_REFUSED_MAX, RefusedEvent, RefusedPage, StoredRefusal};
pub use store::ClickStore;
pub use types::{ClickAudit, ClickPage, ClickPosition, EventOutcome, LossCause, PAGE_CLICKS_MAX, RawQuery};
pub use waypost_sql::{Clock, Engine, SqlError, StoreOptions};
