//! Raw clicks as rows: a block of each account and day after the other. Every click has an ordinal among those of its account
//! and day that it keeps for ever, so a reader who remembers one reads on behind it whatever was added, put together or
//! erased meanwhile.

use sqlx::any::AnyRow;
use waypost_sql::{Columns, Statement};

use crate::error::ClicksError;
use crate::raw::{BLOCK_CLICKS_MAX, BlockWriter, FinishedBlock, Unpacked};
use crate::tx::Tx;

/// How many of the last blocks of an account and day are looked at when clicks are appended. They at least halve from one to
/// the next, so there are no more that are not full.
const TAIL_BLOCKS: i64 = 16;

/// A block's row, but for its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRow {
    pub(crate) day: i64,
    /// Of its first click.
    pub(crate) ordinal: i64,
    /// The first that is not its own.
    pub(crate) next_ordinal: i64,
    pub(crate) clicks: i64,
}

/// Where a block goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewBlock {
    pub(crate) ordinal: i64,
    pub(crate) next_ordinal: i64,
    /// The day (since 1970) on which its clicks were stored.
    pub(crate) stored_day: i64,
}

pub(crate) fn read_block_row(row: &AnyRow) -> Result<BlockRow, ClicksError> {
    let columns = Columns::new(row, "block of clicks");
    Ok(BlockRow {
        day: columns.get("day")?,
        ordinal: columns.get("ordinal")?,
        next_ordinal: columns.get("next_ordinal")?,
        clicks: columns.get("clicks")?,
    })
}

impl Tx {
    /// Appends blocks whose clicks count from ordinal 0 each. Small ones are put together with the last that are there, so that
    /// many small batches leave few rows and a click is written again only a few times.
    pub(crate) async fn append_blocks(
        &mut self,
        key: (u32, i64),
        blocks: &[FinishedBlock],
        number: impl Fn(u32) -> u32,
    ) -> Result<(), ClicksError> {
        let statement = Statement::new(
            "SELECT day, ordinal, next_ordinal, clicks FROM click_blocks WHERE account = $1 AND day = $2
             ORDER BY ordinal DESC LIMIT $3",
        );
        let rows = self.fetch_all(statement.bind(i64::from(key.0)).bind(key.1).bind(TAIL_BLOCKS)).await?;
        let tail = rows.iter().map(read_block_row).collect::<Result<Vec<_>, _>>()?;
        let mut ordinal = tail.first().map_or(0, |last| last.next_ordinal);
        if let [block] = blocks {
            let ordinals = mergeable(&tail, i64::from(block.clicks));
            if ordinals > 0 && self.append_merged(key, &tail[..ordinals], block, &number).await? {
                return Ok(());
            }
        }
        for block in blocks {
            let next_ordinal = ordinal + i64::from(block.clicks);
            let new = NewBlock { ordinal, next_ordinal, stored_day: self.today() };
            self.put_block(key, new, Some(block), &number).await?;
            ordinal = next_ordinal;
        }
        Ok(())
    }

    /// Puts a block together with the last ones of the day (latest first). `false` where these cannot be read, or say too many
    /// different things.
    async fn append_merged(
        &mut self,
        key: (u32, i64),
        tail: &[BlockRow],
        block: &FinishedBlock,
        number: &impl Fn(u32) -> u32,
    ) -> Result<bool, ClicksError> {
        let [Some(newest), Some(oldest)] = [tail.first(), tail.last()] else { return Ok(false) };
        let statement = Statement::new(
            "SELECT ordinal, body FROM click_blocks
             WHERE account = $1 AND day = $2 AND ordinal >= $3 AND clicks > 0 ORDER BY ordinal",
        );
        let rows = self.fetch_all(statement.bind(i64::from(key.0)).bind(key.1).bind(oldest.ordinal)).await?;
        let mut writer = BlockWriter::default();
        for row in &rows {
            let columns = Columns::new(row, "block of clicks");
            let first = columns.get::<i64>("ordinal")?;
            let added = Unpacked::new(columns.get("body")?).and_then(|block| add_all(&mut writer, &block, first));
            if added.is_err() {
                return Ok(false);
            }
        }
        let added = Unpacked::new(&block.encode(number));
        if added.and_then(|block| add_all(&mut writer, &block, newest.next_ordinal)).is_err() {
            return Ok(false);
        }
        if writer.has_full_dictionaries() {
            return Ok(false);
        }
        let Some(merged) = writer.finish() else { return Ok(false) };
        let delete = Statement::new("DELETE FROM click_blocks WHERE account = $1 AND day = $2 AND ordinal >= $3");
        self.execute(delete.bind(i64::from(key.0)).bind(key.1).bind(oldest.ordinal)).await?;
        let next_ordinal = newest.next_ordinal + i64::from(block.clicks);
        let new = NewBlock { ordinal: merged.first_ordinal.cast_signed(), next_ordinal, stored_day: self.today() };
        self.put_block(key, new, Some(&merged), &|link| link).await?;
        Ok(true)
    }

    /// Inserts a block; a row without clicks where there is none.
    pub(crate) async fn put_block(
        &mut self,
        key: (u32, i64),
        new: NewBlock,
        block: Option<&FinishedBlock>,
        number: &impl Fn(u32) -> u32,
    ) -> Result<(), ClicksError> {
        let statement = Statement::new(
            "INSERT INTO click_blocks (account, day, ordinal, next_ordinal, clicks, first_at, last_at, stored_day, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        );
        let (first_at, last_at) = block.map_or((0, 0), |block| block.times);
        let statement = statement
            .bind(i64::from(key.0))
            .bind(key.1)
            .bind(new.ordinal)
            .bind(new.next_ordinal)
            .bind(block.map_or(0, |block| i64::from(block.clicks)))
            .bind(first_at)
            .bind(last_at)
            .bind(new.stored_day)
            .bind(block.map_or(Vec::new(), |block| block.encode(number)));
        self.execute(statement).await.map(drop)
    }

    pub(crate) async fn delete_block(&mut self, key: (u32, i64), ordinal: i64) -> Result<(), ClicksError> {
        let statement = Statement::new("DELETE FROM click_blocks WHERE account = $1 AND day = $2 AND ordinal = $3");
        self.execute(statement.bind(i64::from(key.0)).bind(key.1).bind(ordinal)).await.map(drop)
    }
}

/// How many of the last blocks (latest first) are put together with so many new clicks: those that are not much larger than
/// all that comes after them.
fn mergeable(tail: &[BlockRow], clicks: i64) -> usize {
    let mut together = clicks;
    let fits = |row: &&BlockRow| {
        let fits = row.clicks <= 2 * together && together + row.clicks <= BLOCK_CLICKS_MAX as i64;
        together += row.clicks;
        fits
    };
    tail.iter().take_while(fits).count()
}

/// Adds a block's clicks, whose first has this ordinal.
fn add_all(writer: &mut BlockWriter, unpacked: &Unpacked, first: i64) -> Result<(), crate::raw::CorruptBlock> {
    let block = unpacked.read()?;
    for index in 0..block.clicks() {
        writer.push_with_ordinal(block.link(index), &block.click(index), first.cast_unsigned() + block.ordinal(index));
    }
    Ok(())
}
