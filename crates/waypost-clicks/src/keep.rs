//! How long raw clicks are kept, and deleting them when they have had their days. Roll-ups are kept for ever.

use waypost_core::Timestamp;
use waypost_core::id::AccountId;
use waypost_core::visitor::day_of;
use waypost_sql::{BatchedDelete, Columns, SHORT_ROWS_MAX, Statement};

use crate::error::ClicksError;
use crate::events::EVENT_ID_DAYS;
use crate::refused::REFUSED_DAYS;
use crate::store::ClickStore;
use crate::tx::ReadTx;

/// The most blocks of clicks, of some thousand clicks each, that one transaction deletes.
const PRUNED_BLOCKS_MAX: u32 = 256;
const DAY_MICROS: i64 = 86_400_000_000;

impl ClickStore {
    /// For how many days an account's raw clicks are kept; `None` where it has not chosen.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retention_days(&self, account_id: &AccountId) -> Result<Option<u32>, ClicksError> {
        let mut tx = self.read("retention_days").await?;
        let statement = Statement::new("SELECT retention_days FROM click_policies WHERE account = $1");
        let row = tx.fetch_optional(statement.bind(account_id.as_str())).await?;
        let days = row.map(|row| Columns::new(&row, "click policy").count("retention_days")).transpose()?;
        Ok(days.map(|days| u32::try_from(days).unwrap_or(u32::MAX)))
    }

    /// Chooses that; `None` takes the choice back.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_retention_days(&self, account_id: &AccountId, days: Option<u32>) -> Result<(), ClicksError> {
        let mut tx = self.begin("set_retention_days").await?;
        let statement = match days {
            Some(days) => Statement::new(
                "INSERT INTO click_policies (account, retention_days) VALUES ($1, $2)
                 ON CONFLICT (account) DO UPDATE SET retention_days = excluded.retention_days",
            )
            .bind(account_id.as_str())
            .bind(i64::from(days)),
            None => Statement::new("DELETE FROM click_policies WHERE account = $1").bind(account_id.as_str()),
        };
        tx.execute(statement).await?;
        tx.commit().await
    }

    /// Deletes raw clicks that have had their days by `now` ([`ClickStore::retention_clock`]): those of days more than so
    /// many before today, and those that were stored that long ago, whatever day they claim. `default_days` is for accounts that
    /// have not chosen. Totals stay. Gives how many clicks that were. Also forgets event ids that are older than a week, and refused
    /// events that are older than a month.
    ///
    /// # Errors
    /// Where the database fails; what was deleted before stays deleted.
    pub async fn prune(&self, default_days: u32, now: Timestamp) -> Result<u64, ClicksError> {
        let today = day_of(now.as_micros());
        let mut pruned = 0;
        let mut after = 0;
        while let Some((account, clicks)) = self.prune_next(after, default_days, today).await? {
            after = account;
            pruned += clicks;
        }
        let statement = || {
            let text = "DELETE FROM click_event_ids WHERE event_id IN (
                   SELECT event_id FROM click_event_ids WHERE day < $1 ORDER BY day LIMIT $2)
                 RETURNING CAST(1 AS BIGINT) AS deleted";
            Statement::new(text).bind(today - EVENT_ID_DAYS)
        };
        let event_ids = BatchedDelete { name: "prune_event_ids", rows_max: SHORT_ROWS_MAX, statement };
        self.database.delete_in_batches::<ReadTx>(&event_ids, || true).await?;
        let statement = || {
            let text = "DELETE FROM click_refused WHERE sequence IN (
                   SELECT sequence FROM click_refused WHERE received_at < $1 ORDER BY sequence LIMIT $2)
                 RETURNING CAST(1 AS BIGINT) AS deleted";
            Statement::new(text).bind((today - REFUSED_DAYS) * DAY_MICROS)
        };
        let refused = BatchedDelete { name: "prune_refused_events", rows_max: SHORT_ROWS_MAX, statement };
        self.database.delete_in_batches::<ReadTx>(&refused, || true).await?;
        Ok(pruned)
    }

    /// Prunes the next account that has raw clicks, in transactions of their own, so that counting goes on in between.
    async fn prune_next(&self, after: i64, default_days: u32, today: i64) -> Result<Option<(i64, u64)>, ClicksError> {
        let next = Statement::new(
            "SELECT s.number, p.retention_days
             FROM click_scopes AS s LEFT JOIN click_policies AS p ON p.account = s.key
             WHERE s.number = (SELECT min(account) FROM click_blocks WHERE account > $1)",
        );
        let mut tx = self.read("prune_next").await?;
        let Some(row) = tx.fetch_optional(next.bind(after)).await? else { return Ok(None) };
        drop(tx);
        let columns = Columns::new(&row, "click scope");
        let account = columns.get::<i64>("number")?;
        let days = columns.get::<Option<i64>>("retention_days")?.unwrap_or(i64::from(default_days));
        let statement = || {
            let text = "DELETE FROM click_blocks WHERE account = $1 AND (day, ordinal) IN (
                   SELECT day, ordinal FROM click_blocks WHERE account = $1 AND (day < $2 OR stored_day < $2)
                   ORDER BY day, ordinal LIMIT $3)
                 RETURNING clicks AS deleted";
            Statement::new(text).bind(account).bind(today - days)
        };
        let blocks = BatchedDelete { name: "prune_clicks", rows_max: PRUNED_BLOCKS_MAX, statement };
        let clicks = self.database.delete_in_batches::<ReadTx>(&blocks, || true).await?;
        Ok(Some((account, clicks)))
    }
}
