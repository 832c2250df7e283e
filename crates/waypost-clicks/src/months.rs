//! Months: what the roll-ups of a scope's days say, once more in a form that reports read several times faster.
//!
//! A report that had to read many bytes of a month that is over says so; a job makes that month, and the next report reads it.
//! A month follows from its days and from nothing else. Whatever changes a day deletes its month in the same transaction, so
//! that a month that is there is right. A damaged one is passed over and made again.

use std::collections::{BTreeMap, HashSet};

use waypost_core::visitor::day_of;
use waypost_rollup::{CorruptRollup, Month, MonthPart, MonthRollup, ReportPlan};
use waypost_sql::{Columns, SqlError, Statement};

use crate::cells::{Cell, CellKind, read_stored};
use crate::error::ClicksError;
use crate::store::ClickStore;
use crate::tx::{ReadTx, Tx};
use crate::wanted::Wanted;

/// The days of a month have at least so many bytes for it to be worth making.
const MONTH_BYTES_MIN: usize = 64 << 10;

/// The days that a report has read one by one, by month.
#[derive(Debug, Default)]
pub(crate) struct DaysRead {
    bytes: BTreeMap<Month, usize>,
    first: Option<i64>,
    days: usize,
    newest: i64,
}

impl Wanted<(u32, Month)> {
    /// Wants the months that would have saved reading many bytes: of those that the plan has use for, and that are over.
    pub(crate) fn want_instead(&self, scope: u32, months: &HashSet<Month>, read: &DaysRead) {
        let is_worth_it = |(month, bytes): &(&Month, &usize)| {
            **bytes >= MONTH_BYTES_MIN && *month.days().end() < read.newest && months.contains(month)
        };
        read.bytes.iter().filter(is_worth_it).for_each(|(month, _)| self.want((scope, *month)));
    }
}

