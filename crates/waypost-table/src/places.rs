//! A cache of the addresses of records. With it most look-ups read one cache line and then the record, without the
//! tree.
//!
//! LMDB's tree takes four pages and some twenty scattered cache lines to find one of ten million links. This cache
//! remembers the address at which the node of a key was found. A place is only a hint: a look-up copies the bytes there
//! and uses the copy only if it is a node of this key with valid checks. Else it searches the tree.
//!
//! # Why a look-up never sees an older version than the tree would give
//!
//! - A change of a link forgets its place ([`Places::forget`]) before the write begins, and again after its commit,
//!   before the write returns. A look-up may only remember a place if its snapshot is as new as the last such call
//!   ([`Places::changes`]). So while a place is remembered, its link has not changed since it was found.
//! - The tree moves nodes when it changes their neighbours, and uses freed pages again. Everything written to a page
//!   later belongs to a later state of the tree, so a node of this key found there is what the tree has. That is true
//!   for nodes, not for a page's free space: there LMDB leaves old contents of its buffer, which may be an earlier
//!   image of the same page with whole nodes at their old offsets. So a node only counts after the free space of a
//!   leaf, by the page's head before and after the copy. A copy taken while the page is overwritten, or one that ends
//!   in another node's bytes, fails the record's own 64-bit checksum, which the caller verifies.
//!
//! # Where this is left out
//!
//! All of this depends on the page layout of LMDB 0.9.
//! [`TableOptions::remember_places`](crate::TableOptions::remember_places) turns it off, and so does
//! [`Generation::test_places`](crate::generation::Generation::test_places), if a place gives another result than the
//! tree. Then no place is remembered, so no look-up uses one.
//!
//! # The unsafe calls, and why they are sound
//!
//! - Addresses come from values that the tree returned. The map does not move and its file is never truncated while the
//!   generation that owns this is open. A copy stays inside the page of that address.
//! - Only the kernel changes the map's memory during a copy, as for every reader of a mapped file. The copy is plain
//!   bytes, and every value of them is valid.
//! - The slots are anonymous memory, zero at first, aligned to a page; zero is a valid `AtomicU64`.
#![allow(unsafe_code)]

use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use memmap2::{Advice, MmapMut};
use xxhash_rust::xxh3::xxh3_64;

use crate::page;

/// Slots that share a cache line. A key is in its own line or, if that was full, in the other line of the pair.
const LINE_SLOTS: usize = 8;
/// The most lines, an even number: 128 MiB, for about sixteen million links. The address space is reserved at once;
/// memory is used as lines are written.
const LINES_MAX: usize = 1 << 21;
/// The fewest lines in use: 64 KiB.
const LINES_MIN: usize = 1 << 10;
/// The average number of links per line; most lines then have room for one or two more.
const LINKS_PER_LINE: usize = 6;
/// The low bits of a slot, which distinguish the keys of one line. The other bits hold half of an address, which is
/// even.
const FINGERPRINT_BITS: u32 = 17;
const FINGERPRINT_MASK: u64 = (1 << FINGERPRINT_BITS) - 1;
/// Bytes of a cache line.
const CACHE_LINE_BYTES: usize = 64;
/// Cache lines of a record that are prefetched before its length is known.
const NEAR_LINES: usize = 8;
/// Bytes of a node in front of its key: the size of its value in two halves, flags, the size of its key. This is the
/// layout of LMDB 0.9; with another layout no node would be valid and every look-up would search the tree.
const NODE_HEAD_BYTES: usize = 8;
/// Nodes of which this many fit into a page are never on pages of their own.
const NODES_OF_PAGE_LEAST: usize = 4;
/// Bytes of a page's number, which comes first.
const PAGE_NUMBER_BYTES: usize = 8;

