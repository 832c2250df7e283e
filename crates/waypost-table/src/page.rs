//! Reads the pages of an LMDB file without trusting their contents.
//!
//! LMDB trusts the numbers in a page, and may read past its end if a bit has flipped. So LMDB is only used to write, to
//! files that were checked (`check`). All reading is done here: an impossible number is a [`Fault`], and no number
//! leads outside its page.
//!
//! # Format
//!
//! LMDB's data format 1 on a 64-bit machine, numbers in the machine's byte order. A page begins with its number (u64),
//! a number for another use (u16), its kind (u16), and where its free space begins and ends (two u16). After that head
//! come the offsets of its nodes (u16 each) in key order up to the free space; the nodes themselves fill the page from
//! the free space to its end, each at an even offset. A node: the value's length (u32), flags (u16), the key's length
//! (u16), key, value; in a branch the first six bytes are the child's number, and the first node's key means nothing. A
//! long value has its own pages, and its node has the number of the first one: a head that ends with the count of pages
//! (u32), then the value.

use crate::bytes::{u16_at, u32_at, u64_at};

/// The most levels of a tree that LMDB follows.
pub(crate) const LEVELS_MAX: usize = 32;
/// Bytes before a page's offsets, and before a long value.
pub(crate) const HEAD_BYTES: usize = 16;
const NODE_HEAD_BYTES: usize = 8;
const BRANCH: u16 = 0x01;
pub(crate) const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
/// A node whose value has pages of its own.
const LONG: u16 = 0x01;

/// What is wrong with an LMDB file, and in which of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("page {page}: {what}")]
pub(crate) struct Fault {
    pub(crate) page: u64,
    pub(crate) what: &'static str,
}

/// A page of a tree with a valid head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    bytes: &'a [u8],
    number: u64,
    lower: usize,
    upper: usize,
    pub(crate) is_leaf: bool,
}

/// A node that is inside its page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) key: &'a [u8],
    /// What comes after the key, up to the page's end.
    rest: &'a [u8],
    head: u32,
    flags: u16,
}

/// Where a key is in a leaf.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EntryIndex {
    /// At this index.
    At(usize),
    /// Not in the leaf; it would be before this index.
    Before(usize),
}

/// The place of a leaf's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Here(&'a [u8]),
    /// On its own pages from this one, with this many bytes.
    Long {
        first: u64,
        bytes: usize,
    },
}

