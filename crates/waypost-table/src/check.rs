//! Checks a whole LMDB file while nothing writes to it, because LMDB trusts its file.
//!
//! Every page that the newest state uses is read once, from the file and not from the map, so that a read error of the
//! disk is an error and not a signal. Checked are: the pages themselves (`page`); that no page is used twice (in the
//! tree of the entries, as a long value, in the tree of free pages or in its lists); that keys ascend through the whole
//! tree and branches have the first keys of their children; every entry's checksum; and the counts of the meta page.
//!
//! If a page is damaged, LMDB must not write to the file. If only an entry's checksum is wrong, only that entry is
//! affected.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::bytes::u64_at;
use crate::lmdb_file::{FileMeta, NO_PAGE, TreeMeta};
use crate::meta;
use crate::page::{Fault, HEAD_BYTES, LEVELS_MAX, Page, Value, long_pages};
use crate::tree::is_sound;

/// The result of a check.
#[derive(Debug)]
pub(crate) enum Checked {
    Sound,
    /// At least one entry is damaged; LMDB can work with the file.
    DamagedEntry(Fault),
    /// LMDB must not write to the file.
    Damaged(String),
    /// `keep_going` stopped it.
    Stopped,
}

/// Checks the file at `path`, whose newest state this is. `record_is_sound` checks the record of a link.
pub(crate) fn check(
    path: &Path,
    meta: &FileMeta,
    record_is_sound: fn(&[u8]) -> bool,
    keep_going: &dyn Fn() -> bool,
) -> Checked {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Checked::Damaged(error.to_string()),
    };
    let mut walk = Walk::new(&file, meta, record_is_sound, keep_going);
    match walk.run(meta) {
        Ok(()) => walk.entry_fault.map_or(Checked::Sound, Checked::DamagedEntry),
        Err(End::Fault(fault)) => Checked::Damaged(fault.to_string()),
        Err(End::Unreadable(page, error)) => Checked::Damaged(format!("page {page} cannot be read: {error}")),
        Err(End::Stopped) => Checked::Stopped,
    }
}

enum End {
    Fault(Fault),
    Unreadable(u64, io::Error),
    Stopped,
}

impl From<Fault> for End {
    fn from(fault: Fault) -> End {
        End::Fault(fault)
    }
}

/// One of the two trees of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entries,
    /// The tree of free pages. Key: the number of the transaction that freed them, eight bytes. Value: a list of pages,
    /// its length first.
    FreePages,
}

struct Walk<'w> {
    file: &'w File,
    page_bytes: usize,
    /// Pages that may be used.
    pages: u64,
    /// A bit for each page that was found.
    used: Vec<u64>,
    record_is_sound: fn(&[u8]) -> bool,
    keep_going: &'w dyn Fn() -> bool,
    entry_fault: Option<Fault>,
    last_key: Option<Vec<u8>>,
    counted: TreeMeta,
    /// One buffer for each level, and one for long values.
    buffers: Vec<Vec<u8>>,
    long: Vec<u8>,
}

