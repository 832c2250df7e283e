//! Erasure: clicks that must be known to nobody any more leave the raw clicks and every roll-up.
//!
//! What a link added to its account and domain is known from its own roll-ups, also where its raw clicks are gone. What a
//! visitor added is known from the raw clicks only.

use hashbrown::{HashMap, HashSet};
use waypost_core::id::{AccountId, LinkId};
use waypost_rollup::{CorruptRollup, DayRollup, LinksRollup};
use waypost_sql::{Columns, Statement};

use crate::blocks::{BlockRow, NewBlock, read_block_row};
use crate::cells::{Cell, CellKind, DAY_MAX, read_stored};
use crate::error::ClicksError;
use crate::raw::{Block, BlockWriter, CorruptBlock, Unpacked};
use crate::store::ClickStore;
use crate::tx::Tx;

/// All days.
const EVER: (i64, i64) = (-DAY_MAX, DAY_MAX);
/// Blocks that are read with one statement.
const BLOCKS_AT_ONCE: i64 = 4;

/// What is taken back from the roll-ups.
#[derive(Default)]
struct Removed {
    days: HashMap<Cell, DayRollup>,
    links: HashMap<Cell, LinksRollup>,
}

impl ClickStore {
    /// Deletes everything that is known of a link's clicks: raw clicks and roll-ups, also what they added to the account's and the
    /// domain's. Gives how many raw clicks that were.
    ///
    /// A damaged block of raw clicks that may hold some is deleted as a whole.
    ///
    /// # Errors
    /// [`crate::SqlError::Corrupt`] where a roll-up is damaged, and where the database fails; nothing was deleted then.
    pub async fn erase_link(&self, account_id: &AccountId, link_id: &LinkId) -> Result<u64, ClicksError> {
        let mut tx = self.begin("erase_link").await?;
        let Some(account) = tx.account_scope(account_id).await? else { return Ok(0) };
        let scopes = tx.link_scopes(account, link_id).await?;
        for &(link, domain) in &scopes {
            tx.erase_link_rollups(link, [domain, account]).await?;
        }
        let links: HashSet<u32> = scopes.into_iter().map(|(link, _)| link).collect();
        if links.is_empty() {
            return Ok(0);
        }
        let may_hold = |block: &Unpacked| block.links().iter().any(|link| links.contains(link));
        let goes = |block: &Block<'_>, index| links.contains(&block.link(index));
        let erased = tx.erase_raw_clicks(account, may_hold, goes).await?;
        tx.commit().await?;
        self.database.settle_erasure().await?;
        Ok(erased)
    }

    /// Deletes the raw clicks of a visitor key and what they added to the roll-ups. Gives how many that were.
    ///
    /// A damaged block of raw clicks is deleted as a whole: it may hold some.
    ///
    /// # Errors
    /// [`crate::SqlError::Corrupt`] where a roll-up is damaged, and where the database fails; nothing was deleted then.
    pub async fn erase_visitor(&self, account_id: &AccountId, visitor: u64) -> Result<u64, ClicksError> {
        let mut tx = self.begin("erase_visitor").await?;
        let Some(account) = tx.account_scope(account_id).await? else { return Ok(0) };
        let mut clicks: HashMap<(i64, u32), (DayRollup, LinksRollup)> = HashMap::new();
        let goes = |block: &Block<'_>, index| {
            let is_theirs = block.visitor(index) == Some(visitor);
            if is_theirs {
                let (click, link) = (block.click(index), block.link(index));
                let day = waypost_core::visitor::day_of(block.micros(index));
                let (of_link, links) = clicks.entry((day, link)).or_default();
                of_link.add(&click);
                links.add(link, &click);
            }
            is_theirs
        };
        let erased = tx.erase_raw_clicks(account, |_| true, goes).await?;
        let numbers: Vec<u32> = clicks.keys().map(|(_, link)| *link).collect();
        let domains = tx.domains_of_links(&numbers).await?;
        let mut removed = Removed::default();
        for ((day, link), (of_link, links)) in clicks {
            let domain = domains.get(&link).copied();
            for scope in [domain, Some(account)].into_iter().flatten() {
                let cell = Cell::new(day, scope);
                removed.days.entry(cell).or_default().merge(&of_link);
                removed.links.entry(cell).or_default().merge(&links);
            }
            removed.days.insert(Cell::new(day, link), of_link);
        }
        tx.take_back(removed).await?;
        tx.commit().await?;
        self.database.settle_erasure().await?;
        Ok(erased)
    }
}

impl Tx {
    /// Takes a link's roll-ups back from the scopes that it lies in, and deletes them.
    async fn erase_link_rollups(&mut self, link: u32, above: [u32; 2]) -> Result<(), ClicksError> {
        for row in self.read_days(CellKind::Day, link, EVER).await? {
            let stored = read_stored(&row)?;
            let day = stored.cell.day();
            let of_link = DayRollup::decode(stored.rollup).map_err(|_| CellKind::Day.corrupt(stored.cell))?;
            let mut removed = Removed::default();
            for scope in above {
                removed.days.insert(Cell::new(day, scope), of_link.clone());
            }
            self.take_back(removed).await?;
            for scope in above {
                let take_out = |rollup: &mut LinksRollup| rollup.remove(link);
                self.change_links(Cell::new(day, scope), take_out).await?;
            }
            self.delete_cell(CellKind::Day, stored.cell).await?;
        }
        Ok(())
    }

