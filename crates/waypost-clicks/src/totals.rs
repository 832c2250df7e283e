//! Totals: what the days of a scope add up to, up to some day before yesterday. With one, "how often at all?" reads a row and the few
//! days since, however many days there are.
//!
//! A report that had to read many days says so, and a job makes the total, or takes it further. Whatever changes a day deletes the
//! totals that it is in, in the same transaction, so a total that is there is right. Counting clicks of today finds none to delete.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use waypost_rollup::{Classes, CorruptRollup, ReportPlan, RunningTotal};
use waypost_sql::{Columns, SqlError, Statement};

use crate::cells::{Cell, CellKind, DAY_MAX, read_stored};
use crate::error::ClicksError;
use crate::store::ClickStore;
use crate::tx::{ReadTx, Tx};
use crate::wanted::Wanted;

/// A total ends this many days before today: clicks that come late, for yesterday, do not undo it.
const LATE_DAYS: i64 = 2;
/// So many days read one by one are worth a total, or taking one further.
const DAYS_MIN: usize = 6;
/// A question that begins so many days before the first clicks is taken to ask for all.
const EMPTY_DAYS_MIN: i64 = 31;

impl Wanted<(u32, Classes)> {
    /// Wants a total where the plan, which has read these days of a scope, would have had much use for one that there can be.
    pub(crate) fn want_instead(
        &self,
        (scope, through, today): (u32, Option<i64>, i64),
        plan: &ReportPlan,
        (first_read, days_read): (Option<i64>, usize),
    ) {
        let (Some(classes), Some(first)) = (plan.total_classes(), first_read) else { return };
        if through.is_some_and(|through| through >= today - LATE_DAYS) {
            return;
        }
        if days_read >= DAYS_MIN && first - plan.days().start() >= EMPTY_DAYS_MIN {
            self.want((scope, classes));
        }
    }
}

/// A row that is not a total yet: whoever fills it must find it unchanged.
struct Claim {
    scope: u32,
    classes: Classes,
    through: i64,
    mark: Vec<u8>,
}

impl Claim {
    fn new(scope: u32, classes: Classes, through: i64, now_micros: i64) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut mark = vec![0];
        mark.extend_from_slice(&now_micros.to_le_bytes());
        mark.extend_from_slice(&std::process::id().to_le_bytes());
        mark.extend_from_slice(&count.to_le_bytes());
        Self { scope, classes, through, mark }
    }

    fn bind(&self, statement: Statement) -> Statement {
        statement.bind(i64::from(self.scope)).bind(i64::from(self.classes.number())).bind(self.through)
    }
}

