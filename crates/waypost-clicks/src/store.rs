//! The clicks database itself: opening it and counting.

use waypost_rollup::{Classes, Month};
use waypost_sql::{Database, Engine, StoreOptions};

use crate::batch::ClickBatch;
use crate::error::ClicksError;
use crate::schema::CLICKS;
use crate::scopes::ScopeCache;
use crate::tx::{ReadTx, Tx};
use crate::types::{ClickAudit, ClickPosition};
use crate::wanted::Wanted;

/// The clicks database. Cloning is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct ClickStore {
    pub(crate) database: Database,
    pub(crate) scopes: ScopeCache,
    pub(crate) wanted_months: Wanted<(u32, Month)>,
    pub(crate) wanted_totals: Wanted<(u32, Classes)>,
}

impl ClickStore {
    /// Opens the clicks database at this address, as [`Database::open`]; on PostgreSQL other databases of ours may be
    /// in the same one.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open(address: &str, options: StoreOptions) -> Result<Self, ClicksError> {
        let database = Database::open(address, &CLICKS, options).await?;
        let (wanted_months, wanted_totals) = (Wanted::default(), Wanted::default());
        Ok(Self { database, scopes: ScopeCache::default(), wanted_months, wanted_totals })
    }

    /// Takes a database's schema back to an earlier release's, as [`Database::revert_schema`].
    ///
    /// # Errors
    /// As [`ClickStore::open`].
    pub async fn revert_schema(address: &str, options: &StoreOptions, schema: i64) -> Result<(), ClicksError> {
        Ok(Database::revert_schema(address, &CLICKS, options, schema).await?)
    }

    /// Which engine holds the data.
    pub const fn engine(&self) -> Engine {
        self.database.engine()
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// [`crate::SqlError::Unavailable`] where it does not.
    pub async fn ping(&self) -> Result<(), ClicksError> {
        Ok(self.database.ping().await?)
    }

    /// Whether the database takes writes, known as by [`Database::is_writable`].
    pub async fn is_writable(&self) -> bool {
        self.database.is_writable(self.probe_writing()).await
    }

    /// Waits for the running transactions, then closes every connection. On PostgreSQL it ends within seconds, whatever
    /// the network does: a transaction that is still under way then is undone.
    pub async fn close(&self) {
        self.database.close().await;
    }

    pub(crate) async fn begin(&self, name: &'static str) -> Result<Tx, ClicksError> {
        Ok(Tx(self.database.begin(name).await?))
    }

    pub(crate) async fn read(&self, name: &'static str) -> Result<ReadTx, ClicksError> {
        Ok(ReadTx(self.database.read(name).await?))
    }

    /// How far this edge's epochs have been counted.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn positions(&self, edge_id: &str) -> Result<Vec<ClickPosition>, ClicksError> {
        self.read("click_positions").await?.click_positions(edge_id).await
    }

    /// Counts a batch: all of it or, on an error, nothing. An epoch of which nothing was counted yet begins wherever
    /// the batch does.
    ///
    /// # Errors
    /// [`ClicksError::ClicksMoved`] where a part of it does not begin where the edge's epoch stands (another process,
    /// or this one before an error, has counted it already): read [`Self::positions`] and begin there. And where the
    /// database fails.
    pub async fn ingest(&self, mut batch: ClickBatch) -> Result<(), ClicksError> {
        let mut tx = self.begin("ingest_clicks").await?;
        tx.take_click_parts(&batch.parts).await?;
        let numbers = tx.count_clicks(&mut batch, &self.scopes).await?;
        tx.commit().await?;
        self.scopes.remember(&batch, &numbers);
        Ok(())
    }

    /// Where every edge's count stands.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn audit(&self) -> Result<Vec<ClickAudit>, ClicksError> {
        self.read("click_audit").await?.click_audit().await
    }
}
