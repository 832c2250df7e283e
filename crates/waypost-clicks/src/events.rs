//! Events that come from elsewhere, one by one, in any order and more than once: each is counted once.
//!
//! Two things tell a repeat: the event id, which is remembered for [`EVENT_ID_DAYS`] days, and where an event has a number the
//! ranges of numbers received, which are remembered for ever.

use hashbrown::{HashMap, HashSet};
use waypost_core::visitor::day_of;
use waypost_rollup::ClickFacts;
use waypost_sql::{Columns, Statement};

use crate::batch::ClickBatch;
use crate::chunks::chunks;
use crate::error::ClicksError;
use crate::refused::RefusedEvent;
use crate::store::ClickStore;
use crate::tx::Tx;
use crate::types::EventOutcome;
use crate::writers::Writer;

/// For how many days event ids are remembered; a day more than is promised, because days are whole.
pub(crate) const EVENT_ID_DAYS: i64 = 8;

/// What stands for "no event id".
const NO_ID: [u8; 16] = [0; 16];

impl ClickStore {
    /// Counts events that came from elsewhere, each once however often it comes; one outcome for each.
    ///
    /// An event is a repeat where its event id (unless it is all zeros) was seen in the last week, or its sequence (unless it is
    /// 0) was received from its edge and epoch before.
    ///
    /// # Errors
    /// Where the database fails; none was counted then.
    pub async fn ingest_events(&self, events: &[ClickFacts<'_>]) -> Result<Vec<EventOutcome>, ClicksError> {
        self.ingest_delivery(events, &[]).await
    }

    /// Counts events as [`ClickStore::ingest_events`] does, and in the same transaction keeps those that came with them and
    /// cannot be counted.
    ///
    /// # Errors
    /// Where the database fails; none was counted and none kept then.
    pub async fn ingest_delivery(
        &self,
        events: &[ClickFacts<'_>],
        refused: &[RefusedEvent],
    ) -> Result<Vec<EventOutcome>, ClicksError> {
        let mut tx = self.begin("ingest_events").await?;
        let mut seen = tx.known_event_ids(events).await?;
        let mut writers: HashMap<(&str, u64), Writer> = HashMap::new();
        let mut batch = ClickBatch::new();
        let mut outcomes = Vec::with_capacity(events.len());
        let mut new_ids = Vec::new();
        for event in events {
            let key = (event.edge_id, event.epoch);
            if event.sequence > 0 && !writers.contains_key(&key) {
                writers.insert(key, tx.click_writer(key.0, key.1).await?);
            }
            let writer = writers.get_mut(&key).filter(|_| event.sequence > 0);
            let was_received = writer.as_ref().is_some_and(|writer| writer.received.contains(event.sequence));
            if was_received || seen.contains(&event.event_id) {
                outcomes.push(EventOutcome::Duplicate);
                continue;
            }
            if batch.count(event).is_none() {
                outcomes.push(EventOutcome::Rejected);
                continue;
            }
            if let Some(writer) = writer {
                writer.receive(event.sequence);
            }
            if event.event_id != NO_ID {
                seen.insert(event.event_id);
                new_ids.push(event.event_id);
            }
            outcomes.push(EventOutcome::Counted);
        }
        if batch.is_empty() && refused.is_empty() {
            return Ok(outcomes);
        }
        tx.keep_refused(refused).await?;
        tx.remember_event_ids(&new_ids).await?;
        for (key, writer) in writers.iter().filter(|(_, writer)| writer.is_changed()) {
            tx.put_click_writer(*key, writer).await?;
        }
        let numbers = tx.count_clicks(&mut batch, &self.scopes).await?;
        tx.commit().await?;
        self.scopes.remember(&batch, &numbers);
        Ok(outcomes)
    }
}

impl Tx {
    async fn known_event_ids(&mut self, events: &[ClickFacts<'_>]) -> Result<HashSet<[u8; 16]>, ClicksError> {
        let ids: Vec<[u8; 16]> = events.iter().map(|event| event.event_id).filter(|id| *id != NO_ID).collect();
        let mut known = HashSet::new();
        for chunk in chunks(&ids) {
            let mut sql = "SELECT event_id FROM click_event_ids WHERE event_id IN ".to_owned();
            self.engine().put_placeholders(&mut sql, 1, chunk.len());
            let statement = chunk.iter().fold(Statement::new(sql), |statement, id| statement.bind(id.as_slice()));
            for row in &self.fetch_all(statement).await? {
                let columns = Columns::new(row, "event id");
                let id = columns.get::<&[u8]>("event_id")?.try_into();
                known.insert(id.map_err(|_| columns.corrupt("event_id", &"not 16 bytes"))?);
            }
        }
        Ok(known)
    }

    async fn remember_event_ids(&mut self, ids: &[[u8; 16]]) -> Result<(), ClicksError> {
        let today = day_of(self.now().as_micros());
        for chunk in chunks(ids) {
            let mut sql = "INSERT INTO click_event_ids (event_id, day) VALUES ".to_owned();
            self.engine().put_placeholders(&mut sql, chunk.len(), 2);
            let statement =
                chunk.iter().fold(Statement::new(sql), |statement, id| statement.bind(id.as_slice()).bind(today));
            self.execute(statement).await?;
        }
        Ok(())
    }
}
