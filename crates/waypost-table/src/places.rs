//! Where records lie: a cache in front of the tree, so that most look-ups read one line of this and then the record.
//!
//! LMDB's tree takes four pages and some twenty scattered cache lines to find one of ten million links. This remembers for
//! a key at what address its node was found, and knows nothing for certain: a place is a hint. Whoever reads there copies
//! the bytes, and believes the copy only where it is a node of this very key whose checks hold; else the tree is asked.
//!
//! # Why a look-up never sees an older version than the tree would give
//!
//! - A change of a link makes its place forgotten ([`Places::forget`]) before the write begins and again after its commit,
//!   before the write returns. A place can be remembered only by a look-up whose snapshot is as new as the last such call
//!   ([`Places::changes`]). So while a place is remembered, its link has not changed since it was found.
//! - The tree moves nodes when it changes their neighbours, and uses freed pages again. What is written to any page later
//!   is of a later state of the tree, so a node of this key found there says what the tree says. That holds for nodes, not for
//!   a page's free space: LMDB fills that with whatever its buffer held before, which may be an earlier image of the same page,
//!   whole nodes of it at their old places. So a node counts only behind the free space of a leaf, by the page's head as it is
//!   before and after the copy. A copy taken while the page is being overwritten, or that has another node's bytes in its
//!   later part, fails the record's own checksum, of 64 bits, by which the caller judges it.
//!
//! # Where this is left out
//!
//! All of this holds for pages as LMDB 0.9 lays them out. [`TableOptions::remember_places`](crate::TableOptions::remember_places)
//! turns it off, and so does [`Generation::test_places`](crate::generation::Generation::test_places), where a place gives anything
//! else than the tree. Then no place is remembered, so that no look-up follows one.
//!
//! # The unsafe calls, and why they are sound
//!
//! - Addresses come from values that the tree handed out; the map stays where it is and its file is never made shorter
//!   while the generation that owns this is open. A copy stays inside the page of that address.
//! - Memory of the map changes under a copy only by the kernel's hand, as for every reader of a mapped file; the copy is
//!   plain bytes, of which every value is valid.
//! - The slots are anonymous memory, zero at first, aligned to a page; zero is a valid `AtomicU64`.
#![allow(unsafe_code)]

use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use memmap2::{Advice, MmapMut};
use xxhash_rust::xxh3::xxh3_64;

use crate::page;

/// Slots that share a cache line. A key is in its own, or, where that was full, in the other one of the pair.
const LINE_SLOTS: usize = 8;
/// The most lines, an even number: 128 MiB, for some sixteen million links. It is reserved at once and takes memory as it is used.
const LINES_MAX: usize = 1 << 21;
/// The fewest lines in use: 64 KiB.
const LINES_MIN: usize = 1 << 10;
/// Links that there are lines for, of each as many; most lines then have room for one or two more.
const LINKS_PER_LINE: usize = 6;
/// Low bits of a slot, which tell keys of one line apart. The others hold half an address, which is even.
const FINGERPRINT_BITS: u32 = 17;
const FINGERPRINT_MASK: u64 = (1 << FINGERPRINT_BITS) - 1;
/// Bytes that come from memory together.
const CACHE_LINE_BYTES: usize = 64;
/// Lines of a record that are brought close before it is known how long it is.
const NEAR_LINES: usize = 8;
/// Bytes of a node in front of its key: the size of its value in two halves, flags, the size of its key. As LMDB 0.9 has it;
/// were it otherwise, no node would pass for one and every look-up would ask the tree.
const NODE_HEAD_BYTES: usize = 8;
/// Nodes so small that as many fit into a page are in one for certain.
const NODES_OF_PAGE_LEAST: usize = 4;
/// Bytes of a page's number, which comes first.
const PAGE_NUMBER_BYTES: usize = 8;

