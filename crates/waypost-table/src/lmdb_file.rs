//! Checks the two meta pages of an LMDB file before LMDB maps it.
//!
//! LMDB trusts its file: it fills an empty one, computes with the page size it finds, and reads pages past the end of a
//! truncated one, which ends the process with SIGBUS. So a file is refused if it is empty, foreign, shorter than its
//! meta page says, or if LMDB would open it with other settings than this crate's. `check` checks the other pages.
//!
//! Offsets are those of LMDB's data format 1 on a 64-bit machine, numbers in the machine's byte order.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::TableError;
use crate::bytes::{u16_at, u32_at, u64_at};

const PAGE_IS_META: u16 = 0x08;
const LMDB_MAGIC: u32 = 0xBEEF_C0DE;
const LMDB_FORMAT: u32 = 1;
/// The root of a tree that has no pages.
pub(crate) const NO_PAGE: u64 = u64::MAX;
const META_PAGES: u64 = 2;
/// Bytes of a meta page that hold anything.
const META_PAGE_BYTES: usize = 152;
/// Flags of the tree of free pages: its keys are numbers.
const NUMBER_KEYS: u16 = 0x08;

/// The contents of a meta page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileMeta {
    /// Its own number.
    pub(crate) page: u64,
    pub(crate) page_bytes: u64,
    pub(crate) free: TreeMeta,
    pub(crate) main: TreeMeta,
    pub(crate) last_page: u64,
    txn_id: u64,
}

/// The description of a tree in a meta page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TreeMeta {
    pub(crate) depth: u16,
    pub(crate) branch_pages: u64,
    pub(crate) leaf_pages: u64,
    pub(crate) overflow_pages: u64,
    pub(crate) entries: u64,
    pub(crate) root: u64,
}

impl FileMeta {
    /// Bytes of the file that are used.
    pub(crate) fn used_bytes(&self) -> u64 {
        (self.last_page + 1) * self.page_bytes
    }
}

/// The root of the state that the transaction `txn_id` reads, and how many pages it may use. `bytes` is the beginning
/// of the mapped file.
///
/// Commits write the two meta pages in turn, so the page of this state is overwritten at the second commit after it. If
/// it was overwritten or has another number, the newest state is used.
#[inline]
pub(crate) fn root_of(bytes: &[u8], page_bytes: usize, txn_id: u64) -> (u64, u64) {
    let [first, second] = [0, page_bytes].map(|at| bytes.get(at..).unwrap_or_default());
    let txn_id_at = |page| u64_at(page, 144);
    let own = if txn_id.is_multiple_of(2) { first } else { second };
    let page = match txn_id_at(own) == txn_id {
        true => own,
        false if txn_id_at(second) > txn_id_at(first) => second,
        false => first,
    };
    (u64_at(page, 128), u64_at(page, 136).saturating_add(1))
}

/// Checks that the file at `path` is an LMDB file and as long as its newest meta page says. Returns that meta page.
///
/// # Errors
/// [`TableError::Damaged`] with the reason, [`TableError::OtherFormat`], or [`TableError::Io`] if it cannot be read.
pub(crate) fn verify(path: &Path) -> Result<FileMeta, TableError> {
    let damaged = |reason: String| TableError::Damaged { path: path.to_owned(), reason };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(damaged("it is missing".to_owned()));
        }
        Err(error) => return Err(TableError::io("open", path)(error)),
    };
    let file_bytes = file.metadata().map_err(TableError::io("read the length of", path))?.len();
    if file_bytes == 0 {
        return Err(damaged("it is empty".to_owned()));
    }
    let first = read_meta_page(&file, path, 0, 0)?;
    if !first.page_bytes.is_power_of_two() || !(512..=32_768).contains(&first.page_bytes) {
        return Err(damaged(format!("its page size is {}", first.page_bytes)));
    }
    let second = read_meta_page(&file, path, 1, first.page_bytes)?;
    if second.page_bytes != first.page_bytes {
        return Err(damaged("its two meta pages disagree on the page size".to_owned()));
    }
    if second.txn_id.abs_diff(first.txn_id) > 1 {
        return Err(damaged("its two meta pages are not of states that follow each other".to_owned()));
    }
    let newest = if second.txn_id > first.txn_id { second } else { first };
    let pages = file_bytes / newest.page_bytes;
    if newest.last_page >= pages {
        return Err(damaged(format!("it is truncated: {pages} pages of {}", newest.last_page.saturating_add(1))));
    }
    let root_is_sound = |root: u64| root == NO_PAGE || (META_PAGES..=newest.last_page).contains(&root);
    if ![newest.free.root, newest.main.root].into_iter().all(root_is_sound) {
        return Err(damaged("its root page is out of range".to_owned()));
    }
    Ok(newest)
}

fn read_meta_page(file: &File, path: &Path, number: u64, offset: u64) -> Result<FileMeta, TableError> {
    let damaged = |reason: &str| TableError::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let mut page = [0; META_PAGE_BYTES];
    match file.read_exact_at(&mut page, offset) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return Err(damaged("it ends before its second meta page"));
        }
        Err(error) => return Err(TableError::io("read", path)(error)),
    }
    if u64_at(&page, 0) != number || u16_at(&page, 10) != PAGE_IS_META || u32_at(&page, 16) != LMDB_MAGIC {
        return Err(damaged("it is not an LMDB file"));
    }
    let format = u32_at(&page, 20);
    if format != LMDB_FORMAT {
        let found = format!("LMDB {format}");
        return Err(TableError::OtherFormat { path: path.to_owned(), found, expected: LMDB_FORMAT });
    }
    let (free_flags, main_pad, main_flags) = (u16_at(&page, 44), u32_at(&page, 88), u16_at(&page, 92));
    if (free_flags, main_pad, main_flags) != (NUMBER_KEYS, 0, 0) {
        return Err(damaged("it is made for other keys"));
    }
    Ok(FileMeta {
        page: number,
        page_bytes: u64::from(u32_at(&page, 40)),
        free: tree_meta(&page, 40),
        main: tree_meta(&page, 88),
        last_page: u64_at(&page, 136),
        txn_id: u64_at(&page, 144),
    })
}

fn tree_meta(page: &[u8; META_PAGE_BYTES], at: usize) -> TreeMeta {
    TreeMeta {
        depth: u16_at(page, at + 6),
        branch_pages: u64_at(page, at + 8),
        leaf_pages: u64_at(page, at + 16),
        overflow_pages: u64_at(page, at + 24),
        entries: u64_at(page, at + 32),
        root: u64_at(page, at + 40),
    }
}
