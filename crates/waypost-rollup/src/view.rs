//! Views of stored bytes, without decoding them: reports read these, and decoding starts from them. The format is in
//! `day_format`.

use crate::CorruptRollup;
use crate::cell_bytes::CellsView;
use crate::day_format::{FORMAT_DAY, KEY_BYTES, width};
use crate::sample::{ALL, SEEN_MAX, VISITORS_MAX};
use crate::schema::{MAIN, Origin, PARTS, SOURCES, Schema, TEXTS};
use crate::wire::{Reader, open, require};
use crate::words::{COMBINATIONS_MAX, append_code};

/// A day's roll-up, whose parts have not been read yet.
pub(crate) struct DayView<'a> {
    pub(crate) main: Reader<'a>,
    pub(crate) sources: Reader<'a>,
    pub(crate) visitors: Reader<'a>,
}

/// A family of it.
pub(crate) struct FamilyView<'a> {
    pub(crate) texts: [Vec<&'a str>; TEXTS],
    pub(crate) rows: [Vec<u128>; PARTS],
    /// How many combinations there are.
    pub(crate) tuples: usize,
    /// How many of them each row of the first part is in.
    pub(crate) runs: Vec<u32>,
    pub(crate) second: Column<'a>,
    pub(crate) third: Column<'a>,
    pub(crate) cells: CellsView<'a>,
}

/// The sample of visitors.
pub(crate) struct VisitorsView<'a> {
    pub(crate) threshold: u64,
    pub(crate) visitors: usize,
    pub(crate) keys: &'a [u8],
    pub(crate) hours: &'a [u8],
    pub(crate) main: Column<'a>,
    pub(crate) sources: Column<'a>,
}

/// Numbers, all of the same width.
#[derive(Clone, Copy)]
pub(crate) enum Column<'a> {
    Zeros(usize),
    Bytes(&'a [u8]),
    Pairs(&'a [[u8; 2]]),
}

impl<'a> Column<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, entries: usize, numbers: usize) -> Result<Self, CorruptRollup> {
        match width(numbers) {
            0 => Ok(Self::Zeros(entries)),
            1 => Ok(Self::Bytes(reader.take(entries)?)),
            _ => Ok(Self::Pairs(reader.take(entries * 2)?.as_chunks().0)),
        }
    }

    pub(crate) fn to_vec(self) -> Vec<u32> {
        match self {
            Self::Zeros(entries) => vec![0; entries],
            Self::Bytes(bytes) => bytes.iter().map(|byte| u32::from(*byte)).collect(),
            Self::Pairs(pairs) => pairs.iter().map(|pair| u16::from_le_bytes(*pair).into()).collect(),
        }
    }
}

impl<'a> DayView<'a> {
    pub(crate) fn new(block: &'a [u8]) -> Result<Self, CorruptRollup> {
        let mut reader = open(FORMAT_DAY, block)?;
        Ok(Self { main: reader.sized()?, sources: reader.sized()?, visitors: reader })
    }

    pub(crate) fn main(&self) -> Result<FamilyView<'a>, CorruptRollup> {
        FamilyView::new(self.main, &MAIN)
    }

    pub(crate) fn sources(&self) -> Result<FamilyView<'a>, CorruptRollup> {
        FamilyView::new(self.sources, &SOURCES)
    }
}

impl<'a> FamilyView<'a> {
    pub(crate) fn new(mut reader: Reader<'a>, schema: &'static Schema) -> Result<Self, CorruptRollup> {
        let texts = read_texts(&mut reader)?;
        let mut rows: [Vec<u128>; PARTS] = Default::default();
        for (rows, fields) in rows.iter_mut().zip(&schema.parts) {
            let count = reader.count(COMBINATIONS_MAX)?;
            rows.reserve_exact(count);
            for _ in 0..count {
                rows.push(read_row(&mut reader, fields, &texts)?);
            }
            require(rows.is_sorted_by(|one, other| one < other))?;
        }
        let tuples = reader.count(COMBINATIONS_MAX)?;
        let runs = read_runs(&mut reader, rows[0].len(), tuples)?;
        let second = Column::read(&mut reader, tuples, rows[1].len())?;
        let third = Column::read(&mut reader, tuples, rows[2].len())?;
        require(rows.iter().all(|rows| rows.is_empty() == (tuples == 0)))?;
        let cells = CellsView::read(&mut reader)?;
        reader.end()?;
        Ok(Self { texts, rows, tuples, runs, second, third, cells })
    }
}

