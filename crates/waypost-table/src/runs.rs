//! Sorts changes by key with limited memory: a buffer that is sorted when full, runs on disk, and their merge.
//!
//! # Format of a run
//!
//! Entries in ascending key order, one per key: key length (u16), value length (u32), key, value as in `entry`; numbers
//! little-endian. Runs belong to the process that wrote them and are removed after it; every entry's check is verified
//! when it is read.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};

use heed::RoIter;
use heed::types::Bytes;

use crate::TableError;
use crate::directory::remove_folder;
use crate::entry::{Entry, version_of};

const LENGTHS_BYTES: usize = 6;
/// Bytes read from a run, or written to it, at a time.
const RUN_READ_BYTES: usize = 128 * 1024;
/// The most runs that are merged, and so open, at once. If there are more, they are merged into one first.
const RUNS_OPEN_MAX: usize = 128;
/// Offsets into a buffer are u32.
const BUFFER_BYTES_MAX: usize = 1 << 30;

/// One key and encoded value, reused from entry to entry.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Entries in memory, in the order they came until [`Buffer::sort`].
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    bytes_max: usize,
}

impl Buffer {
    /// An empty buffer that counts as full at `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Buffer {
        Buffer { bytes: Vec::new(), offsets: Vec::new(), bytes_max: bytes_max.min(BUFFER_BYTES_MAX) }
    }

    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.offsets.push(self.bytes.len() as u32);
        write_entry(&mut self.bytes, key, value).expect("writing to a vector cannot fail");
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() + self.offsets.len() * size_of::<u32>() >= self.bytes_max
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.offsets.clear();
    }

    /// Puts the entries in key order and keeps the highest version of each key.
    pub(crate) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.offsets.sort_by(|a, b| {
            let ((key_a, value_a), (key_b, value_b)) = (entry_at(bytes, *a), entry_at(bytes, *b));
            key_a.cmp(key_b).then_with(|| version_of(value_b).cmp(&version_of(value_a)))
        });
        self.offsets.dedup_by(|later, kept| entry_at(bytes, *later).0 == entry_at(bytes, *kept).0);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.offsets.iter().map(|offset| entry_at(&self.bytes, *offset))
    }
}

fn entry_at(bytes: &[u8], offset: u32) -> (&[u8], &[u8]) {
    let (lengths, rest) =
        bytes[offset as usize..].split_first_chunk().expect("offsets point at entries that were pushed");
    let (key_len, value_len) = lengths_in(lengths);
    let (key, rest) = rest.split_at(key_len);
    (key, &rest[..value_len])
}

fn write_entry(out: &mut impl Write, key: &[u8], value: &[u8]) -> std::io::Result<()> {
    out.write_all(&(key.len() as u16).to_le_bytes())?;
    out.write_all(&(value.len() as u32).to_le_bytes())?;
    out.write_all(key)?;
    out.write_all(value)
}

fn lengths_in(lengths: &[u8; LENGTHS_BYTES]) -> (usize, usize) {
    let [a, b, c, d, e, f] = *lengths;
    (u16::from_le_bytes([a, b]).into(), u32::from_le_bytes([c, d, e, f]) as usize)
}

/// The folder of a rebuild's runs, removed when the last run is gone.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    next_run: AtomicU64,
}

impl RunFolder {
    pub(crate) fn create(path: PathBuf) -> Result<Arc<RunFolder>, TableError> {
        fs::create_dir(&path).map_err(TableError::io("create the folder", &path))?;
        Ok(Arc::new(RunFolder { path, next_run: AtomicU64::new(1) }))
    }

    fn next_path(&self) -> PathBuf {
        self.path.join(format!("{:06}.run", self.next_run.fetch_add(1, AtomicOrdering::Relaxed)))
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        remove_folder(&self.path);
    }
}

/// Sorted runs on disk.
#[derive(Debug)]
pub(crate) struct Runs {
    folder: Arc<RunFolder>,
    files: Vec<PathBuf>,
}

impl Runs {
    pub(crate) fn new(folder: Arc<RunFolder>) -> Runs {
        Runs { folder, files: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes a sorted buffer as one more run, and empties it.
    pub(crate) fn spill(&mut self, buffer: &mut Buffer) -> Result<(), TableError> {
        if self.files.len() >= RUNS_OPEN_MAX {
            self.fold()?;
        }
        let path = self.folder.next_path();
        let mut run = create_run(&path)?;
        for (key, value) in buffer.iter() {
            write_entry(&mut run, key, value).map_err(TableError::io("write", &path))?;
        }
        run.flush().map_err(TableError::io("write", &path))?;
        self.files.push(path);
        buffer.clear();
        Ok(())
    }

    /// Replaces all runs by their merge.
    fn fold(&mut self) -> Result<(), TableError> {
        let path = self.folder.next_path();
        let mut run = create_run(&path)?;
        let mut merge = self.merge(None)?;
        let mut pair = Pair::default();
        while merge.next_into(&mut pair)? {
            write_entry(&mut run, &pair.key, &pair.value).map_err(TableError::io("write", &path))?;
        }
        run.flush().map_err(TableError::io("write", &path))?;
        drop(merge);
        for old in std::mem::replace(&mut self.files, vec![path]) {
            fs::remove_file(&old).map_err(TableError::io("remove", &old))?;
        }
        Ok(())
    }

    /// All runs, and the entries of a generation if given, as one ascending stream.
    pub(crate) fn merge<'a>(&self, base: Option<RoIter<'a, Bytes, Bytes>>) -> Result<Merge<'a>, TableError> {
        let mut heads = BinaryHeap::with_capacity(self.files.len() + 1);
        let runs = self.files.iter().map(|path| {
            let file = File::open(path).map_err(TableError::io("open", path))?;
            Ok(Source::Run(BufReader::with_capacity(RUN_READ_BYTES, file), path.clone()))
        });
        for source in runs.chain(base.map(|entries| Ok(Source::Base(entries)))) {
            let mut head = Head { pair: Pair::default(), source: source? };
            if head.advance()? {
                heads.push(head);
            }
        }
        Ok(Merge { heads, last_key: None })
    }
}

