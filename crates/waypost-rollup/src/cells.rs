//! Counts by combination and hour.

/// How many clicks of one combination there were in one hour. Counts stay at `u32::MAX` rather than wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    at: u32,
    pub(crate) count: u32,
}

/// With fewer unsorted cells than this, sorting waits.
const UNSORTED_MAX: usize = 4_096;

impl Cell {
    pub(crate) fn new(tuple: u32, hour: u8, count: u32) -> Self {
        Self { at: tuple << 5 | u32::from(hour), count }
    }

    pub(crate) fn tuple(self) -> u32 {
        self.at >> 5
    }

    pub(crate) fn hour(self) -> u8 {
        self.at as u8 & 31
    }
}

/// Cells in the order of combination and hour, and after them some that came later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    list: Vec<Cell>,
    sorted: usize,
}

impl Cells {
    /// From cells that are in order.
    pub(crate) fn from_sorted(list: Vec<Cell>) -> Self {
        let sorted = list.len();
        Self { list, sorted }
    }

    pub(crate) fn push(&mut self, cell: Cell) {
        self.list.push(cell);
        if self.list.len() - self.sorted > UNSORTED_MAX.max(self.sorted) {
            self.sort();
        }
    }

    /// In any order, and some of them more than once.
    pub(crate) fn list(&self) -> &[Cell] {
        &self.list
    }

    pub(crate) fn sort(&mut self) {
        if self.sorted < self.list.len() {
            sort_and_sum(&mut self.list);
            self.sorted = self.list.len();
        }
    }

    /// Subtracts up to this many clicks; returns how many of them were not counted. The cells are sorted.
    pub(crate) fn take(&mut self, cell: Cell) -> u32 {
        debug_assert!(self.sorted == self.list.len(), "cells are sorted before any is taken");
        let Ok(place) = self.list.binary_search_by_key(&cell.at, |known| known.at) else { return cell.count };
        let taken = self.list[place].count.min(cell.count);
        self.list[place].count -= taken;
        cell.count - taken
    }

    /// Removes cells without clicks.
    pub(crate) fn drop_empty(&mut self) {
        self.list.retain(|cell| cell.count > 0);
        self.sorted = self.list.len();
    }

    pub(crate) fn clicks(&self) -> u64 {
        self.list.iter().map(|cell| u64::from(cell.count)).sum()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Cell>()
    }
}

/// Sorts cells and sums those of the same place. Fast if most are in order.
pub(crate) fn sort_and_sum(list: &mut Vec<Cell>) {
    // The stable sort, because it makes use of what is in order.
    list.sort_by_key(|cell| cell.at);
    list.dedup_by(|later, kept| {
        let is_same = later.at == kept.at;
        if is_same {
            kept.count = kept.count.saturating_add(later.count);
        }
        is_same
    });
}