fn read_texts<'a>(reader: &mut Reader<'a>) -> Result<[Vec<&'a str>; TEXTS], CorruptRollup> {
    let mut texts: [Vec<&str>; TEXTS] = Default::default();
    let [which] = *reader.take(1)? else { return Err(CorruptRollup) };
    require(which < 1 << TEXTS)?;
    for (place, texts) in texts.iter_mut().enumerate() {
        if which & 1 << place == 0 {
            continue;
        }
        let count = reader.count(COMBINATIONS_MAX)?;
        let mut before = "";
        for _ in 0..count {
            let text = str::from_utf8(reader.sized()?.rest()).map_err(|_| CorruptRollup)?;
            require(text > before)?;
            texts.push(text);
            before = text;
        }
        require(count > 0)?;
    }
    Ok(texts)
}

fn read_row(
    reader: &mut Reader<'_>,
    fields: &[(crate::Dimension, Origin)],
    texts: &[Vec<&str>; TEXTS],
) -> Result<u128, CorruptRollup> {
    let mut row = 0;
    for (_, origin) in fields {
        let max = match origin {
            Origin::Text(place) => texts[*place].len(),
            Origin::Plain(plain) => plain.names().len() - 1,
        };
        let code = if max == 0 { 0 } else { reader.count(max)? };
        row = append_code(row, code as u32);
    }
    Ok(row)
}

fn read_runs(reader: &mut Reader<'_>, rows: usize, tuples: usize) -> Result<Vec<u32>, CorruptRollup> {
    if rows <= 1 {
        return Ok(vec![tuples as u32; rows]);
    }
    let mut runs = Vec::with_capacity(rows);
    let mut left = tuples;
    for _ in 0..rows {
        let run = reader.count(left)?;
        require(run > 0)?;
        left -= run;
        runs.push(run as u32);
    }
    require(left == 0)?;
    Ok(runs)
}

impl<'a> VisitorsView<'a> {
    /// Reads it; the numbers are how many combinations the main and the sources family have.
    pub(crate) fn new(reader: Reader<'a>, tuples: [usize; 2]) -> Result<Self, CorruptRollup> {
        let (mut view, mut reader) = Self::head(reader)?;
        view.main = Column::read(&mut reader, view.hours.len(), tuples[0])?;
        view.sources = Column::read(&mut reader, view.hours.len(), tuples[1])?;
        reader.end()?;
        Ok(view)
    }

    /// Reads it with the combinations of one family only, which has so many of them.
    pub(crate) fn of_family(reader: Reader<'a>, is_main: bool, tuples: usize) -> Result<Self, CorruptRollup> {
        let (mut view, mut reader) = Self::head(reader)?;
        let seen = view.hours.len();
        if is_main {
            view.main = Column::read(&mut reader, seen, tuples)?;
        } else {
            let main = reader.rest().len().checked_sub(seen * width(tuples)).ok_or(CorruptRollup)?;
            reader.take(main)?;
            view.sources = Column::read(&mut reader, seen, tuples)?;
        }
        Ok(view)
    }

    fn head(mut reader: Reader<'a>) -> Result<(Self, Reader<'a>), CorruptRollup> {
        let head = reader.count(VISITORS_MAX * 2 + 1)?;
        let visitors = head >> 1;
        let threshold = if head & 1 == 0 { ALL } else { key_of(reader.take(KEY_BYTES)?) };
        require(threshold > 0)?;
        let keys = reader.take(visitors * KEY_BYTES)?;
        let seen = if visitors == 0 { 0 } else { reader.count(VISITORS_MAX * SEEN_MAX)? };
        let hours = reader.take(seen)?;
        Ok((Self { threshold, visitors, keys, hours, main: Column::Zeros(0), sources: Column::Zeros(0) }, reader))
    }
}

/// A key of six bytes.
pub(crate) fn key_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |key, byte| key << 8 | u64::from(*byte))
}
