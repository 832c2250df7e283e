//! The store itself: opening a database and handing out transactions.

pub(crate) mod schema;

use tokio::time::Instant;
use waypost_core::Timestamp;
use waypost_sql::{Database, Engine, SqlError, StoreOptions};

use crate::error::StoreError;
use crate::store::schema::LINKS;
use crate::tx::{ReadTx, Tx};

/// The setting that a try of whether the database takes writes sets.
const WRITE_PROBE_SETTING: &str = "write_probe";

/// How often [`Store::write`] runs its work before it gives up on conflicts.
const WRITE_ATTEMPTS_MAX: u32 = 5;

/// The open database of links. Cloning is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) database: Database,
}

impl Store {
    /// Opens the database at `address` and brings its schema up to date.
    ///
    /// The address is `sqlite:///path/waypost.db`, a plain path, or `postgres://user@host/database`. A missing SQLite
    /// file is created, readable by its owner only; its folder must exist. Any number of processes may start on one
    /// database at once; one migrates, the others wait.
    ///
    /// # Errors
    /// Where the address has no known form, the database cannot be reached, is not ours, is damaged, or has a newer schema. A
    /// refused database is left as it is.
    pub async fn open(address: &str, options: StoreOptions) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(address, &LINKS, options).await? })
    }

    /// Takes a database's schema back to an earlier release's, so that this release can be started on it. What only
    /// newer schemas hold is lost.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn revert_schema(address: &str, options: &StoreOptions, schema: i64) -> Result<(), StoreError> {
        Ok(Database::revert_schema(address, &LINKS, options, schema).await?)
    }

    /// Which engine holds the data.
    pub const fn engine(&self) -> Engine {
        self.database.engine()
    }

    /// The time as transactions would see it now.
    pub fn now(&self) -> Timestamp {
        self.database.now()
    }

    /// Begins a write transaction under this name (for logs and errors), waiting for its turn. Dropping it undoes it.
    ///
    /// # Errors
    /// [`SqlError::Unavailable`] where the turn does not come in time or the database cannot be reached.
    pub async fn begin(&self, name: &'static str) -> Result<Tx, StoreError> {
        Ok(Tx(self.database.begin(name).await?))
    }

    /// As [`Store::begin`], for work that has waited for its turn since then already: the wait ends as much earlier.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn begin_since(&self, name: &'static str, since: Instant) -> Result<Tx, StoreError> {
        Ok(Tx(self.database.begin_since(name, since).await?))
    }

    /// Begins a read transaction: all its reads see the database as it is at its first read.
    ///
    /// # Errors
    /// [`SqlError::Unavailable`] where no connection is free in time or the database cannot be reached.
    pub async fn read(&self, name: &'static str) -> Result<ReadTx, StoreError> {
        Ok(ReadTx(self.database.read(name).await?))
    }

    /// Runs `work` in a write transaction and commits it, again (at most five times) where transactions conflict.
    ///
    /// Writers take turns, so a conflict means that something else than this store writes to the database. The future
    /// cannot be moved between threads (the compiler cannot see yet that an asynchronous closure allows it): what is
    /// spawned on a work-stealing runtime uses [`Store::begin`].
    ///
    /// # Errors
    /// Whatever `work` fails with, having undone it; and what beginning and committing fail with.
    pub async fn write<T, F>(&self, name: &'static str, mut work: F) -> Result<T, StoreError>
    where
        F: AsyncFnMut(&mut Tx) -> Result<T, StoreError>,
    {
        let mut attempts = 1;
        loop {
            let mut tx = self.begin(name).await?;
            let outcome = match work(&mut tx).await {
                Ok(value) => tx.commit().await.map(|()| value),
                Err(error) => Err(error),
            };
            match outcome {
                Err(StoreError::Sql(SqlError::Conflict { .. })) if attempts < WRITE_ATTEMPTS_MAX => attempts += 1,
                other => return other,
            }
        }
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// [`SqlError::Unavailable`] where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.database.ping().await?)
    }

    /// Whether the database takes writes. Known from the last one, where that succeeded within ten seconds; else a write is
    /// committed to find out, after a failure at most once a second.
    pub async fn is_writable(&self) -> bool {
        let probe = async {
            let mut tx = self.begin("write_probe").await?;
            let at = tx.now().as_micros().to_string();
            tx.set_setting(WRITE_PROBE_SETTING, &at).await?;
            tx.commit().await
        };
        self.database.is_writable(probe).await
    }

    /// Waits for the running transactions, then closes every connection. On PostgreSQL it ends within seconds, whatever the network
    /// does: a transaction that is still under way then is undone.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