/// The hash of a stored key, which identifies its place.
pub(crate) fn hash_of(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The places of one generation.
#[derive(Debug)]
pub(crate) struct Places {
    /// `None` if places are not remembered, or the system has no memory for them.
    memory: Option<MmapMut>,
    /// Lines in use; 0 once this was turned off. Only written while `filling` is locked.
    lines: AtomicUsize,
    /// Counts the calls of [`Places::forget`]. Only written while `filling` is locked.
    changes: AtomicU64,
    /// Locked while places are remembered or forgotten, which is a few stores each. A std mutex: no reader waits for
    /// it.
    filling: Mutex<()>,
    page_bytes: usize,
}

impl Places {
    /// An empty cache; without `is_on` it stays empty. `entries` is the number of entries in the tree, `page_bytes` the
    /// size of its pages.
    pub(crate) fn new(entries: u64, page_bytes: u64, is_on: bool) -> Places {
        let memory = is_on.then(|| MmapMut::map_anon(LINES_MAX * LINE_SLOTS * size_of::<AtomicU64>()).ok()).flatten();
        if let Some(memory) = &memory {
            // Huge pages are faster. An old kernel refuses, and then small pages are used.
            let _ = memory.advise(Advice::HugePage);
        }
        Places {
            memory,
            lines: AtomicUsize::new(lines_for(entries)),
            changes: AtomicU64::new(0),
            filling: Mutex::new(()),
            page_bytes: usize::try_from(page_bytes).unwrap_or_default(),
        }
    }

    /// The number of places that can be remembered, if the lines fill evenly.
    pub(crate) fn room(&self) -> u64 {
        let lines = if self.memory.is_some() { self.lines.load(Ordering::Relaxed) } else { 0 };
        (lines * LINE_SLOTS) as u64
    }

    /// Uses more lines if the tree needs them, which forgets nearly all places. With more lines a key never maps to an
    /// earlier pair, so old slots there are not found again. Call this before [`Places::forget`].
    pub(crate) fn make_room(&self, entries: u64) {
        let filling = self.lock();
        if self.is_on() && entries > self.room() {
            let lines = lines_for(entries.saturating_mul(2)).max(self.lines.load(Ordering::Relaxed));
            self.lines.store(lines, Ordering::Relaxed);
        }
        drop(filling);
    }

    /// Whether places are remembered.
    pub(crate) fn is_on(&self) -> bool {
        self.memory.is_some() && self.lines.load(Ordering::Relaxed) > 0
    }

    /// Turns the cache off.
    pub(crate) fn turn_off(&self) {
        let filling = self.lock();
        self.lines.store(0, Ordering::Relaxed);
        // With 0 lines every key maps to the first pair, so a look-up needs no other check.
        for slot in self.lines(0).into_iter().flatten().flatten() {
            slot.store(0, Ordering::Release);
        }
        drop(filling);
    }

    /// The number of changes so far. A look-up reads it before it begins, and may only remember its result if it did
    /// not change since.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Prefetches the records of these keys, up to the size of most records.
    pub(crate) fn prefetch_records(&self, hashes: &[u64]) {
        // In two rounds, so that the memory accesses of a round overlap.
        for [own, _] in hashes.iter().filter_map(|hash| self.lines(*hash)) {
            prefetch(own.as_ptr() as usize);
        }
        for node in hashes.iter().filter_map(|hash| self.place(*hash)) {
            prefetch(self.page_of(node));
            for line in 0..NEAR_LINES {
                prefetch(node + line * CACHE_LINE_BYTES);
            }
        }
    }

    /// Copies the value at the remembered place of this key into `copy`, if it is a value of this key.
    #[inline]
    pub(crate) fn read<'c>(&self, hash: u64, key: &[u8], copy: &'c mut Vec<u8>) -> Option<&'c [u8]> {
        let node = self.place(hash)?;
        self.copy_value(node, key, copy).then(|| &copy[key.len()..])
    }

    /// Remembers the place of this value, unless anything changed since `changes` was read or another thread holds the
    /// lock. `value` is what the tree returned, in place.
    pub(crate) fn remember(&self, hash: u64, key: &[u8], value: &[u8], changes: u64) {
        if !self.is_on() {
            return;
        }
        let Some(node) = self.node_of(key, value) else { return };
        let filling = match self.filling.try_lock() {
            Ok(filling) => filling,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if self.is_on()
            && self.changes.load(Ordering::Relaxed) == changes
            && let Some([own, other]) = self.lines(hash)
        {
            let fingerprint = hash & FINGERPRINT_MASK;
            let is_own = |slot: &&AtomicU64| {
                let slot = slot.load(Ordering::Relaxed);
                slot != 0 && slot & FINGERPRINT_MASK == fingerprint
            };
            let slots = || own.iter().chain(other);
            let free = || slots().find(|slot| slot.load(Ordering::Relaxed) == 0);
            let taken = || own.get((hash >> FINGERPRINT_BITS) as usize % LINE_SLOTS);
            if let Some(slot) = slots().find(is_own).or_else(free).or_else(taken) {
                slot.store((node as u64 >> 1) << FINGERPRINT_BITS | fingerprint, Ordering::Release);
            }
        }
        drop(filling);
    }

    /// Forgets the places of these keys.
    pub(crate) fn forget(&self, hashes: impl Iterator<Item = u64>) {
        let filling = self.lock();
        self.changes.fetch_add(1, Ordering::AcqRel);
        for hash in hashes {
            let fingerprint = hash & FINGERPRINT_MASK;
            for slot in self.lines(hash).into_iter().flatten().flatten() {
                if slot.load(Ordering::Relaxed) & FINGERPRINT_MASK == fingerprint {
                    slot.store(0, Ordering::Release);
                }
            }
        }
        drop(filling);
    }

    /// Whether the place of this key gives `value`, which the tree returned. Remembers the place if it was not
    /// remembered.
    ///
    /// A value that shares its page with others must be found; one that may have its own pages need not be.
    pub(crate) fn agrees(&self, key: &[u8], value: &[u8], changes: u64, copy: &mut Vec<u8>) -> bool {
        let hash = hash_of(key);
        if self.read(hash, key, copy).is_none() {
            self.remember(hash, key, value, changes);
        }
        match self.read(hash, key, copy) {
            Some(found) => found == value,
            None => NODE_HEAD_BYTES + key.len() + value.len() > self.page_bytes / NODES_OF_PAGE_LEAST,
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The remembered address of this key, or of another key with the same fingerprint.
    #[inline]
    fn place(&self, hash: u64) -> Option<usize> {
        let [own, other] = self.lines(hash)?;
        let slot = slot_of(own, hash).or_else(|| slot_of(other, hash))?;
        Some((slot >> FINGERPRINT_BITS << 1) as usize)
    }

    /// The line of this hash, and the other line of its pair.
    #[inline]
    fn lines(&self, hash: u64) -> Option<[&[AtomicU64]; 2]> {
        let memory = self.memory.as_ref()?;
        let lines = self.lines.load(Ordering::Relaxed);
        let line = ((u128::from(hash) * lines as u128) >> 64) as usize;
        // SAFETY: see the head of this file. The map has LINES_MAX lines and `lines` is never more.
        let slots = unsafe { slice::from_raw_parts(memory.as_ptr().cast::<AtomicU64>(), LINES_MAX * LINE_SLOTS) };
        let slots_of = |line: usize| slots.get(line * LINE_SLOTS..(line + 1) * LINE_SLOTS);
        Some([slots_of(line)?, slots_of(line ^ 1)?])
    }

    /// The address of the node with this value; `None` if the layout does not match, for example for a value with its
    /// own pages.
    fn node_of(&self, key: &[u8], value: &[u8]) -> Option<usize> {
        let value_at = value.as_ptr() as usize;
        let node = value_at.checked_sub(key.len() + NODE_HEAD_BYTES)?;
        let is_in_page = node / self.page_bytes == value_at / self.page_bytes;
        if !is_in_page || node % 2 != 0 || node >> 1 >> (u64::BITS - FINGERPRINT_BITS) != 0 {
            return None;
        }
        // SAFETY: the value's node is completely in this page, because the tree returned its later part.
        let head = unsafe { read_head(node) };
        (head.flags == 0 && head.key_bytes == key.len() && head.value_bytes == value.len()).then_some(node)
    }

    /// Copies key and value of the node at this address, which the tree must have returned once. False if it is not a
    /// node of this key.
    #[inline]
    fn copy_value(&self, node: usize, key: &[u8], copy: &mut Vec<u8>) -> bool {
        let page_left = self.page_bytes - node % self.page_bytes;
        if page_left < NODE_HEAD_BYTES {
            return false;
        }
        let page = self.page_of(node);
        // SAFETY: see the head of this file; a page has more bytes than its head.
        let kind = unsafe { read_kind(page) };
        if !kind.has_node_at(node - page) {
            return false;
        }
        // SAFETY: see the head of this file; eight bytes are left in the page.
        let head = unsafe { read_head(node) };
        let bytes = head.key_bytes + head.value_bytes;
        if head.flags != 0 || head.key_bytes != key.len() || bytes > page_left - NODE_HEAD_BYTES {
            return false;
        }
        copy.clear();
        copy.reserve(bytes);
        // SAFETY: see the head of this file; so many bytes are left in the page, and the vector has room for them,
        // which is initialised before its length says so.
        unsafe {
            let from = ptr::with_exposed_provenance::<u8>(node + NODE_HEAD_BYTES);
            ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), bytes);
            copy.set_len(bytes);
        }
        // A fence: the copy completes before it, and the page's head is read again after it.
        fence(Ordering::Acquire);
        // SAFETY: as above.
        copy[..key.len()] == *key && unsafe { read_kind(page) } == kind
    }

    /// The address of the page that an address is in.
    #[inline]
    fn page_of(&self, node: usize) -> usize {
        node - node % self.page_bytes
    }
}

