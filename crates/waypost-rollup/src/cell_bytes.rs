//! Clicks by row and hour as bytes, in a format that can be summed in one pass without branches.
//!
//! Rows are combinations or links, numbered from 0; each has at least one cell. A cell is a byte: the two low bits of
//! its clicks, four times the hour, and 128 at a row's last. The higher bits of clicks are apart, for those few cells
//! that have any: the distance from the row of the one before, the hour, and the clicks without the two low bits. Hour
//! 31 with 1 click says that a row has no clicks.
//!
//! Both lists are sized. In the roll-up of a month a day stands in place of the hour: from 0 to 30.

use crate::CorruptRollup;
use crate::wire::{Reader, push_sized, push_varint, require, varint_at};

/// Marks the last of several bytes.
pub(crate) const LAST: u8 = 0x80;
/// The hour of a row that has no clicks.
const NO_HOUR: u8 = 31;
const LOW_BITS: u32 = 2;
const LOW_MASK: u8 = (1 << LOW_BITS) - 1;
/// Higher bits are no larger than this.
const HIGH_MAX: u64 = (u32::MAX >> LOW_BITS) as u64;

/// The clicks of a row in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowCell {
    pub(crate) row: u32,
    pub(crate) hour: u8,
    pub(crate) count: u32,
}

/// Writes cells, which are in the order of rows and hours, of so many rows.
pub(crate) fn push_cells(out: &mut Vec<u8>, rows: u32, cells: impl Iterator<Item = RowCell>) {
    let (mut low, mut high) = (Vec::with_capacity(cells.size_hint().0), Vec::new());
    let mut cells = cells.peekable();
    let mut high_row = 0;
    for row in 0..rows {
        let start = low.len();
        while let Some(cell) = cells.next_if(|cell| cell.row == row) {
            low.push(cell.hour << LOW_BITS | cell.count as u8 & LOW_MASK);
            if cell.count >> LOW_BITS > 0 {
                push_varint(&mut high, (row - high_row).into());
                high.push(cell.hour);
                push_varint(&mut high, (cell.count >> LOW_BITS).into());
                high_row = row;
            }
        }
        if low.len() == start {
            low.push(NO_HOUR << LOW_BITS | 1);
        }
        low.last_mut().into_iter().for_each(|last| *last |= LAST);
    }
    push_sized(out, &low);
    push_sized(out, &high);
}

/// Cells as they lie.
#[derive(Clone, Copy)]
pub(crate) struct CellsView<'a> {
    low: &'a [u8],
    high: &'a [u8],
}

impl<'a> CellsView<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, CorruptRollup> {
        Ok(Self { low: reader.sized()?.rest(), high: reader.sized()?.rest() })
    }

    /// Gives row, hour (below 32) and clicks of every cell, of some in two parts. The sum of all is below 2^64. That
    /// rows are no more than there are is for `add` to check.
    #[inline]
    pub(crate) fn each(
        self,
        mut add: impl FnMut(usize, usize, u64) -> Result<(), CorruptRollup>,
    ) -> Result<(), CorruptRollup> {
        let mut row = 0;
        for byte in self.low {
            add(row, usize::from(byte >> LOW_BITS & 31), (byte & LOW_MASK).into())?;
            row += usize::from(byte >> 7);
        }
        self.each_high(|row, hour, high| add(row, hour.into(), high << LOW_BITS))
    }

    fn each_high(self, mut add: impl FnMut(usize, u8, u64) -> Result<(), CorruptRollup>) -> Result<(), CorruptRollup> {
        let (mut at, mut row) = (0, 0_u64);
        while at < self.high.len() {
            row = row.saturating_add(varint_at(self.high, &mut at)?);
            let hour = *self.high.get(at).ok_or(CorruptRollup)?;
            at += 1;
            let high = varint_at(self.high, &mut at)?;
            require(hour < NO_HOUR && (1..=HIGH_MAX).contains(&high))?;
            add(row as usize, hour, high)?;
        }
        Ok(())
    }

    /// The cells of so many rows; everything is checked.
    pub(crate) fn decode(self, rows: usize) -> Result<Vec<RowCell>, CorruptRollup> {
        let mut cells: Vec<RowCell> = Vec::with_capacity(self.low.len());
        let (mut row, mut hour_min) = (0, 0);
        for byte in self.low {
            let (hour, count) = (byte >> LOW_BITS & 31, u32::from(byte & LOW_MASK));
            require((row as usize) < rows)?;
            if hour == NO_HOUR {
                require(hour_min == 0 && count == 1 && byte & LAST != 0)?;
            } else {
                require(hour < 24 && hour >= hour_min)?;
                cells.push(RowCell { row, hour, count });
            }
            hour_min = if byte & LAST == 0 { hour + 1 } else { 0 };
            row += u32::from(byte >> 7);
        }
        require(row as usize == rows && hour_min == 0)?;
        let mut next = 0;
        self.each_high(|row, hour, high| {
            let before = cells[next..].iter().take_while(|cell| (cell.row as usize, cell.hour) < (row, hour)).count();
            let cell = cells.get_mut(next + before).ok_or(CorruptRollup)?;
            require((cell.row as usize, cell.hour) == (row, hour))?;
            cell.count += (high as u32) << LOW_BITS;
            next += before + 1;
            Ok(())
        })?;
        require(cells.iter().all(|cell| cell.count > 0))?;
        Ok(cells)
    }
}