fn create_run(path: &Path) -> Result<BufWriter<File>, TableError> {
    let file = File::create_new(path).map_err(TableError::io("create", path))?;
    Ok(BufWriter::with_capacity(RUN_READ_BYTES, file))
}

/// Several sorted sources as one, with the highest version of each key.
pub(crate) struct Merge<'a> {
    heads: BinaryHeap<Head<'a>>,
    last_key: Option<Vec<u8>>,
}

impl Merge<'_> {
    /// Replaces `pair` by the next entry; `false` at the end.
    pub(crate) fn next_into(&mut self, pair: &mut Pair) -> Result<bool, TableError> {
        while let Some(mut head) = self.heads.peek_mut() {
            let is_new = self.last_key.as_ref() != Some(&head.pair.key);
            if is_new {
                std::mem::swap(pair, &mut head.pair);
                let last_key = self.last_key.get_or_insert_default();
                last_key.clear();
                last_key.extend_from_slice(&pair.key);
            }
            if !head.advance()? {
                PeekMut::pop(head);
            }
            if is_new {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

enum Source<'a> {
    Run(BufReader<File>, PathBuf),
    Base(RoIter<'a, Bytes, Bytes>),
}

/// The next entry of one source. Ordered for a max-heap: the smallest key, then the highest version, is the greatest.
struct Head<'a> {
    pair: Pair,
    source: Source<'a>,
}

impl Head<'_> {
    fn advance(&mut self) -> Result<bool, TableError> {
        let is_entry = match &mut self.source {
            Source::Run(run, path) => read_entry(run, path, &mut self.pair)?,
            Source::Base(entries) => match entries.next() {
                Some(entry) => {
                    let (key, value) = entry.map_err(TableError::lmdb("read a generation in order"))?;
                    self.pair.key.clear();
                    self.pair.key.extend_from_slice(key);
                    self.pair.value.clear();
                    self.pair.value.extend_from_slice(value);
                    true
                }
                None => false,
            },
        };
        if is_entry {
            Entry::decode(&self.pair.key, &self.pair.value)?;
        }
        Ok(is_entry)
    }
}

fn read_entry(run: &mut BufReader<File>, path: &Path, pair: &mut Pair) -> Result<bool, TableError> {
    let mut lengths = [0; LENGTHS_BYTES];
    match run.read_exact(&mut lengths) {
        Ok(()) => {}
        // A run that is truncated inside the lengths reads as ended, and missing entries would not be noticed. But
        // nothing truncates a run while the process that wrote it is running.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(TableError::io("read", path)(error)),
    }
    let (key_len, value_len) = lengths_in(&lengths);
    pair.key.resize(key_len, 0);
    pair.value.resize(value_len, 0);
    run.read_exact(&mut pair.key).map_err(TableError::io("read", path))?;
    run.read_exact(&mut pair.value).map_err(TableError::io("read", path))?;
    Ok(true)
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = other.pair.key.cmp(&self.pair.key);
        by_key.then_with(|| version_of(&self.pair.value).cmp(&version_of(&other.pair.value)))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head<'_> {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Change;
    use crate::entry::Key;

    fn push(buffer: &mut Buffer, slug: &str, version: u64) {
        let change = Change { domain: "", slug, version, record: Some(slug.as_bytes()) };
        let (key, mut value) = (Key::new("", slug).unwrap(), Vec::new());
        change.encode_value(key.as_bytes(), &mut value);
        buffer.push(key.as_bytes(), &value);
    }

    #[test]
    fn more_runs_than_are_opened_at_once_merge_to_the_highest_versions() {
        let folder = tempfile::tempdir().unwrap();
        let runs_path = folder.path().join("runs");
        let mut runs = Runs::new(RunFolder::create(runs_path.clone()).unwrap());
        let mut buffer = Buffer::new(1 << 20);
        let run_count = RUNS_OPEN_MAX * 2 + 3;
        for run in 0..run_count {
            for slug in [format!("own-{run:04}"), "shared".to_owned(), "shared".to_owned()] {
                push(&mut buffer, &slug, (run as u64 * 7) % 64 + 1);
            }
            buffer.sort();
            assert_eq!(buffer.iter().count(), 2, "the buffer keeps one entry per key");
            runs.spill(&mut buffer).unwrap();
        }
        let (mut merge, mut pair, mut seen) = (runs.merge(None).unwrap(), Pair::default(), Vec::new());
        while merge.next_into(&mut pair).unwrap() {
            seen.push((String::from_utf8(pair.key[1..].to_vec()).unwrap(), version_of(&pair.value)));
        }
        assert!(seen.is_sorted());
        assert_eq!(seen.len(), run_count + 1);
        assert_eq!(seen.last().unwrap(), &("shared".to_owned(), 64));
        drop((merge, runs));
        assert!(!runs_path.exists());
    }

    #[test]
    fn a_buffer_is_full_at_its_bound() {
        let mut buffer = Buffer::new(100);
        assert!(buffer.is_empty() && !buffer.is_full());
        push(&mut buffer, &"s".repeat(60), 1);
        assert!(buffer.is_full());
    }
}
