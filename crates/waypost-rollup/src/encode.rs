//! Encodes a day's roll-up. The format is in `day_format`.

use crate::DayRollup;
use crate::cell_bytes::{LAST, RowCell, push_cells};
use crate::cells::{Cell, sort_and_sum};
use crate::day::Family;
use crate::day_format::{FORMAT_DAY, KEY_BYTES, width};
use crate::sample::{ALL, Seen, sort_and_cut};
use crate::schema::{Origin, PARTS, Schema, TEXTS};
use crate::wire::{begin, push_sized, push_varint, seal};
use crate::words::{Rows, Texts, Words, code_at, pack, pack_row, unpack};

/// Of a number that is not used.
const UNUSED: u32 = u32::MAX;

impl DayRollup {
    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        day(self)
    }
}

fn day(rollup: &DayRollup) -> Vec<u8> {
    let mut seen = rollup.sample.seen().to_vec();
    let threshold = sort_and_cut(&mut seen, rollup.sample.threshold());
    let main = Order::new(&rollup.main, seen.iter().map(|seen| seen.main));
    let sources = Order::new(&rollup.sources, seen.iter().map(|seen| seen.sources));
    rank_seen(&mut seen, [&main, &sources]);
    day_in_order([(&main, rollup.main.cells.list()), (&sources, rollup.sources.cells.list())], &seen, threshold)
}

