//! Reports: the roll-ups of the scope's months, and of days that are in none, shown to the plan one by one.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use sqlx::any::AnyRow;
use waypost_rollup::{Dimension, Report, ReportPlan, ReportQuery, ReportRow};

use crate::cells::{Cell, CellKind, read_stored};
use crate::chunks::chunks;
use crate::error::ClicksError;
use crate::error::ReportError;
use crate::months::DaysRead;
use crate::store::ClickStore;
use crate::tx::ReadTx;

impl ClickStore {
    /// Answers a report's question. Groups that are links are named by their ids.
    ///
    /// # Errors
    /// Where the question has no answer, a roll-up that it needs is damaged ([`crate::SqlError::Corrupt`]), or the
    /// database fails.
    pub async fn report(&self, query: &ReportQuery) -> Result<Report, ReportError> {
        let mut plan = ReportPlan::new(query)?;
        let mut tx = self.read("click_report").await?;
        let kind = if plan.wants_links() { CellKind::Links } else { CellKind::Day };
        let days = plan.days().into_inner();
        for scope in tx.report_scopes(&query.scope).await? {
            if let Some(&cell) = tx.damaged_cells(kind, scope, days).await?.first() {
                return Err(kind.corrupt(cell).into());
            }
            let through = tx.add_total(&mut plan, scope).await?;
            let days = (through.map_or(days.0, |through| days.0.max(through + 1)), days.1);
            let (counted, useful) = match through {
                // The days since are few.
                Some(_) => (HashSet::new(), HashSet::new()),
                None => tx.add_months(&mut plan, scope).await?,
            };
            let mut read = DaysRead::new(tx.today());
            let mut add = |rows: Vec<AnyRow>| {
                for row in rows {
                    let stored = read_stored(&row)?;
                    plan.add(stored.cell.day(), stored.rollup).map_err(|_| kind.corrupt(stored.cell))?;
                    read.note(stored.cell.day(), stored.rollup.len());
                }
                Ok::<(), ClicksError>(())
            };
            if counted.is_empty() {
                add(tx.read_days(kind, scope, days).await?)?;
            } else {
                let left = (days.0..=days.1).filter(|day| !counted.contains(day));
                let left: Vec<Cell> = left.map(|day| Cell::new(day, scope)).collect();
                for cells in chunks(&left) {
                    add(tx.read_cells(kind, cells).await?)?;
                }
            }
            self.wanted_months.want_instead(scope, &useful, &read);
            let first_read = read.first().into_iter().chain(counted.iter().copied()).min();
            let days_read = read.days() + counted.len();
            self.wanted_totals.want_instead((scope, through, tx.today()), &plan, (first_read, days_read));
        }
        let mut report = plan.finish();
        if query.group_by == Some(Dimension::Link) {
            tx.name_links(&mut report).await?;
        }
        Ok(report)
    }
}

impl ReadTx {
    /// Puts link ids in place of numbers. A link that was clicked on two domains has two of them and gets one row.
    async fn name_links(&mut self, report: &mut Report) -> Result<(), ClicksError> {
        let number = |group: &Option<String>| group.as_deref().and_then(|text| text.parse::<u32>().ok());
        let mut numbers: Vec<u32> = report.rows.iter().filter_map(|row| number(&row.group)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let scopes = self.read_link_scopes(&numbers).await?;
        let mut first_rows = HashMap::new();
        let mut rows: Vec<ReportRow> = Vec::with_capacity(report.rows.len());
        for mut row in report.rows.drain(..) {
            if let Some(scope) = number(&row.group).and_then(|number| scopes.get(&number)) {
                row.group = Some(scope.link_id.clone());
            }
            let place = *first_rows.entry((row.starts_at, row.group.clone())).or_insert(rows.len());
            match rows.get_mut(place) {
                None => rows.push(row),
                Some(first) => first.clicks += row.clicks,
            }
        }
        rows.sort_by(|one, other| {
            let key = |row: &ReportRow| (row.starts_at, Reverse(row.clicks));
            key(one).cmp(&key(other)).then_with(|| one.group.cmp(&other.group))
        });
        report.rows = rows;
        Ok(())
    }
}
