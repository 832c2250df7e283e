//! Roll-ups as rows: one of each scope and day, found by its cell, a number made of both. Cells sort by day first: what a
//! batch of today changes lies together, however many days there are.

use sqlx::any::AnyRow;
use waypost_rollup::CorruptRollup;
use waypost_sql::{Columns, SqlError, Statement};

use crate::chunks::chunks;
use crate::error::ClicksError;
use crate::tx::{ReadTx, Tx};

/// A day and the number of a scope in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cell(pub(crate) i64);

/// Days that no instant is beyond: microseconds since 1970 have no room for more.
pub(crate) const DAY_MAX: i64 = 106_751_992;

impl Cell {
    pub(crate) fn new(day: i64, scope: u32) -> Self {
        Self(day.clamp(-DAY_MAX, DAY_MAX) << 32 | i64::from(scope))
    }

    pub(crate) const fn day(self) -> i64 {
        self.0 >> 32
    }

    pub(crate) const fn scope(self) -> u32 {
        self.0 as u32
    }
}

/// The two kinds of roll-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellKind {
    /// [`waypost_rollup::DayRollup`], of every scope.
    Day,
    /// [`waypost_rollup::LinksRollup`], of accounts and domains.
    Links,
}

impl CellKind {
    const fn table(self) -> &'static str {
        match self {
            Self::Day => "click_days",
            Self::Links => "click_link_days",
        }
    }

    /// The name of a damaged one in errors.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Day => "click roll-up",
            Self::Links => "click roll-up of links",
        }
    }

    /// The error for one that cannot be read.
    pub(crate) fn corrupt(self, cell: Cell) -> ClicksError {
        let id = format!("of scope {} on day {}", cell.scope(), cell.day());
        SqlError::Corrupt { what: self.what(), id, reason: CorruptRollup.to_string() }.into()
    }
}

/// A stored roll-up.
#[derive(PartialEq, Eq)]
pub(crate) struct Stored<'r> {
    pub(crate) cell: Cell,
    pub(crate) rollup: &'r [u8],
}

pub(crate) fn read_stored(row: &AnyRow) -> Result<Stored<'_>, ClicksError> {
    let columns = Columns::new(row, "click roll-up");
    Ok(Stored { cell: Cell(columns.get("cell")?), rollup: columns.get("rollup")? })
}

impl ReadTx {
    /// The stored roll-ups among these cells, in their order.
    pub(crate) async fn read_cells(&mut self, kind: CellKind, cells: &[Cell]) -> Result<Vec<AnyRow>, ClicksError> {
        let mut sql = format!("SELECT cell, rollup FROM {} WHERE cell IN ", kind.table());
        self.engine().put_placeholders(&mut sql, 1, cells.len());
        sql.push_str(" ORDER BY cell");
        let statement = cells.iter().fold(Statement::new(sql), |statement, cell| statement.bind(cell.0));
        self.fetch_all(statement).await
    }

    /// The roll-ups of a scope in a range of days, in any order. Steps from day to day on which anything was counted at all.
    pub(crate) async fn read_days(
        &mut self,
        kind: CellKind,
        scope: u32,
        days: (i64, i64),
    ) -> Result<Vec<AnyRow>, ClicksError> {
        let table = kind.table();
        let statement = Statement::new(format!(
            "WITH RECURSIVE days (day) AS (
               SELECT (SELECT min(cell) FROM {table} WHERE cell >= $1) >> 32
               UNION ALL
               SELECT (SELECT min(cell) FROM {table} WHERE cell >= (days.day + 1) * 4294967296) >> 32
               FROM days WHERE days.day < $2)
             SELECT c.cell, c.rollup FROM days CROSS JOIN {table} AS c
             WHERE c.cell = days.day * 4294967296 + $3 AND days.day <= $2"
        ));
        let first = Cell::new(days.0, 0).0;
        let last = days.1.clamp(-DAY_MAX, DAY_MAX);
        self.fetch_all(statement.bind(first).bind(last).bind(i64::from(scope))).await
    }

    /// The cells of a scope in a range of days whose roll-ups were found damaged and set aside.
    pub(crate) async fn damaged_cells(
        &mut self,
        kind: CellKind,
        scope: u32,
        days: (i64, i64),
    ) -> Result<Vec<Cell>, ClicksError> {
        let statement = Statement::new("SELECT cell FROM click_damage WHERE kind = $1 ORDER BY cell");
        let rows = self.fetch_all(statement.bind(kind.table())).await?;
        let cells = rows.iter().map(|row| Columns::new(row, "damaged roll-up").get("cell").map(Cell));
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        let is_asked = |cell: &Cell| cell.scope() == scope && (days.0..=days.1).contains(&cell.day());
        Ok(cells.into_iter().filter(is_asked).collect())
    }
}