impl DaysRead {
    pub(crate) fn new(today: i64) -> Self {
        Self { newest: today, ..Self::default() }
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<i64> {
        self.first
    }

    /// How many there were.
    pub(crate) fn days(&self) -> usize {
        self.days
    }

    pub(crate) fn note(&mut self, day: i64, bytes: usize) {
        self.newest = self.newest.max(day);
        self.first = Some(self.first.map_or(day, |first| first.min(day)));
        self.days += 1;
        if let Some(month) = Month::of(day) {
            *self.bytes.entry(month).or_default() += bytes;
        }
    }
}

impl ClickStore {
    /// Makes the months that reports have missed since the last call, each in a transaction of its own. Gives how many it made.
    /// Until then reports take longer, and say the same.
    ///
    /// # Errors
    /// Where the database fails; what is left is made by the next call.
    pub async fn make_months(&self) -> Result<u64, ClicksError> {
        let mut made = 0;
        while let Some((scope, month)) = self.wanted_months.take() {
            match self.make_month(scope, month).await {
                Ok(()) => made += 1,
                // Reports name the day that is damaged.
                Err(ClicksError::Sql(SqlError::Corrupt { .. })) => {}
                Err(error) => {
                    self.wanted_months.want((scope, month));
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// Makes a month of what a reading transaction sees, and stores it where its days are still the same: for the second or two
    /// that a large one takes nobody waits.
    async fn make_month(&self, scope: u32, month: Month) -> Result<(), ClicksError> {
        let cells: Vec<Cell> = month.days().map(|day| Cell::new(day, scope)).collect();
        let mut rollup = MonthRollup::new(month);
        let rows = self.read("read_click_month").await?.read_cells(CellKind::Day, &cells).await?;
        let days = rows.iter().map(read_stored).collect::<Result<Vec<_>, _>>()?;
        for day in &days {
            rollup.add(day.cell.day(), day.rollup).map_err(|CorruptRollup| CellKind::Day.corrupt(day.cell))?;
        }
        let parts = rollup.finish();
        let mut tx = self.begin("make_click_month").await?;
        let rows = tx.read_cells(CellKind::Day, &cells).await?;
        // Days that lack what was set aside are not all that was counted.
        let is_damaged = !tx.damaged_cells(CellKind::Day, scope, month.days().into_inner()).await?.is_empty();
        if !is_damaged && rows.iter().map(read_stored).collect::<Result<Vec<_>, _>>()? == days {
            tx.put_month(scope, month, parts).await?;
        }
        tx.commit().await
    }
}

impl ReadTx {
    /// The day (since 1970) on which the transaction began.
    pub(crate) fn today(&self) -> i64 {
        day_of(self.now().as_micros())
    }

    /// Shows the plan the months of a scope that were made. Gives the days that are counted with them, and what other
    /// months the plan has use for.
    pub(crate) async fn add_months(
        &mut self,
        plan: &mut ReportPlan,
        scope: u32,
    ) -> Result<(HashSet<i64>, HashSet<Month>), ClicksError> {
        let mut useful: BTreeMap<i64, (Month, Vec<i64>)> =
            plan.months().into_iter().map(|(month, days)| (month.first_day(), (month, days))).collect();
        let mut counted = HashSet::new();
        let (Some(part), Some((&first, _)), Some((&last, _))) =
            (plan.month_part(), useful.first_key_value(), useful.last_key_value())
        else {
            return Ok((counted, HashSet::new()));
        };
        for first_day in self.months_made(scope, part, (first, last)).await? {
            let Some((month, days)) = useful.get(&first_day) else { continue };
            // One by one: memory that was just used is quicker than new memory, and a year of them is large.
            let statement =
                Statement::new("SELECT rollup FROM click_months WHERE scope = $1 AND part = $2 AND month = $3");
            let statement = statement.bind(i64::from(scope)).bind(i64::from(part.number())).bind(first_day);
            let Some(row) = self.fetch_optional(statement).await? else { continue };
            let rollup = Columns::new(&row, "click roll-up of a month").get::<&[u8]>("rollup")?;
            // An empty one says that there is too much for a month.
            let is_counted = rollup.is_empty() || plan.add_month(*month, rollup).is_ok();
            if !is_counted {
                tracing::error!(
                    click.scope = scope,
                    click.day = first_day,
                    "a damaged click roll-up of a month is built again from its days"
                );
                continue;
            }
            if !rollup.is_empty() {
                counted.extend(days);
            }
            useful.remove(&first_day);
        }
        Ok((counted, useful.into_values().map(|(month, _)| month).collect()))
    }

    async fn months_made(
        &mut self,
        scope: u32,
        part: MonthPart,
        (first, last): (i64, i64),
    ) -> Result<Vec<i64>, ClicksError> {
        let statement = Statement::new(
            "SELECT month FROM click_months WHERE scope = $1 AND part = $2 AND month >= $3 AND month <= $4",
        );
        let statement = statement.bind(i64::from(scope)).bind(i64::from(part.number())).bind(first).bind(last);
        let rows = self.fetch_all(statement).await?;
        rows.iter().map(|row| Ok(Columns::new(row, "click roll-up of a month").get("month")?)).collect()
    }
}

impl Tx {
    /// Stores a month in place of what there was; of one that is too large that it is.
    async fn put_month(
        &mut self,
        scope: u32,
        month: Month,
        parts: Option<[(MonthPart, Vec<u8>); 3]>,
    ) -> Result<(), ClicksError> {
        for (part, rollup) in parts.unwrap_or_else(|| MonthPart::ALL.map(|part| (part, Vec::new()))) {
            let statement = Statement::new(
                "INSERT INTO click_months (scope, part, month, rollup) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (scope, part, month) DO UPDATE SET rollup = excluded.rollup",
            );
            let statement = statement.bind(i64::from(scope)).bind(i64::from(part.number())).bind(month.first_day());
            self.execute(statement.bind(rollup)).await?;
        }
        Ok(())
    }

    /// Deletes the months of days that are changed. Nearly always there is none: then it is one look for each month.
    pub(crate) async fn forget_months(&mut self, cells: impl Iterator<Item = Cell>) -> Result<(), ClicksError> {
        let mut scopes: BTreeMap<Month, HashSet<i64>> = BTreeMap::new();
        for cell in cells {
            if let Some((month, scopes)) = scopes.last_entry().map(|last| (*last.key(), last.into_mut()))
                && month.days().contains(&cell.day())
            {
                scopes.insert(cell.scope().into());
            } else if let Some(month) = Month::of(cell.day()) {
                scopes.entry(month).or_default().insert(cell.scope().into());
            }
        }
        for (month, changed) in scopes {
            let made = Statement::new("SELECT DISTINCT scope FROM click_months WHERE month = $1");
            for row in self.fetch_all(made.bind(month.first_day())).await? {
                let scope: i64 = Columns::new(&row, "click roll-up of a month").get("scope")?;
                if changed.contains(&scope) {
                    let delete = Statement::new("DELETE FROM click_months WHERE scope = $1 AND month = $2");
                    self.execute(delete.bind(scope).bind(month.first_day())).await?;
                }
            }
        }
        Ok(())
    }
}
