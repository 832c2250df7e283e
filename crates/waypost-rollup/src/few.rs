//! Merging when there are few clicks on both sides: what they say is put in order once and written, without numbering
//! it first. Of a large batch on many links nearly all roll-ups are like this.
//!
//! The bytes are those that a [`crate::DayRollup`] would give. Whatever it has rules for (values beyond the limits,
//! visitors that are cut short) is left to it.

use crate::batch::ClickKey;
use crate::cells::Cell;
use crate::encode::{Order, day_in_order, rank_seen};
use crate::sample::{ALL, SEEN_MAX, Seen};
use crate::schema::{MAIN, PARTS, SOURCES, Said, Schema, TEXTS};
use crate::view::{DayView, FamilyView, VisitorsView};
use crate::words::{Codes, STORED, Words, codes_of, pack, rows_of, unpack};
use crate::{CorruptRollup, decode};

/// Up to this many clicks are few.
const CLICKS_MAX: usize = 64;
/// So many stored bytes are few: some thirty clicks that have little in common.
const STORED_BYTES_MAX: usize = 2_048;

/// What a family has on both sides.
struct Few<'a> {
    schema: &'static Schema,
    /// Combinations: first the stored ones, then those of the clicks, of which some may be the same.
    said: Vec<Said<'a>>,
    cells: Vec<Cell>,
    /// The clicks' combinations as the vocabulary numbers them, and their places in `said`.
    places: Vec<(u32, u32)>,
}

/// The bytes to store of these clicks and what is stored. The words are those that the clicks come from, of the main
/// and of the sources family. `None` if that takes a [`crate::DayRollup`].
pub(crate) fn merge(
    words: [&Words; 2],
    keys: &[ClickKey],
    stored: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, CorruptRollup> {
    if keys.len() > CLICKS_MAX || stored.is_some_and(|stored| stored.len() > STORED_BYTES_MAX) {
        return Ok(None);
    }
    let [mut main, mut sources] = [&MAIN, &SOURCES].map(|schema| Few::new(schema, keys.len()));
    let mut seen = Vec::new();
    if let Some(stored) = stored {
        let view = DayView::new(stored)?;
        main.add_stored(&view.main()?)?;
        sources.add_stored(&view.sources()?)?;
        let tuples = [main.said.len(), sources.said.len()];
        let sample = decode::sample(&VisitorsView::new(view.visitors, tuples)?, tuples)?;
        if sample.threshold() != ALL || !main.has_cells() || !sources.has_cells() {
            return Ok(None);
        }
        seen.extend_from_slice(sample.seen());
    }
    for key in keys {
        let (main, sources) = (main.add(words[0], key.main, key.hour), sources.add(words[1], key.sources, key.hour));
        seen.extend(key.visitor().map(|visitor| Seen { key: visitor, main, sources, hour: key.hour }));
    }
    let (Some(main_order), Some(sources_order)) = (main.order(), sources.order()) else { return Ok(None) };
    rank_seen(&mut seen, [&main_order, &sources_order]);
    let is_whole = seen.chunk_by(|one, other| one.key == other.key).all(|of_visitor| of_visitor.len() <= SEEN_MAX);
    let families = [(&main_order, &*main.cells), (&sources_order, &*sources.cells)];
    Ok(is_whole.then(|| day_in_order(families, &seen, ALL)))
}

impl<'a> Few<'a> {
    fn new(schema: &'static Schema, clicks: usize) -> Self {
        let (said, cells, places) =
            (Vec::with_capacity(clicks), Vec::with_capacity(clicks), Vec::with_capacity(clicks));
        Self { schema, said, cells, places }
    }

    fn add_stored(&mut self, view: &FamilyView<'a>) -> Result<(), CorruptRollup> {
        for tuple in decode::tuples(view)? {
            let rows = unpack(tuple);
            let codes = codes_of(self.schema, std::array::from_fn(|part| view.rows[part][rows[part] as usize]));
            let text = |place: usize| match codes.texts[place] {
                0 => "",
                code => view.texts[place][code as usize - 1],
            };
            self.said.push(Said { texts: std::array::from_fn(text), plain: codes.plain });
        }
        self.cells.extend(decode::cells(view)?);
        Ok(())
    }

    /// Whether every combination has a cell: else it may be dropped.
    fn has_cells(&self) -> bool {
        self.cells.chunk_by(|one, other| one.tuple() == other.tuple()).count() == self.said.len()
    }

    /// Adds a click; returns the place of its combination.
    fn add(&mut self, words: &'a Words, tuple: u32, hour: u8) -> u32 {
        let known = self.places.iter().find(|(known, _)| *known == tuple);
        let place = known.map_or(self.said.len() as u32, |(_, place)| *place);
        if known.is_none() {
            self.said.push(words.said(tuple));
            self.places.push((tuple, place));
        }
        self.cells.push(Cell::new(place, hour, 1));
        place
    }

    /// Sorts everything. `None` if there are too many strings.
    fn order(&self) -> Option<Order<'a>> {
        let mut codes: Vec<Codes> =
            self.said.iter().map(|said| Codes { plain: said.plain, ..Codes::default() }).collect();
        let mut texts: [Vec<&'a str>; TEXTS] = Default::default();
        for (place, texts) in texts.iter_mut().enumerate() {
            texts.extend(self.said.iter().map(|said| said.texts[place]).filter(|text| !text.is_empty()));
            texts.sort_unstable();
            texts.dedup();
            if texts.len() > STORED.values || texts.iter().map(|text| text.len()).sum::<usize>() > STORED.text_bytes {
                return None;
            }
            for (codes, said) in codes.iter_mut().zip(&self.said).filter(|_| !texts.is_empty()) {
                codes.texts[place] = texts.binary_search(&said.texts[place]).map_or(0, |before| before as u32 + 1);
            }
        }
        let mut rows: [Vec<u128>; PARTS] = Default::default();
        let mut tuples = vec![[0; PARTS]; codes.len()];
        let all: Vec<[u128; PARTS]> = codes.iter().map(|codes| rows_of(self.schema, codes)).collect();
        let mut ranks = vec![0; codes.len()];
        for (part, rows) in rows.iter_mut().enumerate() {
            *rows = rank(all.iter().map(|rows| rows[part]), &mut ranks);
            tuples.iter_mut().zip(&ranks).for_each(|(tuple, rank)| tuple[part] = *rank);
        }
        let tuples = rank(tuples.into_iter().map(pack), &mut ranks);
        Some(Order { schema: self.schema, texts, rows, tuples, tuple_ranks: ranks })
    }
}

/// What is distinct, in order, and the place of each in it.
fn rank<K: Copy + Ord>(list: impl Iterator<Item = K>, ranks: &mut [u32]) -> Vec<K> {
    let mut order: Vec<(K, u32)> = list.zip(0..).collect();
    order.sort_unstable();
    let mut distinct: Vec<K> = Vec::with_capacity(order.len());
    for (key, place) in order {
        if distinct.last() != Some(&key) {
            distinct.push(key);
        }
        ranks[place as usize] = distinct.len() as u32 - 1;
    }
    distinct
}
