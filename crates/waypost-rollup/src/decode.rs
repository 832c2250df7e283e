//! Decodes a day's roll-up. Everything is checked: what is read here has no other bytes than those it was read
//! from.

use crate::cell_bytes::LAST;
use crate::cells::{Cell, Cells};
use crate::day::Family;
use crate::day_format::KEY_BYTES;
use crate::sample::{ALL, SEEN_MAX, Sample, Seen, VISITORS_MAX};
use crate::schema::{MAIN, PARTS, SOURCES, Schema};
use crate::view::{DayView, FamilyView, VisitorsView, key_of};
use crate::wire::require;
use crate::words::{Rows, Texts, Words, pack};
use crate::{CorruptRollup, DayRollup};

impl DayRollup {
    /// Reads stored bytes.
    ///
    /// # Errors
    /// If they are no roll-up.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptRollup> {
        day(bytes)
    }
}

fn day(bytes: &[u8]) -> Result<DayRollup, CorruptRollup> {
    let view = DayView::new(bytes)?;
    let main = family(&view.main()?, &MAIN)?;
    let sources = family(&view.sources()?, &SOURCES)?;
    let tuples = [main.words.tuples.list().len(), sources.words.tuples.list().len()];
    let sample = sample(&VisitorsView::new(view.visitors, tuples)?, tuples)?;
    Ok(DayRollup { main, sources, sample })
}

fn family(view: &FamilyView<'_>, schema: &'static Schema) -> Result<Family, CorruptRollup> {
    let (tuples, cells) = (tuples(view)?, cells(view)?);
    let texts = view.texts.each_ref().map(|texts| Texts::from_sorted(texts));
    let parts = view.rows.each_ref().map(|rows| Rows::from_sorted(rows.clone()));
    let words = Words::from_sorted(schema, texts, parts, Rows::from_sorted(tuples));
    Ok(Family { words, cells: Cells::from_sorted(cells) })
}

/// The family's combinations, in order.
pub(crate) fn tuples(view: &FamilyView<'_>) -> Result<Vec<u64>, CorruptRollup> {
    let firsts = view.runs.iter().enumerate().flat_map(|(row, run)| std::iter::repeat_n(row, *run as usize));
    let rows = firsts.zip(view.second.to_vec()).zip(view.third.to_vec());
    let mut tuples = Vec::with_capacity(view.tuples);
    for ((first, second), third) in rows {
        require((second as usize) < view.rows[1].len() && (third as usize) < view.rows[2].len())?;
        let rows: [u32; PARTS] = [first as u32, second, third];
        tuples.push(pack(rows));
    }
    require(tuples.is_sorted_by(|one, other| one < other))?;
    Ok(tuples)
}

/// The family's cells, in order.
pub(crate) fn cells(view: &FamilyView<'_>) -> Result<Vec<Cell>, CorruptRollup> {
    let cells = view.cells.decode(view.tuples)?;
    Ok(cells.into_iter().map(|cell| Cell::new(cell.row, cell.hour, cell.count)).collect())
}

/// The sample of visitors; of each family so many combinations.
pub(crate) fn sample(view: &VisitorsView<'_>, tuples: [usize; 2]) -> Result<Sample, CorruptRollup> {
    let mut keys = view.keys.chunks_exact(KEY_BYTES).map(key_of);
    let mut list: Vec<Seen> = Vec::with_capacity(view.hours.len());
    let (mut key, mut of_visitor) = (None, 0);
    for ((byte, main), sources) in view.hours.iter().zip(view.main.to_vec()).zip(view.sources.to_vec()) {
        key = key.or_else(|| keys.next());
        let seen = Seen { key: key.ok_or(CorruptRollup)?, main, sources, hour: byte & !LAST };
        require(
            seen.hour < 24
                && (main as usize) < tuples[0]
                && (sources as usize) < tuples[1]
                && seen.key < view.threshold,
        )?;
        require(list.last().is_none_or(|before| *before < seen))?;
        list.push(seen);
        of_visitor += 1;
        require(of_visitor <= SEEN_MAX)?;
        if byte & LAST != 0 {
            (key, of_visitor) = (None, 0);
        }
    }
    require(key.is_none() && keys.next().is_none() && view.visitors <= VISITORS_MAX && view.threshold <= ALL)?;
    // A visitor's last is marked, and the next one has another key.
    let visitors = list.chunk_by(|one, other| one.key == other.key).count();
    require(visitors == view.visitors)?;
    Ok(Sample::from_sorted(list, view.threshold))
}