impl<'w> Walk<'w> {
    fn new(
        file: &'w File,
        meta: &FileMeta,
        record_is_sound: fn(&[u8]) -> bool,
        keep_going: &'w dyn Fn() -> bool,
    ) -> Walk<'w> {
        let pages = meta.last_page + 1;
        let words = usize::try_from(pages.div_ceil(64)).unwrap_or(usize::MAX);
        Walk {
            file,
            page_bytes: meta.page_bytes as usize,
            pages,
            used: vec![0; words],
            record_is_sound,
            keep_going,
            entry_fault: None,
            last_key: None,
            counted: TreeMeta::default(),
            buffers: Vec::new(),
            long: Vec::new(),
        }
    }

    fn run(&mut self, meta: &FileMeta) -> Result<(), End> {
        self.use_pages(0, 2)?;
        self.tree(Kind::FreePages, &meta.free)?;
        self.tree(Kind::Entries, &meta.main)?;
        if self.counted != meta.main {
            return Err(Fault { page: meta.page, what: "what it counts is not what there is" }.into());
        }
        Ok(())
    }

    fn tree(&mut self, kind: Kind, tree: &TreeMeta) -> Result<(), End> {
        (self.last_key, self.counted) = (None, TreeMeta { root: tree.root, depth: tree.depth, ..TreeMeta::default() });
        if tree.root == NO_PAGE {
            return Ok(());
        }
        let root = Fault { page: tree.root, what: "it has not the depth that the meta page says" };
        if tree.depth == 0 || usize::from(tree.depth) > LEVELS_MAX {
            return Err(root.into());
        }
        self.page(kind, tree.root, usize::from(tree.depth) - 1, None)
    }

    /// Checks a page `height` levels above the leaves, which must begin with this key.
    fn page(&mut self, kind: Kind, number: u64, height: usize, begins: Option<&[u8]>) -> Result<(), End> {
        if !(self.keep_going)() {
            return Err(End::Stopped);
        }
        self.use_pages(number, 1)?;
        while self.buffers.len() <= height {
            self.buffers.push(Vec::new());
        }
        let mut bytes = std::mem::take(&mut self.buffers[height]);
        self.read(number, self.page_bytes, &mut bytes)?;
        let page = Page::new(&bytes, number)?;
        if page.is_leaf != (height == 0) {
            return Err(page.fault("it lies at another depth than others").into());
        }
        let is_less: fn(&[u8], &[u8]) -> bool = match kind {
            Kind::Entries => |a, b| a < b,
            Kind::FreePages => |a, b| u64_at(a, 0) < u64_at(b, 0),
        };
        page.check(is_less)?;
        if page.is_leaf {
            self.counted.leaf_pages += 1;
            self.leaf(kind, &page, begins)?;
        } else {
            self.counted.branch_pages += 1;
            if kind == Kind::Entries && page.len() < 2 {
                return Err(page.fault("it has too few nodes").into());
            }
            for index in 0..page.len() {
                let key = if index == 0 { begins } else { Some(page.node(index)?.key) };
                self.page(kind, page.child(index)?, height - 1, key)?;
            }
        }
        self.buffers[height] = bytes;
        Ok(())
    }

    fn leaf(&mut self, kind: Kind, page: &Page<'_>, begins: Option<&[u8]>) -> Result<(), End> {
        for index in 0..page.len() {
            let (key, value) = page.entry(index)?;
            match kind {
                Kind::FreePages => {
                    if key.len() != size_of::<u64>() {
                        return Err(page.fault("a key has another length").into());
                    }
                }
                Kind::Entries => {
                    let is_first = index == 0;
                    if is_first && begins.is_some_and(|begins| begins != key) {
                        return Err(page.fault("it does not begin where its branch says").into());
                    }
                    if is_first && self.last_key.as_deref().is_some_and(|last| last >= key) {
                        return Err(page.fault("its keys are not in order").into());
                    }
                }
            }
            self.counted.entries += 1;
            match value {
                Value::Here(bytes) => self.value(kind, page, key, bytes)?,
                Value::Long { first, bytes } => {
                    let mut long = std::mem::take(&mut self.long);
                    self.read_long(first, bytes, &mut long)?;
                    self.value(kind, page, key, &long[HEAD_BYTES..])?;
                    self.long = long;
                }
            }
        }
        if kind == Kind::Entries {
            let last = page.node(page.len() - 1)?.key;
            let kept = self.last_key.get_or_insert_default();
            kept.clear();
            kept.extend_from_slice(last);
        }
        Ok(())
    }

    fn read_long(&mut self, first: u64, bytes: usize, long: &mut Vec<u8>) -> Result<(), End> {
        self.read(first, HEAD_BYTES, long)?;
        let pages = long_pages(long, first, self.page_bytes, bytes)?;
        self.use_pages(first, pages)?;
        self.counted.overflow_pages += pages;
        self.read(first, HEAD_BYTES + bytes, long)
    }

    fn value(&mut self, kind: Kind, page: &Page<'_>, key: &[u8], value: &[u8]) -> Result<(), End> {
        if kind == Kind::Entries {
            // The buffer of a long value has the file's bytes; in both cases the record follows the header.
            let is_link = key != meta::META_KEY && key != meta::DOMAINS_KEY;
            let record_is_sound = !is_link || crate::entry::record_in(value).is_none_or(self.record_is_sound);
            if !is_sound(key, value) || !record_is_sound {
                self.entry_fault.get_or_insert(page.fault("an entry failed its checksum"));
            }
            return Ok(());
        }
        let count = u64_at(value, 0);
        if value.len() < 8 || count > (value.len() as u64 / 8 - 1) {
            return Err(page.fault("a list of free pages is longer than its room").into());
        }
        (1..=count as usize).try_for_each(|index| self.use_pages(u64_at(value, 8 * index), 1))
    }

    /// Marks these pages as used; an error if one already is.
    fn use_pages(&mut self, first: u64, count: u64) -> Result<(), End> {
        if first.checked_add(count).is_none_or(|end| end > self.pages) {
            return Err(Fault { page: first, what: "there is no such page" }.into());
        }
        for page in first..first + count {
            let (word, bit) = ((page / 64) as usize, 1 << (page % 64));
            if self.used[word] & bit != 0 {
                return Err(Fault { page, what: "it is used twice" }.into());
            }
            self.used[word] |= bit;
        }
        Ok(())
    }

    /// Reads this many bytes from the beginning of a page.
    fn read(&self, number: u64, count: usize, bytes: &mut Vec<u8>) -> Result<(), End> {
        if number >= self.pages || count as u64 > (self.pages - number) * self.page_bytes as u64 {
            return Err(Fault { page: number, what: "there is no such page" }.into());
        }
        bytes.resize(count, 0);
        let at = number * self.page_bytes as u64;
        self.file.read_exact_at(bytes, at).map_err(|error| End::Unreadable(number, error))
    }
}
