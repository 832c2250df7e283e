//! Databases: SQLite and PostgreSQL behind one set of types, knowing the name of no table.
//!
//! Who keeps something in a database describes it by a [`Schema`] (its migrations, and how it is told apart) and opens
//! it as a [`Database`]: the address is parsed, the database is checked to be ours and migrated. All work then goes
//! through named transactions: [`Database::read`] gives a [`ReadTx`] with one consistent view, [`Database::begin`] a
//! [`Tx`] that can also write. On both engines one write transaction runs at a time, so a writer never works on a stale
//! view.
//!
//! A crate of tables wraps both transactions in types of its own, and gives those the operations on its tables as
//! methods; its `tx.rs` shows how. The same SQL text runs on both engines; what differs is in `dialect.rs`.

mod batched_delete;
mod columns;
mod database;
mod dialect;
mod error;
mod migrate;
mod options;
mod rights;
mod schema;
mod sqlite_file;
mod statement;
mod tx;
mod tx_connection;
mod write_health;

pub use batched_delete::{Batch, BatchedDelete, SHORT_ROWS_MAX};
pub use columns::{Columns, as_bigint};
pub use database::Database;
pub use dialect::{Constraint, Engine};
pub use error::SqlError;
pub use options::{Clock, StoreOptions};
pub use schema::{FileSettings, Migration, OtherSchema, Schema};
pub use statement::{Statement, watch_statements};
pub use tx::{ReadTx, Tx};