impl Tx {
    /// Changes cells, which come in order: `merge` makes of a change and the stored roll-up what is to be stored. A stored one
    /// that is damaged is set aside, so that counting goes on; reports of its scope and day say so.
    pub(crate) async fn merge_cells<C: Sync>(
        &mut self,
        kind: CellKind,
        changes: &[(Cell, C)],
        mut merge: impl FnMut(&C, Option<&[u8]>) -> Result<Vec<u8>, CorruptRollup>,
    ) -> Result<(), ClicksError> {
        for chunk in chunks(changes) {
            let cells: Vec<Cell> = chunk.iter().map(|(cell, _)| *cell).collect();
            let rows = self.read_cells(kind, &cells).await?;
            let mut stored = rows.iter().map(read_stored).peekable();
            let mut merged = Vec::with_capacity(chunk.len());
            let mut damaged = Vec::new();
            for (cell, change) in chunk {
                let here = stored.next_if(|next| next.as_ref().map_or(true, |next| next.cell == *cell)).transpose()?;
                let rollup = merge(change, here.as_ref().map(|here| here.rollup)).or_else(|CorruptRollup| {
                    damaged.extend(here.as_ref().map(|here| (*cell, here.rollup.to_vec())));
                    merge(change, None)
                });
                merged.push((*cell, rollup.map_err(|CorruptRollup| kind.corrupt(*cell))?));
            }
            self.set_aside(kind, &damaged).await?;
            self.put_cells(kind, merged).await?;
        }
        Ok(())
    }

    pub(crate) async fn put_cells(&mut self, kind: CellKind, rows: Vec<(Cell, Vec<u8>)>) -> Result<(), ClicksError> {
        if kind == CellKind::Day {
            self.forget_months(rows.iter().map(|(cell, _)| *cell)).await?;
            self.forget_totals(rows.iter().map(|(cell, _)| *cell)).await?;
        }
        let mut sql = format!("INSERT INTO {} (cell, rollup) VALUES ", kind.table());
        self.engine().put_placeholders(&mut sql, rows.len(), 2);
        sql.push_str(" ON CONFLICT (cell) DO UPDATE SET rollup = excluded.rollup");
        let statement =
            rows.into_iter().fold(Statement::new(sql), |statement, (cell, rollup)| statement.bind(cell.0).bind(rollup));
        self.execute(statement).await.map(drop)
    }

    pub(crate) async fn delete_cell(&mut self, kind: CellKind, cell: Cell) -> Result<(), ClicksError> {
        if kind == CellKind::Day {
            self.forget_months(std::iter::once(cell)).await?;
            self.forget_totals(std::iter::once(cell)).await?;
        }
        let statement = Statement::new(format!("DELETE FROM {} WHERE cell = $1", kind.table()));
        self.execute(statement.bind(cell.0)).await.map(drop)
    }

    async fn set_aside(&mut self, kind: CellKind, damaged: &[(Cell, Vec<u8>)]) -> Result<(), ClicksError> {
        for (cell, rollup) in damaged {
            tracing::error!(
                click.scope = cell.scope(),
                click.day = cell.day(),
                "a damaged {} was set aside in click_damage",
                kind.what()
            );
            let statement = Statement::new(
                "INSERT INTO click_damage (kind, cell, found_at, rollup) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            );
            let statement = statement.bind(kind.table()).bind(cell.0).bind(self.now().as_micros());
            self.execute(statement.bind(rollup.as_slice())).await?;
        }
        Ok(())
    }
}
