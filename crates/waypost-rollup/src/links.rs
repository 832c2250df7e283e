//! The clicks of an account's or a domain's links on one day (in UTC): what "top links" is read from.
//!
//! Format 0x21; numbers and the block around it are those of `wire`. Of each class that has clicks, in order: a byte
//! for the class, then, sized: how many links; the number of the first and of each other its distance from the one
//! before; and the cells of `cell_bytes`, a row for each link.

use crate::cell_bytes::{CellsView, RowCell, push_cells};
use crate::day::hour_of;
use crate::schema::Plain;
use crate::wire::{Reader, begin, open, push_sized, push_varint, require, seal};
use crate::{ClickFacts, ClickKey, CorruptRollup};

/// The first byte of a links roll-up.
const FORMAT_LINKS: u8 = 0x21;
/// With fewer unsorted cells than this, sorting waits.
const UNSORTED_MAX: usize = 4_096;

/// Counts by link, class and hour.
#[derive(Clone, Debug, Default)]
pub struct LinksRollup {
    cells: Vec<LinkCell>,
    sorted: usize,
}

/// The clicks of a link and class in an hour. They stay at `u32::MAX` rather than wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LinkCell {
    at: u64,
    count: u32,
}

impl LinkCell {
    fn new(class: u8, link: u32, hour: u8, count: u32) -> Self {
        Self { at: u64::from(class) << 40 | u64::from(link) << 8 | u64::from(hour), count }
    }

    fn class(self) -> u8 {
        (self.at >> 40) as u8
    }

    fn link(self) -> u32 {
        (self.at >> 8) as u32
    }

    fn hour(self) -> u8 {
        self.at as u8
    }
}

impl LinksRollup {
    /// Counts a click of the link that the store has given this number.
    pub fn add(&mut self, link_number: u32, click: &ClickFacts<'_>) {
        self.push(LinkCell::new(click.class.code(), link_number, hour_of(click), 1));
    }

    /// Counts clicks of the link, all of the same day.
    pub fn add_keys(&mut self, link_number: u32, keys: &[ClickKey]) {
        for key in keys {
            self.push(LinkCell::new(key.class().code(), link_number, key.hour(), 1));
        }
    }

    /// Adds what another roll-up of the same scope and day has counted.
    pub fn merge(&mut self, other: &Self) {
        self.cells.extend_from_slice(&other.cells);
        self.sort();
    }

    /// Subtracts what another roll-up has counted and was added to this one (erasure).
    pub fn subtract(&mut self, other: &Self) {
        self.sort();
        for cell in &other.cells {
            if let Ok(place) = self.cells.binary_search_by_key(&cell.at, |known| known.at) {
                self.cells[place].count = self.cells[place].count.saturating_sub(cell.count);
            }
        }
        self.cells.retain(|cell| cell.count > 0);
        self.sorted = self.cells.len();
    }

    /// Removes all clicks of a link (erasure).
    pub fn remove(&mut self, link_number: u32) {
        self.cells.retain(|cell| cell.link() != link_number);
        self.sorted = 0;
        self.sort();
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let mut cells = self.cells.clone();
        sort_and_sum(&mut cells);
        let mut out = begin(FORMAT_LINKS);
        let mut body = Vec::new();
        for of_class in cells.chunk_by(|one, other| one.class() == other.class()) {
            body.clear();
            push_class(&mut body, of_class);
            out.push(of_class[0].class());
            push_sized(&mut out, &body);
        }
        seal(out)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// If they are no roll-up.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptRollup> {
        let mut cells = Vec::new();
        let mut links = Vec::new();
        let mut class_min = 0;
        for section in LinksView::new(bytes)? {
            let section = section?;
            require(section.class >= class_min)?;
            class_min = section.class + 1;
            let of_class = section.read_links(&mut links)?.decode(links.len())?;
            cells.reserve(of_class.len());
            for cell in of_class {
                cells.push(LinkCell::new(section.class, links[cell.row as usize], cell.hour, cell.count));
            }
        }
        Ok(Self { sorted: cells.len(), cells })
    }

    /// About how much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.cells.capacity() * size_of::<LinkCell>()
    }

    fn push(&mut self, cell: LinkCell) {
        self.cells.push(cell);
        if self.cells.len() - self.sorted > UNSORTED_MAX.max(self.sorted) {
            self.sort();
        }
    }

    fn sort(&mut self) {
        if self.sorted < self.cells.len() {
            sort_and_sum(&mut self.cells);
            self.sorted = self.cells.len();
        }
    }
}

fn sort_and_sum(cells: &mut Vec<LinkCell>) {
    // The stable sort, because it makes use of what is in order.
    cells.sort_by_key(|cell| cell.at);
    cells.dedup_by(|later, kept| {
        let is_same = later.at == kept.at;
        if is_same {
            kept.count = kept.count.saturating_add(later.count);
        }
        is_same
    });
}

fn push_class(out: &mut Vec<u8>, cells: &[LinkCell]) {
    let of_links = || cells.chunk_by(|one, other| one.link() == other.link());
    push_varint(out, of_links().count() as u64);
    let mut before = 0;
    for of_link in of_links() {
        push_varint(out, (of_link[0].link() - before).into());
        before = of_link[0].link();
    }
    let rows = (0..).zip(of_links());
    let cells = rows.flat_map(|(row, of_link)| {
        of_link.iter().map(move |cell| RowCell { row, hour: cell.hour(), count: cell.count })
    });
    push_cells(out, of_links().count() as u32, cells);
}

/// A links roll-up in bytes, class by class.
pub(crate) struct LinksView<'a> {
    rest: Reader<'a>,
}

/// The links of one class.
pub(crate) struct Section<'a> {
    pub(crate) class: u8,
    body: Reader<'a>,
}

impl<'a> LinksView<'a> {
    pub(crate) fn new(block: &'a [u8]) -> Result<Self, CorruptRollup> {
        Ok(Self { rest: open(FORMAT_LINKS, block)? })
    }

    fn section(&mut self) -> Result<Section<'a>, CorruptRollup> {
        let [class] = *self.rest.take(1)? else { return Err(CorruptRollup) };
        require(usize::from(class) < Plain::Class.names().len())?;
        Ok(Section { class, body: self.rest.sized()? })
    }
}

impl<'a> Section<'a> {
    /// Reads the numbers of the links, in order, and returns their cells.
    pub(crate) fn read_links(&self, links: &mut Vec<u32>) -> Result<CellsView<'a>, CorruptRollup> {
        let mut body = self.body;
        let count = body.count(body.rest().len())?;
        require(count > 0)?;
        links.clear();
        links.reserve(count);
        let mut link = 0_u64;
        for place in 0..count {
            let step = body.varint()?;
            require(step > 0 || place == 0)?;
            link = link.checked_add(step).ok_or(CorruptRollup)?;
            links.push(u32::try_from(link).map_err(|_| CorruptRollup)?);
        }
        let cells = CellsView::read(&mut body)?;
        body.end()?;
        Ok(cells)
    }
}

impl<'a> Iterator for LinksView<'a> {
    type Item = Result<Section<'a>, CorruptRollup>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.rest().is_empty() {
            return None;
        }
        Some(self.section())
    }
}
