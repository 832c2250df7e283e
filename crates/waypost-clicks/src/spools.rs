//! Edges whose clicks come out of a spool beside this database. Nobody else may report clicks in their name: a number that
//! came from elsewhere would pass for one of theirs, and the click that has it would never be counted.

use std::collections::HashSet;

use waypost_sql::{Columns, Statement};

use crate::chunks::chunks;
use crate::error::ClicksError;
use crate::store::ClickStore;

impl ClickStore {
    /// Notes that this edge's clicks come out of a spool. Any number of times.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn add_spool(&self, edge_id: &str) -> Result<(), ClicksError> {
        if self.spools_among(&[edge_id]).await?.contains(edge_id) {
            return Ok(());
        }
        let mut tx = self.begin("add_spool").await?;
        let statement =
            Statement::new("INSERT INTO click_spools (edge_id) VALUES ($1) ON CONFLICT (edge_id) DO NOTHING");
        tx.execute(statement.bind(edge_id)).await?;
        tx.commit().await
    }

    /// Those of these edges whose clicks come out of a spool.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn spools_among(&self, edge_ids: &[&str]) -> Result<HashSet<String>, ClicksError> {
        let mut spools = HashSet::new();
        let mut tx = self.read("spools_among").await?;
        for chunk in chunks(edge_ids) {
            let mut sql = "SELECT edge_id FROM click_spools WHERE edge_id IN ".to_owned();
            tx.engine().put_placeholders(&mut sql, 1, chunk.len());
            let statement = chunk.iter().fold(Statement::new(sql), |statement, edge_id| statement.bind(*edge_id));
            for row in &tx.fetch_all(statement).await? {
                spools.insert(Columns::new(row, "spool").get("edge_id")?);
            }
        }
        Ok(spools)
    }
}
