//! The spool with its threads, on real file systems.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::consumer::{Consumer, Fate, payload};
use crate::{Appended, LossCause, ReadLimit, Spool, SpoolOptions, Writer};

const DEADLINE: Duration = Duration::from_secs(60);

/// Appends that many records; returns what became of each.
fn append_all(mut writer: Writer, count: u64) -> (u64, Vec<Fate>) {
    let epoch = writer.epoch();
    let fates = (1..=count).map(|sequence| {
        let payload = payload(epoch, sequence, (sequence % 300) as usize);
        match writer.append(&payload) {
            Appended::Stored { .. } => Fate::Record(payload),
            Appended::Lost { .. } => Fate::Lost(LossCause::Full),
        }
    });
    let fates = fates.collect();
    (epoch, fates)
}

#[track_caller]
fn check_concurrency(bytes_max: u64) -> usize {
    const WRITERS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let options = SpoolOptions {
        segment_bytes: 65536,
        bytes_max,
        flush_interval: Duration::from_millis(5),
        ..SpoolOptions::default()
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    let mut reader = spool.reader().unwrap();
    let threads: Vec<_> = (0..WRITERS)
        .map(|_| {
            let writer = spool.writer().unwrap();
            thread::spawn(move || append_all(writer, 8000))
        })
        .collect();
    let mut consumer = Consumer::default();
    let start = Instant::now();
    while consumer.fates.values().map(Vec::len).sum::<usize>() < WRITERS * 8000 {
        assert!(start.elapsed() < DEADLINE, "{spool:?}");
        match reader.next(ReadLimit { records: 100, bytes: 20_000 }).unwrap() {
            Some(chunk) => consumer.take(&chunk),
            None => thread::yield_now(),
        }
        reader.release(&consumer.positions()).unwrap();
    }
    let mut lost = 0;
    for thread in threads {
        let (epoch, fates) = thread.join().unwrap();
        lost += fates.iter().filter(|fate| matches!(fate, Fate::Lost(_))).count();
        assert!(consumer.of(epoch) == fates, "epoch {epoch}");
    }
    assert!(reader.next(ReadLimit::default()).unwrap().is_none());
    reader.release(&consumer.positions()).unwrap();
    assert_eq!(spool.stats().pending, 0);
    assert!(spool.stats().bytes_on_disk <= bytes_max);
    lost
}

#[test]
fn writers_and_reader_run_at_the_same_time() {
    let lost = check_concurrency(1 << 30);
    assert_eq!(lost, 0);
}

#[test]
fn writers_and_reader_run_at_the_same_time_with_little_room() {
    let _ = check_concurrency(9 * 65536);
}

#[test]
fn files_are_private_and_flushed_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/spool");
    let options = SpoolOptions { flush_interval: Duration::from_millis(1), ..SpoolOptions::default() };
    let spool = Spool::open(&path, options).unwrap();
    let mut writer = spool.writer().unwrap();
    let _ = writer.append(b"a click");
    let start = Instant::now();
    while spool.stats().flushes < 2 {
        assert!(start.elapsed() < DEADLINE);
        thread::yield_now();
    }
    assert!(spool.stats().last_flush_age.is_some());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    spool.close();
    assert!(matches!(spool.writer(), Err(crate::SpoolError::Closed)));
    assert!(matches!(writer.append(b"another"), Appended::Stored { sequence: 2 }));
    let edge = spool.edge_id().to_owned();
    drop((writer, spool));
    let spool = Spool::open(&path, SpoolOptions::default()).unwrap();
    assert_eq!((spool.edge_id().to_owned(), edge.len()), (edge, 16));
    assert_eq!(spool.stats().pending, 2);
}

/// A tmpfs that is taken away at the end.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub(crate) fn mount(bytes: u64) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes},mode=700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "spool-test"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(SmallDisk(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_is_really_full_costs_only_counted_clicks() {
    let Some(disk) = SmallDisk::mount(1 << 20) else {
        eprintln!("skipped: a small tmpfs cannot be mounted here");
        return;
    };
    let folder = disk.path().join("spool");
    let options = SpoolOptions { segment_bytes: 65536, ..SpoolOptions::default() };
    let spool = Spool::open(&folder, options).unwrap();
    let mut answered: BTreeMap<u64, Vec<Fate>> = BTreeMap::new();
    let (epoch, fates) = append_all(spool.writer().unwrap(), 10_000);
    let lost = fates.iter().filter(|fate| matches!(fate, Fate::Lost(_))).count();
    assert!(lost > 1000 && lost < 9000, "{lost}");
    answered.insert(epoch, fates);
    // A writer can be opened now, too.
    let mut writer = spool.writer().unwrap();
    let mut fates: Vec<Fate> = Vec::new();
    let mut consumer = Consumer::default();
    let mut reader = spool.reader().unwrap();
    let mut sequence = 0;
    let start = Instant::now();
    // Draining makes room, and the writer finds it by itself.
    loop {
        assert!(start.elapsed() < DEADLINE, "{spool:?}");
        sequence += 1;
        let payload = payload(writer.epoch(), sequence, 100);
        match writer.append(&payload) {
            Appended::Stored { .. } => {
                fates.push(Fate::Record(payload));
                break;
            }
            Appended::Lost { .. } => fates.push(Fate::Lost(LossCause::Full)),
        }
        consumer.drain(&mut reader);
        reader.release(&consumer.positions()).unwrap();
    }
    answered.insert(writer.epoch(), fates);
    consumer.drain(&mut reader);
    assert!(consumer.fates == answered);
}

/// A database beside the spool must be able to write what frees it.
#[test]
fn a_spool_that_fills_a_disk_leaves_room_for_the_databases() {
    const DISK_BYTES: u64 = 8 << 20;
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else {
        eprintln!("skipped: a small tmpfs cannot be mounted here");
        return;
    };
    let options = SpoolOptions { segment_bytes: 256 << 10, ..SpoolOptions::default() };
    let spool = Spool::open(&disk.path().join("spool"), options).unwrap();
    let (_, fates) = append_all(spool.writer().unwrap(), 80_000);
    assert!(matches!(fates.last(), Some(Fate::Lost(LossCause::Full))), "the disk is full for it");
    std::fs::write(disk.path().join("database"), vec![1; DISK_BYTES as usize / 16]).unwrap();
}