impl ClickStore {
    /// Makes the totals that reports have missed since the last call. Gives how many it made. Until then reports take longer, and
    /// say the same.
    ///
    /// # Errors
    /// Where the database fails; what is left is made by the next call.
    pub async fn make_totals(&self) -> Result<u64, ClicksError> {
        let mut made = 0;
        while let Some((scope, classes)) = self.wanted_totals.take() {
            match self.make_total(scope, classes).await {
                Ok(is_made) => made += u64::from(is_made),
                // Reports name the day that is damaged.
                Err(ClicksError::Sql(SqlError::Corrupt { .. })) => {}
                Err(error) => {
                    self.wanted_totals.want((scope, classes));
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// Claims a row, adds up what a reading transaction sees after that, and stores it where the row is still there: for as long as
    /// adding up takes nobody waits, and a day that changes meanwhile takes the row with it.
    async fn make_total(&self, scope: u32, classes: Classes) -> Result<bool, ClicksError> {
        let mut tx = self.begin("claim_click_total").await?;
        let claim = Claim::new(scope, classes, tx.today() - LATE_DAYS, tx.now().as_micros());
        // What others have claimed and never filled sorts before every total.
        let unfilled = "DELETE FROM click_totals WHERE scope = $1 AND classes = $2 AND through <= $3 AND total < $4";
        tx.execute(claim.bind(Statement::new(unfilled)).bind(&[1_u8][..])).await?;
        let insert = claim.bind(Statement::new(
            "INSERT INTO click_totals (scope, classes, through, total) VALUES ($1, $2, $3, $4)
             ON CONFLICT (scope, classes, through) DO UPDATE SET total = excluded.total",
        ));
        tx.execute(insert.bind(claim.mark.as_slice())).await?;
        tx.commit().await?;

        let mut tx = self.read("read_click_total").await?;
        let mut after = -DAY_MAX - 1;
        let mut total = RunningTotal::new(classes);
        if let Some((through, bytes)) = tx.stored_total(scope, classes).await?
            && let Ok(resumed) = RunningTotal::resume(classes, &bytes)
        {
            (after, total) = (through, resumed);
        }
        let days = (after + 1, claim.through);
        let rows = tx.read_days(CellKind::Day, scope, days).await?;
        // Days that lack what was set aside are not all that was counted.
        let is_damaged = !tx.damaged_cells(CellKind::Day, scope, days).await?.is_empty();
        drop(tx);
        for row in &rows {
            let day = read_stored(row)?;
            total.add(day.cell.day(), day.rollup).map_err(|CorruptRollup| CellKind::Day.corrupt(day.cell))?;
        }
        let Some(bytes) = total.finish().filter(|_| !is_damaged) else { return Ok(false) };

        let mut tx = self.begin("make_click_total").await?;
        let fill = Statement::new(
            "UPDATE click_totals SET total = $4 WHERE scope = $1 AND classes = $2 AND through = $3 AND total = $5",
        );
        let is_filled = tx.execute(claim.bind(fill).bind(bytes).bind(claim.mark.as_slice())).await? == 1;
        if is_filled {
            let older = "DELETE FROM click_totals WHERE scope = $1 AND classes = $2 AND through < $3";
            tx.execute(claim.bind(Statement::new(older))).await?;
        }
        tx.commit().await?;
        Ok(is_filled)
    }
}

impl ReadTx {
    /// Shows the plan a scope's total, where it has use for one and one was made. Gives the day up to which all is counted then.
    pub(crate) async fn add_total(&mut self, plan: &mut ReportPlan, scope: u32) -> Result<Option<i64>, ClicksError> {
        let Some(classes) = plan.total_classes() else { return Ok(None) };
        let Some((through, total)) = self.stored_total(scope, classes).await? else { return Ok(None) };
        Ok(plan.add_total(through, &total).unwrap_or(false).then_some(through))
    }

    /// The total that reaches furthest, with its last day. A claim is none.
    async fn stored_total(&mut self, scope: u32, classes: Classes) -> Result<Option<(i64, Vec<u8>)>, ClicksError> {
        let statement = Statement::new(
            "SELECT through, total FROM click_totals WHERE scope = $1 AND classes = $2 ORDER BY through DESC LIMIT 4",
        );
        let statement = statement.bind(i64::from(scope)).bind(i64::from(classes.number()));
        for row in &self.fetch_all(statement).await? {
            let columns = Columns::new(row, "total of clicks");
            let total = columns.get::<Vec<u8>>("total")?;
            if total.first() != Some(&0) {
                return Ok(Some((columns.get("through")?, total)));
            }
        }
        Ok(None)
    }
}

impl Tx {
    /// Deletes the totals of days that are changed. Nearly always there is none: then it is one look.
    pub(crate) async fn forget_totals(&mut self, cells: impl Iterator<Item = Cell>) -> Result<(), ClicksError> {
        let mut first_changed: BTreeMap<i64, i64> = BTreeMap::new();
        for cell in cells {
            let first = first_changed.entry(cell.scope().into()).or_insert(i64::MAX);
            *first = cell.day().min(*first);
        }
        let Some(first) = first_changed.values().min() else { return Ok(()) };
        let made = Statement::new(
            "SELECT scope, max(through) AS through FROM click_totals WHERE through >= $1 GROUP BY scope",
        );
        for row in self.fetch_all(made.bind(*first)).await? {
            let columns = Columns::new(&row, "total of clicks");
            let (scope, through): (i64, i64) = (columns.get("scope")?, columns.get("through")?);
            if let Some(first) = first_changed.get(&scope).filter(|first| **first <= through) {
                let delete = Statement::new("DELETE FROM click_totals WHERE scope = $1 AND through >= $2");
                self.execute(delete.bind(scope).bind(*first)).await?;
            }
        }
        Ok(())
    }
}
