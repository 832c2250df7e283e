//! A look at an LMDB file before LMDB maps it.
//!
//! LMDB trusts its file: it fills an empty one, computes with the page size it finds, and reads pages past the end of a
//! truncated one, which ends the process with SIGBUS. So the two meta pages are read here first, and a file that is
//! empty, foreign or shorter than it says is refused. The pages behind them are not checked here: entries carry checks.
//!
//! Offsets are those of LMDB's data format 1 on a 64-bit machine, numbers in the machine's byte order.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::TableError;

const PAGE_IS_META: u16 = 0x08;
const LMDB_MAGIC: u32 = 0xBEEF_C0DE;
const LMDB_FORMAT: u32 = 1;
const NO_PAGE: u64 = u64::MAX;
const META_PAGES: u64 = 2;
/// Bytes of a meta page that hold anything.
const META_PAGE_BYTES: usize = 152;

/// What a meta page says.
struct MetaPage {
    page_bytes: u64,
    roots: [u64; 2],
    last_page: u64,
    txn_id: u64,
}

/// Checks that the LMDB file at `path` is one, and as long as its newest meta page says. Returns the bytes it uses.
///
/// # Errors
/// [`TableError::Damaged`] with the reason, [`TableError::OtherFormat`], or [`TableError::Io`] where it cannot be read.
pub(crate) fn verify(path: &Path) -> Result<u64, TableError> {
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
    let first = read_meta_page(&file, path, 0)?;
    if !first.page_bytes.is_power_of_two() || !(512..=65_536).contains(&first.page_bytes) {
        return Err(damaged(format!("its page size is {}", first.page_bytes)));
    }
    let second = read_meta_page(&file, path, first.page_bytes)?;
    if second.page_bytes != first.page_bytes {
        return Err(damaged("its two meta pages disagree on the page size".to_owned()));
    }
    let newest = if second.txn_id > first.txn_id { second } else { first };
    let pages = file_bytes / newest.page_bytes;
    if newest.last_page >= pages {
        return Err(damaged(format!("it is truncated: {pages} pages of {}", newest.last_page.saturating_add(1))));
    }
    let root_is_sound = |root: u64| root == NO_PAGE || (META_PAGES..=newest.last_page).contains(&root);
    if !newest.roots.iter().copied().all(root_is_sound) {
        return Err(damaged("its root page is out of range".to_owned()));
    }
    Ok((newest.last_page + 1) * newest.page_bytes)
}

fn read_meta_page(file: &File, path: &Path, offset: u64) -> Result<MetaPage, TableError> {
    let damaged = |reason: &str| TableError::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let mut page = [0; META_PAGE_BYTES];
    match file.read_exact_at(&mut page, offset) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return Err(damaged("it ends before its second meta page"));
        }
        Err(error) => return Err(TableError::io("read", path)(error)),
    }
    if u16_at(&page, 10) & PAGE_IS_META == 0 || u32_at(&page, 16) != LMDB_MAGIC {
        return Err(damaged("it is not an LMDB file"));
    }
    let format = u32_at(&page, 20);
    if format != LMDB_FORMAT {
        let found = format!("LMDB {format}");
        return Err(TableError::OtherFormat { path: path.to_owned(), found, expected: LMDB_FORMAT });
    }
    Ok(MetaPage {
        page_bytes: u64::from(u32_at(&page, 40)),
        roots: [u64_at(&page, 80), u64_at(&page, 128)],
        last_page: u64_at(&page, 136),
        txn_id: u64_at(&page, 144),
    })
}

fn bytes_at<const N: usize>(page: &[u8; META_PAGE_BYTES], offset: usize) -> [u8; N] {
    *page[offset..].first_chunk().expect("every offset above lies inside the meta page")
}

fn u16_at(page: &[u8; META_PAGE_BYTES], offset: usize) -> u16 {
    u16::from_ne_bytes(bytes_at(page, offset))
}

fn u32_at(page: &[u8; META_PAGE_BYTES], offset: usize) -> u32 {
    u32::from_ne_bytes(bytes_at(page, offset))
}

fn u64_at(page: &[u8; META_PAGE_BYTES], offset: usize) -> u64 {
    u64::from_ne_bytes(bytes_at(page, offset))
}