/// Gives what was seen the places of its combinations, and puts it in order.
pub(crate) fn rank_seen(seen: &mut Vec<Seen>, [main, sources]: [&Order<'_>; 2]) {
    for seen in &mut *seen {
        seen.main = main.tuple_ranks[seen.main as usize];
        seen.sources = sources.tuple_ranks[seen.sources as usize];
    }
    seen.sort();
    seen.dedup();
}

/// A day's roll-up of the two families, each with its cells, and of what was seen, ranked and within its limits.
pub(crate) fn day_in_order(families: [(&Order<'_>, &[Cell]); 2], seen: &[Seen], threshold: u64) -> Vec<u8> {
    let mut out = begin(FORMAT_DAY);
    let mut part = Vec::with_capacity(128);
    for (order, cells) in families {
        part.clear();
        push_family(&mut part, order, cells);
        push_sized(&mut out, &part);
    }
    push_visitors(&mut out, seen, threshold, families.map(|(order, _)| order.tuples.len()));
    seal(out)
}

/// The roll-up of one click: the same bytes as by way of a [`DayRollup`], at a tenth of the cost. Of a large batch on
/// many links most roll-ups are of one click.
pub(crate) fn one_click(families: [(&Words, u32); 2], hour: u8, visitor: Option<u64>) -> Vec<u8> {
    let mut out = begin(FORMAT_DAY);
    let mut part = Vec::with_capacity(128);
    for (words, tuple) in families {
        part.clear();
        push_one_combination(&mut part, words, tuple, hour);
        push_sized(&mut out, &part);
    }
    let Some(visitor) = visitor else {
        out.push(0);
        return seal(out);
    };
    out.push(1 << 1);
    out.extend_from_slice(&visitor.to_le_bytes()[..KEY_BYTES]);
    out.extend_from_slice(&[1, hour | LAST]);
    seal(out)
}

/// A family of one click.
fn push_one_combination(out: &mut Vec<u8>, words: &Words, tuple: u32, hour: u8) {
    let codes = words.codes(tuple);
    out.push(codes.texts.iter().enumerate().map(|(place, code)| u8::from(*code > 0) << place).sum());
    for (texts, code) in words.texts.iter().zip(codes.texts).filter(|(_, code)| *code > 0) {
        out.push(1);
        push_sized(out, texts.get(code).as_bytes());
    }
    for fields in words.schema.parts {
        out.push(1);
        for (_, origin) in fields {
            match origin {
                Origin::Text(place) if codes.texts[*place] > 0 => out.push(1),
                Origin::Text(_) => {}
                Origin::Plain(plain) => out.push(codes.plain[*plain as usize]),
            }
        }
    }
    out.push(1);
    push_cells(out, 1, std::iter::once(RowCell { row: 0, hour, count: 1 }));
}

pub(crate) fn push_column(out: &mut Vec<u8>, numbers: usize, column: impl Iterator<Item = u32>) {
    match width(numbers) {
        0 => {}
        1 => out.extend(column.map(|number| number as u8)),
        _ => column.for_each(|number| out.extend_from_slice(&(number as u16).to_le_bytes())),
    }
}

/// What of a family is used, in order, and the place of each in that order.
pub(crate) struct Order<'w> {
    pub(crate) schema: &'static Schema,
    pub(crate) texts: [Vec<&'w str>; TEXTS],
    pub(crate) rows: [Vec<u128>; PARTS],
    pub(crate) tuples: Vec<u64>,
    pub(crate) tuple_ranks: Vec<u32>,
}

impl<'w> Order<'w> {
    pub(crate) fn new(family: &'w Family, seen: impl Iterator<Item = u32>) -> Self {
        let words = &family.words;
        let mut is_used = vec![false; words.tuples.list().len()];
        family.cells.list().iter().for_each(|cell| is_used[cell.tuple() as usize] = true);
        seen.for_each(|tuple| is_used[tuple as usize] = true);
        if is_as_stored(words) && is_used.iter().all(|is_used| *is_used) {
            return Self::as_stored(words);
        }
        let mut rows_used: [Vec<bool>; PARTS] = std::array::from_fn(|part| vec![false; words.parts[part].list().len()]);
        let used = words.tuples.list().iter().zip(&is_used).filter(|(_, is_used)| **is_used);
        for (tuple, _) in used {
            let rows = unpack(*tuple);
            rows_used.iter_mut().zip(rows).for_each(|(used, row)| used[row as usize] = true);
        }
        let (texts, text_ranks) = order_texts(words, &rows_used);
        let mut rows: [Vec<u128>; PARTS] = Default::default();
        let mut row_ranks: [Vec<u32>; PARTS] = Default::default();
        for part in 0..PARTS {
            let fields = words.schema.parts[part];
            let ranked = |row: u128| {
                pack_row(fields.iter().enumerate().map(|(field, (_, origin))| {
                    let code = code_at(row, field, fields.len());
                    match origin {
                        Origin::Text(place) if code > 0 => text_ranks[*place][code as usize],
                        Origin::Text(_) | Origin::Plain(_) => code,
                    }
                }))
            };
            (rows[part], row_ranks[part]) = order_rows(&words.parts[part], &rows_used[part], ranked);
        }
        let ranked = |tuple: u64| {
            let rows = unpack(tuple);
            pack(std::array::from_fn(|part| row_ranks[part][rows[part] as usize]))
        };
        let (tuples, tuple_ranks) = order_rows(&words.tuples, &is_used, ranked);
        Self { schema: words.schema, texts, rows, tuples, tuple_ranks }
    }

    /// If nothing has changed since it was read.
    fn as_stored(words: &'w Words) -> Self {
        let texts = |texts: &'w Texts| (1..=texts.len() as u32).map(|code| texts.get(code)).collect();
        Self {
            schema: words.schema,
            texts: words.texts.each_ref().map(texts),
            rows: std::array::from_fn(|part| words.parts[part].list().to_vec()),
            tuples: words.tuples.list().to_vec(),
            tuple_ranks: (0..words.tuples.list().len() as u32).collect(),
        }
    }
}

fn is_as_stored(words: &Words) -> bool {
    words.texts.iter().all(Texts::is_as_stored)
        && words.parts.iter().all(Rows::is_as_stored)
        && words.tuples.is_as_stored()
}

/// The used strings of each dimension in order, and the place of each string in it, counted from 1.
fn order_texts<'w>(words: &'w Words, rows_used: &[Vec<bool>; PARTS]) -> ([Vec<&'w str>; TEXTS], [Vec<u32>; TEXTS]) {
    let mut texts: [Vec<&str>; TEXTS] = Default::default();
    let mut ranks: [Vec<u32>; TEXTS] = Default::default();
    for ((fields, rows), used) in words.schema.parts.iter().zip(&words.parts).zip(rows_used) {
        for (field, (_, origin)) in fields.iter().enumerate() {
            let Origin::Text(place) = *origin else { continue };
            if words.texts[place].len() == 0 {
                continue;
            }
            let mut rank = vec![UNUSED; words.texts[place].len() + 1];
            for (row, _) in rows.list().iter().zip(used).filter(|(_, is_used)| **is_used) {
                rank[code_at(*row, field, fields.len()) as usize] = 0;
            }
            let mut order: Vec<u32> = (1..rank.len() as u32).filter(|code| rank[*code as usize] != UNUSED).collect();
            order.sort_by(|one, other| words.texts[place].get(*one).cmp(words.texts[place].get(*other)));
            for (before, code) in order.iter().enumerate() {
                rank[*code as usize] = before as u32 + 1;
            }
            texts[place] = order.into_iter().map(|code| words.texts[place].get(code)).collect();
            ranks[place] = rank;
        }
    }
    (texts, ranks)
}

/// The used rows, each as `ranked` makes it, in order; and the place of each row in it.
fn order_rows<K: Copy + Ord + std::hash::Hash>(
    rows: &Rows<K>,
    used: &[bool],
    ranked: impl Fn(K) -> K,
) -> (Vec<K>, Vec<u32>) {
    let used_rows = rows.list().iter().zip(used).enumerate().filter(|(_, (_, is_used))| **is_used);
    let mut order: Vec<(K, u32)> = used_rows.map(|(place, (row, _))| (ranked(*row), place as u32)).collect();
    // The stable sort, because those that were read are in order already.
    order.sort();
    let mut ranks = vec![UNUSED; rows.list().len()];
    for (rank, (_, place)) in order.iter().enumerate() {
        ranks[*place as usize] = rank as u32;
    }
    (order.into_iter().map(|(row, _)| row).collect(), ranks)
}

pub(crate) fn push_family(out: &mut Vec<u8>, order: &Order<'_>, cells: &[Cell]) {
    let which = order.texts.iter().enumerate().map(|(place, texts)| u8::from(!texts.is_empty()) << place).sum();
    out.push(which);
    for texts in order.texts.iter().filter(|texts| !texts.is_empty()) {
        push_varint(out, texts.len() as u64);
        texts.iter().for_each(|text| push_sized(out, text.as_bytes()));
    }
    for (fields, rows) in order.schema.parts.iter().zip(&order.rows) {
        push_varint(out, rows.len() as u64);
        for row in rows {
            for (field, (_, origin)) in fields.iter().enumerate() {
                let is_written = match origin {
                    Origin::Text(place) => !order.texts[*place].is_empty(),
                    Origin::Plain(_) => true,
                };
                if is_written {
                    push_varint(out, code_at(*row, field, fields.len()).into());
                }
            }
        }
    }
    push_tuples(out, order);
    push_family_cells(out, order, cells);
}

fn push_tuples(out: &mut Vec<u8>, order: &Order<'_>) {
    let [first, second, third] = order.rows.each_ref().map(Vec::len);
    push_varint(out, order.tuples.len() as u64);
    if first > 1 {
        let runs = order.tuples.chunk_by(|one, other| unpack(*one)[0] == unpack(*other)[0]);
        runs.for_each(|run| push_varint(out, run.len() as u64));
    }
    push_column(out, second, order.tuples.iter().map(|tuple| unpack(*tuple)[1]));
    push_column(out, third, order.tuples.iter().map(|tuple| unpack(*tuple)[2]));
}

fn push_family_cells(out: &mut Vec<u8>, order: &Order<'_>, cells: &[Cell]) {
    let ranked = |cell: &Cell| Cell::new(order.tuple_ranks[cell.tuple() as usize], cell.hour(), cell.count);
    let mut cells: Vec<Cell> = cells.iter().map(ranked).collect();
    sort_and_sum(&mut cells);
    let cells = cells.iter().map(|cell| RowCell { row: cell.tuple(), hour: cell.hour(), count: cell.count });
    push_cells(out, order.tuples.len() as u32, cells);
}

fn push_visitors(out: &mut Vec<u8>, seen: &[Seen], threshold: u64, tuples: [usize; 2]) {
    let is_last = |place: usize| seen.get(place + 1).is_none_or(|next| next.key != seen[place].key);
    let lasts = (0..seen.len()).filter(|place| is_last(*place));
    let is_cut = threshold < ALL;
    push_varint(out, (lasts.clone().count() as u64) << 1 | u64::from(is_cut));
    if is_cut {
        out.extend_from_slice(&threshold.to_le_bytes()[..KEY_BYTES]);
    }
    for place in lasts {
        out.extend_from_slice(&seen[place].key.to_le_bytes()[..KEY_BYTES]);
    }
    if !seen.is_empty() {
        push_varint(out, seen.len() as u64);
        out.extend((0..seen.len()).map(|place| seen[place].hour | if is_last(place) { LAST } else { 0 }));
        push_column(out, tuples[0], seen.iter().map(|seen| seen.main));
        push_column(out, tuples[1], seen.iter().map(|seen| seen.sources));
    }
}