    async fn take_back(&mut self, removed: Removed) -> Result<(), ClicksError> {
        for (cell, taken) in removed.days {
            let rows = self.read_cells(CellKind::Day, &[cell]).await?;
            let Some(row) = rows.first() else { continue };
            let corrupt = |CorruptRollup| CellKind::Day.corrupt(cell);
            let mut rollup = DayRollup::decode(read_stored(row)?.rollup).map_err(corrupt)?;
            rollup.subtract(&taken);
            match rollup.clicks() {
                0 => self.delete_cell(CellKind::Day, cell).await?,
                _ => self.put_cells(CellKind::Day, vec![(cell, rollup.encode())]).await?,
            }
        }
        for (cell, taken) in removed.links {
            self.change_links(cell, |rollup| rollup.subtract(&taken)).await?;
        }
        Ok(())
    }

    async fn change_links(&mut self, cell: Cell, change: impl FnOnce(&mut LinksRollup)) -> Result<(), ClicksError> {
        let rows = self.read_cells(CellKind::Links, &[cell]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let corrupt = |CorruptRollup| CellKind::Links.corrupt(cell);
        let mut rollup = LinksRollup::decode(read_stored(row)?.rollup).map_err(corrupt)?;
        change(&mut rollup);
        self.put_cells(CellKind::Links, vec![(cell, rollup.encode())]).await
    }

    /// Takes clicks out of an account's blocks: those of which `goes` holds, in blocks of which `may_hold` does.
    async fn erase_raw_clicks(
        &mut self,
        account: u32,
        may_hold: impl Fn(&Unpacked) -> bool,
        mut goes: impl FnMut(&Block<'_>, usize) -> bool,
    ) -> Result<u64, ClicksError> {
        let mut erased = 0;
        let mut place = (i64::MIN, -1);
        loop {
            let statement = Statement::new(
                "SELECT day, ordinal, next_ordinal, clicks, stored_day, body FROM click_blocks
                 WHERE account = $1 AND (day, ordinal) > ($2, $3) AND clicks > 0 ORDER BY day, ordinal LIMIT $4",
            );
            let statement = statement.bind(i64::from(account)).bind(place.0).bind(place.1).bind(BLOCKS_AT_ONCE);
            let rows = self.fetch_all(statement).await?;
            if rows.is_empty() {
                return Ok(erased);
            }
            for row in &rows {
                let columns = Columns::new(row, "block of clicks");
                let block = read_block_row(row)?;
                // What is left of a block begins behind its first click, maybe, but ends where it did.
                place = (block.day, block.next_ordinal - 1);
                let left = match without(columns.get("body")?, &block, &may_hold, &mut goes) {
                    Ok(None) => continue,
                    Ok(Some(writer)) => writer,
                    Err(CorruptBlock) => {
                        let (day, ordinal) = (block.day, block.ordinal);
                        tracing::error!(
                            click.day = day,
                            click.ordinal = ordinal,
                            "a damaged block is erased as a whole"
                        );
                        BlockWriter::default()
                    }
                };
                erased += block.clicks.unsigned_abs() - left.clicks() as u64;
                self.replace_block(account, block, columns.get("stored_day")?, left).await?;
            }
        }
    }

    /// Puts what is left of a block in its place; an empty row where nothing is, so that no ordinal is given twice.
    async fn replace_block(
        &mut self,
        account: u32,
        block: BlockRow,
        stored_day: i64,
        mut left: BlockWriter,
    ) -> Result<(), ClicksError> {
        let key = (account, block.day);
        self.delete_block(key, block.ordinal).await?;
        let left = left.finish();
        let ordinal = left.as_ref().map_or(block.ordinal, |left| left.first_ordinal.cast_signed());
        let new = NewBlock { ordinal, next_ordinal: block.next_ordinal, stored_day };
        self.put_block(key, new, left.as_ref(), &|link| link).await
    }
}

/// What is left of a block; `None` where all of it is.
fn without(
    body: &[u8],
    row: &BlockRow,
    may_hold: impl Fn(&Unpacked) -> bool,
    goes: &mut impl FnMut(&Block<'_>, usize) -> bool,
) -> Result<Option<BlockWriter>, CorruptBlock> {
    let unpacked = Unpacked::new(body)?;
    if !may_hold(&unpacked) {
        return Ok(None);
    }
    let block = unpacked.read()?;
    let stays: Vec<bool> = (0..block.clicks()).map(|index| !goes(&block, index)).collect();
    if stays.iter().all(|stays| *stays) {
        return Ok(None);
    }
    let mut writer = BlockWriter::default();
    for index in (0..block.clicks()).filter(|&index| stays[index]) {
        let ordinal = row.ordinal.cast_unsigned() + block.ordinal(index);
        writer.push_with_ordinal(block.link(index), &block.click(index), ordinal);
    }
    Ok(Some(writer))
}