impl<'a> Page<'a> {
    /// Checks these bytes as the page with this number.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], number: u64) -> Result<Page<'a>, Fault> {
        let fault = |what| Fault { page: number, what };
        if bytes.len() < HEAD_BYTES || u64_at(bytes, 0) != number {
            return Err(fault("it has another page's number"));
        }
        let is_leaf = match u16_at(bytes, 10) {
            LEAF => true,
            BRANCH => false,
            _ => return Err(fault("it is no page of a tree")),
        };
        let (lower, upper) = (usize::from(u16_at(bytes, 12)), usize::from(u16_at(bytes, 14)));
        if lower < HEAD_BYTES || lower > upper || upper > bytes.len() || lower % 2 != 0 || upper % 2 != 0 {
            return Err(fault("its free space has no sound bounds"));
        }
        if lower == HEAD_BYTES {
            return Err(fault("it has no nodes"));
        }
        Ok(Page { bytes, number, lower, upper, is_leaf })
    }

    pub(crate) fn fault(&self, what: &'static str) -> Fault {
        Fault { page: self.number, what }
    }

    pub(crate) fn len(&self) -> usize {
        (self.lower - HEAD_BYTES) / 2
    }

    #[inline]
    pub(crate) fn node(&self, index: usize) -> Result<Node<'a>, Fault> {
        let place = HEAD_BYTES + 2 * index;
        if place >= self.lower {
            return Err(self.fault("it has no such node"));
        }
        let at = usize::from(u16_at(self.bytes, place));
        if at < self.upper || at + NODE_HEAD_BYTES > self.bytes.len() || at % 2 != 0 {
            return Err(self.fault("a node lies outside"));
        }
        let key_bytes = usize::from(u16_at(self.bytes, at + 6));
        match self.bytes[at + NODE_HEAD_BYTES..].split_at_checked(key_bytes) {
            Some((key, rest)) => {
                Ok(Node { key, rest, head: u32_at(self.bytes, at), flags: u16_at(self.bytes, at + 4) })
            }
            None => Err(self.fault("a key ends outside")),
        }
    }

    /// The number of the child at this index of a branch.
    #[inline]
    pub(crate) fn child(&self, index: usize) -> Result<u64, Fault> {
        let node = self.node(index)?;
        Ok(u64::from(node.head) | u64::from(node.flags) << 32)
    }

    /// The value of the node at this index of a leaf, and its key.
    #[inline]
    pub(crate) fn entry(&self, index: usize) -> Result<(&'a [u8], Value<'a>), Fault> {
        let node = self.node(index)?;
        let bytes = node.head as usize;
        let value = match node.flags {
            0 => node.rest.get(..bytes).map(Value::Here),
            LONG => node.rest.first_chunk().map(|first| Value::Long { first: u64::from_ne_bytes(*first), bytes }),
            _ => return Err(self.fault("a node is of no known kind")),
        };
        Ok((node.key, value.ok_or_else(|| self.fault("a value ends outside"))?))
    }

    /// The index of a branch's child for this key: that of the last key that is not greater.
    #[inline]
    pub(crate) fn child_index(&self, key: &[u8]) -> Result<usize, Fault> {
        let (mut low, mut high) = (1, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.node(middle)?.key <= key { low = middle + 1 } else { high = middle }
        }
        Ok(low - 1)
    }

    /// Where this key is in a leaf.
    #[inline]
    pub(crate) fn entry_index(&self, key: &[u8]) -> Result<EntryIndex, Fault> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.node(middle)?.key.cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(EntryIndex::At(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(EntryIndex::Before(low))
    }

    /// Checks that the nodes fill their part of the page, so that none is hidden, and that their keys are in the order
    /// of `is_less`.
    pub(crate) fn check(&self, is_less: impl Fn(&[u8], &[u8]) -> bool) -> Result<(), Fault> {
        let first_key = usize::from(!self.is_leaf);
        let (mut filled, mut last): (usize, Option<&[u8]>) = (0, None);
        for index in 0..self.len() {
            let node = self.node(index)?;
            let value_bytes = match node.flags {
                _ if !self.is_leaf => 0,
                LONG => size_of::<u64>(),
                _ => node.head as usize,
            };
            filled += (NODE_HEAD_BYTES + node.key.len() + value_bytes).next_multiple_of(2);
            if index >= first_key {
                if last.is_some_and(|last| !is_less(last, node.key)) {
                    return Err(self.fault("its keys are not in order"));
                }
                last = Some(node.key);
            }
        }
        if filled != self.bytes.len() - self.upper {
            return Err(self.fault("its nodes do not fill it"));
        }
        Ok(())
    }
}

/// The number of pages of the long value at page `number`, which begins with `head`. An error if they have no room for
/// `bytes`.
pub(crate) fn long_pages(head: &[u8], number: u64, page_bytes: usize, bytes: usize) -> Result<u64, Fault> {
    let fault = |what| Fault { page: number, what };
    if head.len() < HEAD_BYTES || u64_at(head, 0) != number || u16_at(head, 10) != OVERFLOW {
        return Err(fault("it does not begin a long value"));
    }
    let pages = u32_at(head, 12);
    if pages == 0 || (pages as usize).saturating_mul(page_bytes) - HEAD_BYTES < bytes {
        return Err(fault("it has too few pages for its value"));
    }
    Ok(pages.into())
}