/// Lines for so many entries, an even number.
fn lines_for(entries: u64) -> usize {
    let pairs = usize::try_from(entries).unwrap_or(usize::MAX) / (2 * LINKS_PER_LINE);
    (2 * pairs).clamp(LINES_MIN, LINES_MAX)
}

/// The slot in a line that has this hash's fingerprint.
#[inline]
fn slot_of(line: &[AtomicU64], hash: u64) -> Option<u64> {
    let mut slots = line.iter().map(|slot| slot.load(Ordering::Acquire));
    slots.find(|slot| *slot != 0 && slot & FINGERPRINT_MASK == hash & FINGERPRINT_MASK)
}

/// Prefetches the memory at an address, which need not be valid.
#[inline]
fn prefetch(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no visible effect, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The bytes that LMDB writes before a key.
struct NodeHead {
    value_bytes: usize,
    flags: u16,
    key_bytes: usize,
}

/// The bytes that LMDB writes before a page's nodes, without the page's number: another number, its kind, and where its
/// free space begins and ends.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PageKind(u64);

impl PageKind {
    /// Whether a leaf has nodes, not free space, at this offset.
    #[inline]
    fn has_node_at(self, place: usize) -> bool {
        self.0 >> 16 & 0xffff == u64::from(page::LEAF) && place >= (self.0 >> 48) as usize
    }
}

/// Reads the head of a page.
///
/// # Safety
/// A page of a map that is open begins at this address.
#[inline]
unsafe fn read_kind(page: usize) -> PageKind {
    // SAFETY: as the caller says; any eight bytes are a number. Volatile, because the page may change between two
    // reads.
    PageKind(u64::from_le(unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u64>(page + PAGE_NUMBER_BYTES)) }))
}

