//! How long raw clicks are kept, and deleting them when they have had their days. Roll-ups are kept for ever.

use waypost_core::Timestamp;
use waypost_core::id::AccountId;
use waypost_core::visitor::day_of;

use crate::clicks::ClickStore;
use crate::clicks::events::EVENT_ID_DAYS;
use crate::clicks::refused::REFUSED_DAYS;
use crate::error::StoreError;
use crate::rows::Columns;
use crate::statement::Statement;

const DAY_MICROS: i64 = 86_400_000_000;

impl ClickStore {
    /// For how many days an account's raw clicks are kept; `None` where it has not chosen.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn retention_days(&self, account_id: &AccountId) -> Result<Option<u32>, StoreError> {
        let mut tx = self.database.read("retention_days").await?;
        let statement = Statement::new("SELECT retention_days FROM click_policies WHERE account = $1");
        let row = tx.fetch_optional(statement.bind(account_id.as_str())).await?;
        let days = row.map(|row| Columns::new(&row, "click policy").count("retention_days")).transpose()?;
        Ok(days.map(|days| u32::try_from(days).unwrap_or(u32::MAX)))
    }

    /// Chooses that; `None` takes the choice back.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn set_retention_days(&self, account_id: &AccountId, days: Option<u32>) -> Result<(), StoreError> {
        let mut tx = self.database.begin("set_retention_days").await?;
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
    pub async fn prune(&self, default_days: u32, now: Timestamp) -> Result<u64, StoreError> {
        let today = day_of(now.as_micros());
        let mut pruned = 0;
        let mut after = 0;
        while let Some((account, clicks)) = self.prune_next(after, default_days, today).await? {
            after = account;
            pruned += clicks;
        }
        let mut tx = self.database.begin("prune_event_ids").await?;
        let statement = Statement::new("DELETE FROM click_event_ids WHERE day < $1");
        tx.execute(statement.bind(today - EVENT_ID_DAYS)).await?;
        let refused = Statement::new("DELETE FROM click_refused WHERE received_at < $1");
        tx.execute(refused.bind((today - REFUSED_DAYS) * DAY_MICROS)).await?;
        tx.commit().await?;
        Ok(pruned)
    }

    /// Prunes the next account that has raw clicks, in a transaction of its own, so that counting goes on in between.
    async fn prune_next(&self, after: i64, default_days: u32, today: i64) -> Result<Option<(i64, u64)>, StoreError> {
        let mut tx = self.database.begin("prune_clicks").await?;
        let statement = Statement::new(
            "SELECT s.number, p.retention_days
             FROM click_scopes AS s LEFT JOIN click_policies AS p ON p.account = s.key
             WHERE s.number = (SELECT min(account) FROM click_blocks WHERE account > $1)",
        );
        let Some(row) = tx.fetch_optional(statement.bind(after)).await? else { return Ok(None) };
        let columns = Columns::new(&row, "click scope");
        let account = columns.get::<i64>("number")?;
        let days = columns.get::<Option<i64>>("retention_days")?.unwrap_or(i64::from(default_days));
        let cut = today - days;
        let old = "FROM click_blocks WHERE account = $1 AND (day < $2 OR stored_day < $2)";
        let sum = Statement::new(format!("SELECT CAST(coalesce(sum(clicks), 0) AS BIGINT) AS clicks {old}"));
        let row = tx.fetch_optional(sum.bind(account).bind(cut)).await?;
        let clicks = row.as_ref().map_or(Ok(0), |row| Columns::new(row, "block of clicks").count("clicks"))?;
        tx.execute(Statement::new(format!("DELETE {old}")).bind(account).bind(cut)).await?;
        tx.commit().await?;
        Ok(Some((account, clicks)))
    }
}