/// The hash of a stored key, by which places are remembered.
pub(crate) fn hash_of(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The places of one generation.
#[derive(Debug)]
pub(crate) struct Places {
    /// `None` where nothing is to be remembered, or the system has no memory for it.
    memory: Option<MmapMut>,
    /// Lines in use; 0 once this was turned off. Written only with `filling` held.
    lines: AtomicUsize,
    /// Counts the calls of [`Places::forget`]. Written only with `filling` held.
    changes: AtomicU64,
    /// Held while places are remembered or forgotten, which are a few stores each. A std mutex: no reader waits for it.
    filling: Mutex<()>,
    page_bytes: usize,
}

impl Places {
    /// No place is remembered yet, nor ever without `is_on`. `entries` is what the tree holds, in pages of `page_bytes`.
    pub(crate) fn new(entries: u64, page_bytes: u64, is_on: bool) -> Places {
        let memory = is_on.then(|| MmapMut::map_anon(LINES_MAX * LINE_SLOTS * size_of::<AtomicU64>()).ok()).flatten();
        if let Some(memory) = &memory {
            // Few large pages instead of many small ones; an old kernel refuses, and it works without.
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

    /// Links whose places can be remembered, as long as they do not crowd each other out.
    pub(crate) fn room(&self) -> u64 {
        let lines = if self.memory.is_some() { self.lines.load(Ordering::Relaxed) } else { 0 };
        (lines * LINE_SLOTS) as u64
    }

    /// Uses more lines where the tree has outgrown them, which forgets nearly everything. With more lines a key is never in
    /// an earlier pair, so what was left behind in one is not met again. To be called before a [`Places::forget`].
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

    /// Remembers nothing from now on.
    pub(crate) fn turn_off(&self) {
        let filling = self.lock();
        self.lines.store(0, Ordering::Relaxed);
        // Without lines every key is in the first pair, so that a look-up needs no other check to find nothing.
        for slot in self.lines(0).into_iter().flatten().flatten() {
            slot.store(0, Ordering::Release);
        }
        drop(filling);
    }

    /// Changes so far. A look-up takes this before it begins, and may remember what it found only if nothing changed since.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Brings the records of these keys close, as far as most records go.
    pub(crate) fn approach(&self, hashes: &[u64]) {
        // In two rounds, so that memory works on all of a round together.
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

    /// Copies what lies where this key was found last into `copy`: the value, where it is one of this key.
    #[inline]
    pub(crate) fn read<'c>(&self, hash: u64, key: &[u8], copy: &'c mut Vec<u8>) -> Option<&'c [u8]> {
        let node = self.place(hash)?;
        self.copy_value(node, key, copy).then(|| &copy[key.len()..])
    }

    /// Remembers where this value of this key lies, unless anything changed since `changes` were counted or another thread is
    /// busy here. `value` is what the tree handed out, in place.
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

    /// Whether the place of this key, which is remembered where none was, gives this value, which is the tree's.
    ///
    /// A value that shares its page with others has to be found; one that may have pages of its own need not.
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

    /// Where this key was found last, or another with the same fingerprint.
    #[inline]
    fn place(&self, hash: u64) -> Option<usize> {
        let [own, other] = self.lines(hash)?;
        let slot = slot_of(own, hash).or_else(|| slot_of(other, hash))?;
        Some((slot >> FINGERPRINT_BITS << 1) as usize)
    }

    /// The line of this hash, and the other one of its pair.
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

    /// The address of the node that a value is in; `None` where this layout does not hold, as for a value with pages of its own.
    fn node_of(&self, key: &[u8], value: &[u8]) -> Option<usize> {
        let value_at = value.as_ptr() as usize;
        let node = value_at.checked_sub(key.len() + NODE_HEAD_BYTES)?;
        let is_in_page = node / self.page_bytes == value_at / self.page_bytes;
        if !is_in_page || node % 2 != 0 || node >> 1 >> (u64::BITS - FINGERPRINT_BITS) != 0 {
            return None;
        }
        // SAFETY: the value's node is all in this page, of which the tree handed out the later part.
        let head = unsafe { read_head(node) };
        (head.flags == 0 && head.key_bytes == key.len() && head.value_bytes == value.len()).then_some(node)
    }

    /// Copies key and value of the node at this address, which must be one that the tree handed out once. False where it is no
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
        // SAFETY: see the head of this file; so many bytes are left in the page, and the vector has room for them, which is
        // initialised before its length says so.
        unsafe {
            let from = ptr::with_exposed_provenance::<u8>(node + NODE_HEAD_BYTES);
            ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), bytes);
            copy.set_len(bytes);
        }
        // What was copied is not read before this, nor the page's head after it.
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

/// Asks for the memory at an address, which need not be valid.
#[inline]
fn prefetch(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect that a program could see, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// What LMDB writes in front of a key.
struct NodeHead {
    value_bytes: usize,
    flags: u16,
    key_bytes: usize,
}

/// What LMDB writes in front of a page's nodes, without its number: another number, its kind, where its free space begins, and
/// where it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PageKind(u64);

impl PageKind {
    /// Whether a leaf has nodes, not free space, so many bytes behind its beginning.
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
    // SAFETY: as the caller says; any eight bytes are a number. Volatile, as the page may change between two looks.
    PageKind(u64::from_le(unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u64>(page + PAGE_NUMBER_BYTES)) }))
}

/// Reads the head of a node, or whatever is there.
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

    /// A page with a node in it, as the tree would hand out.
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
        // More room is other places.
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
                // Another length of the value is for its own check to find.
                let is_length = at < node + 4 && found.is_some();
                assert!(found.is_none() || is_length, "byte {} bit {bit}", at - node);
                page.bytes[at] ^= 1 << bit;
            }
        }
        assert_eq!(read(&places, key).as_deref(), Some(&value[..]));
    }

    /// LMDB leaves in it what its buffer held before, so whole nodes of earlier versions.
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
        // The line is chosen by the high bits, so all of these share the first one, which has one to fall back on.
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