/// Reads the head of a node, or whatever bytes are there.
///
/// # Safety
/// Eight bytes at this address are of a map that is open.
#[inline]
unsafe fn read_head(node: usize) -> NodeHead {
    // SAFETY: as the caller says; any eight bytes are a number.
    let head = u64::from_le(unsafe { ptr::read_unaligned(ptr::with_exposed_provenance::<u64>(node)) });
    NodeHead {
        value_bytes: (head & 0xffff_ffff) as usize,
        flags: (head >> 32 & 0xffff) as u16,
        key_bytes: (head >> 48) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    /// A page with a node, as in the tree.
    struct Page {
        bytes: Vec<u8>,
        node: usize,
    }

    impl Page {
        fn with(key: &[u8], value: &[u8], at: usize) -> Page {
            let mut bytes = vec![0xee; 3 * PAGE];
            let page = bytes.as_ptr().align_offset(PAGE);
            let node = page + at;
            bytes[page + 10..][..2].copy_from_slice(&page::LEAF.to_le_bytes());
            // Nothing of it is free.
            bytes[page + 12..][..4].copy_from_slice(&[16, 0, 16, 0]);
            let head = (value.len() as u64 | (key.len() as u64) << 48).to_le_bytes();
            bytes[node..node + 8].copy_from_slice(&head);
            bytes[node + 8..][..key.len()].copy_from_slice(key);
            bytes[node + 8 + key.len()..][..value.len()].copy_from_slice(value);
            Page { bytes, node }
        }

        fn value(&self, key: &[u8], value: &[u8]) -> &[u8] {
            &self.bytes[self.node + 8 + key.len()..][..value.len()]
        }
    }

    fn read(places: &Places, key: &[u8]) -> Option<Vec<u8>> {
        places.read(hash_of(key), key, &mut Vec::new()).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_place_is_remembered_until_it_is_forgotten() {
        let (key, value) = (b"\0key", b"the value");
        let page = Page::with(key, value, 16);
        let places = Places::new(10, PAGE as u64, true);
        let remember = |changes| places.remember(hash_of(key), key, page.value(key, value), changes);
        assert_eq!(read(&places, key), None);
        remember(places.changes());
        assert_eq!(read(&places, key).as_deref(), Some(&value[..]));
        assert_eq!(read(&places, b"\0kez"), None);
        let before = places.changes();
        places.forget([hash_of(key)].into_iter());
        assert_eq!(read(&places, key), None);
        remember(before);
        assert_eq!(read(&places, key), None, "found before the change");
        remember(places.changes());
        assert_eq!(read(&places, key).as_deref(), Some(&value[..]));
        // With more lines the places differ.
        places.make_room(10_000_000);
        places.forget(std::iter::empty());
        let _ = read(&places, key);
        remember(places.changes());
        assert_eq!(read(&places, key).as_deref(), Some(&value[..]));
    }

    #[test]
    fn another_node_is_not_taken_for_it() {
        let (key, value) = (b"\0key", b"the value");
        let mut page = Page::with(key, value, 16);
        let places = Places::new(10, PAGE as u64, true);
        places.remember(hash_of(key), key, page.value(key, value), 0);
        let node = page.node;
        for at in node..node + 8 + key.len() {
            for bit in 0..8 {
                page.bytes[at] ^= 1 << bit;
                let found = read(&places, key);
                // A wrong length of the value is found by the value's own check.
                let is_length = at < node + 4 && found.is_some();
                assert!(found.is_none() || is_length, "byte {} bit {bit}", at - node);
                page.bytes[at] ^= 1 << bit;
            }
        }
        assert_eq!(read(&places, key).as_deref(), Some(&value[..]));
    }

    /// LMDB leaves old contents of its buffer there, even whole nodes of earlier versions.
    #[test]
    fn free_space_and_other_pages_have_no_nodes() {
        let (key, value) = (b"\0key", b"the value");
        let mut page = Page::with(key, value, 64);
        let places = Places::new(10, PAGE as u64, true);
        places.remember(hash_of(key), key, page.value(key, value), 0);
        let head = page.node - 64;
        for (free_end, is_found) in [(16, true), (64, true), (66, false), (512, false)] {
            page.bytes[head + 14..][..2].copy_from_slice(&u16::to_le_bytes(free_end));
            assert_eq!(read(&places, key).is_some(), is_found, "{free_end}");
        }
        page.bytes[head + 14..][..2].copy_from_slice(&[16, 0]);
        for (kind, is_found) in [(1, false), (2, true), (4, false), (0x12, false), (0xffff, false)] {
            page.bytes[head + 10..][..2].copy_from_slice(&u16::to_le_bytes(kind));
            assert_eq!(read(&places, key).is_some(), is_found, "{kind}");
        }
    }

    #[test]
    fn what_is_no_node_in_one_page_is_not_remembered() {
        let (key, value) = (&b"\0key"[..], &b"a value."[..]);
        let places = Places::new(10, PAGE as u64, true);
        let remember = |page: &Page, value: &[u8]| {
            places.remember(hash_of(key), key, page.value(key, value), 0);
            read(&places, key)
        };
        let mut large = Page::with(key, value, 16);
        large.bytes[large.node + 4] = 1;
        assert_eq!(remember(&large, value), None, "a value with pages of its own");
        assert_eq!(remember(&Page::with(key, value, 17), value), None, "an odd address");
        assert_eq!(remember(&Page::with(key, value, PAGE - 8), value), None, "a node across pages");
        let page = Page::with(key, value, PAGE - 8 - key.len() - value.len());
        assert_eq!(remember(&page, value).as_deref(), Some(value), "the last one of its page");
    }

    #[test]
    fn keys_of_one_line_crowd_each_other_out_and_nothing_else() {
        let places = Places::new(0, PAGE as u64, true);
        let page = Page::with(b"k", b"v", 16);
        // The high bits choose the line, so all of these share the first line, which has one more in its pair.
        let hashes: Vec<u64> = (1..=20).collect();
        for hash in &hashes {
            places.remember(*hash, b"k", page.value(b"k", b"v"), 0);
        }
        let found = |hash: &&u64| places.read(**hash, b"k", &mut Vec::new()).is_some();
        assert_eq!(hashes.iter().filter(found).count(), 2 * LINE_SLOTS);
        let elsewhere = u64::MAX / LINES_MIN as u64 * 2 + 30;
        places.remember(elsewhere, b"k", page.value(b"k", b"v"), 0);
        assert!(found(&&elsewhere));
        places.forget(hashes.iter().copied());
        assert_eq!(hashes.iter().filter(found).count(), 0);
    }

    #[test]
    fn nothing_is_remembered_where_it_is_off() {
        let (key, value) = (b"\0key", b"the value");
        let page = Page::with(key, value, 16);
        let remember = |places: &Places| {
            places.remember(hash_of(key), key, page.value(key, value), places.changes());
            (places.is_on(), read(places, key).is_some())
        };
        assert_eq!(remember(&Places::new(10, PAGE as u64, false)), (false, false));
        let places = Places::new(10, PAGE as u64, true);
        assert_eq!(remember(&places), (true, true));
        places.turn_off();
        assert_eq!((read(&places, key), places.room()), (None, 0));
        places.make_room(10_000_000);
        assert_eq!(remember(&places), (false, false));
    }

    #[test]
    fn a_place_agrees_where_it_gives_what_the_tree_gives() {
        let (key, value) = (&b"\0key"[..], &b"a value."[..]);
        let agrees = |page: &Page, tree: &[u8]| {
            let places = Places::new(10, PAGE as u64, true);
            places.remember(hash_of(key), key, page.value(key, value), 0);
            places.agrees(key, tree, 0, &mut Vec::new())
        };
        let mut page = Page::with(key, value, 16);
        assert!(agrees(&page, page.value(key, value)));
        assert!(!agrees(&page, b"another."), "another value");
        page.bytes[page.node + 4] = 1;
        assert!(!agrees(&page, page.value(key, value)), "a node that is none");
        assert!(agrees(&page, &[0; PAGE / 4]), "a value that may have pages of its own");
    }
}
