//! A folder that came here as a sparse copy: nothing is mapped that has not all its blocks.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use super::consumer::{Consumer, payload};
use super::disk::SmallDisk;
use super::world::World;
use crate::{Appended, Spool, SpoolOptions};

/// Names the folder for the child; without it the child's test does nothing.
const FOLDER: &str = "WAYPOST_SPOOL_SPARSE_FOLDER";
const SEGMENT_BYTES: u64 = 65536;

fn options() -> SpoolOptions {
    SpoolOptions { segment_bytes: SEGMENT_BYTES, ..SpoolOptions::default() }
}

/// Uses a spool until there are files in it that wait to be used again, and lets go of all of it.
fn use_spool(folder: &Path) -> Consumer {
    let spool = Spool::open(folder, options()).unwrap();
    let mut writer = spool.writer().unwrap();
    let mut reader = spool.reader().unwrap();
    let mut consumer = Consumer::default();
    for sequence in 1..=3000 {
        let _ = writer.append(&payload(1, sequence, 100));
        if sequence % 300 == 0 {
            consumer.drain(&mut reader);
            reader.release(&consumer.positions()).unwrap();
        }
    }
    drop(writer);
    consumer.drain(&mut reader);
    reader.release(&consumer.positions()).unwrap();
    consumer
}

/// Puts files of the same bytes in place, none of which has a block where there are only zeros; and zeros in those that
/// wait to be used again.
fn make_sparse(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_free = path.file_name().unwrap().to_string_lossy().starts_with("free-");
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
        file.set_len(content.len() as u64).unwrap();
        for (index, block) in content.chunks(4096).enumerate().filter(|_| !is_free) {
            if block.iter().any(|byte| *byte != 0) {
                std::os::unix::fs::FileExt::write_all_at(&file, block, index as u64 * 4096).unwrap();
            }
        }
    }
}

fn blocks_bytes(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn a_sparse_copy_is_never_mapped_before_it_has_its_blocks() {
    let mut world = World::new();
    world.open();
    world.add_writer();
    for _ in 0..300 {
        let _ = world.append(0, 60);
    }
    world.consume(usize::MAX).unwrap();
    world.release().unwrap();
    let _ = world.append(0, 60);
    world.kill();
    world.memory.make_sparse();
    world.memory.fill_up();
    // The file system of these tests panics when a file without blocks is mapped.
    world.open();
    world.add_writer();
    for _ in 0..50 {
        assert!(matches!(world.append(0, 60), Appended::Lost { .. }));
        world.prepare().unwrap_err();
    }
    world.consume(usize::MAX).unwrap();
    world.memory.set_capacity(u64::MAX);
    world.prepare().unwrap();
    for _ in 0..500 {
        assert!(matches!(world.append(0, 60), Appended::Stored { .. }));
    }
    world.kill();
    world.drain();
    world.check_exact();
}

#[test]
fn segments_that_are_used_again_have_all_their_blocks() {
    let folder = tempfile::tempdir().unwrap();
    use_spool(folder.path());
    make_sparse(folder.path());
    let free = |name: &str| name.starts_with("free-");
    let segment = |name: &str| name.starts_with("seg-");
    let paths = |which: &dyn Fn(&str) -> bool| {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| which(&path.file_name().unwrap().to_string_lossy())).collect::<Vec<_>>()
    };
    let sparse = paths(&free);
    assert!(!sparse.is_empty());
    assert!(sparse.iter().all(|path| blocks_bytes(path) < SEGMENT_BYTES), "the test's own files must be sparse");
    // Cut short by somebody, after the start has seen it.
    let spool =
        Spool::open_without_threads(std::sync::Arc::new(crate::Disk::new(folder.path()).unwrap()), options()).unwrap();
    fs::OpenOptions::new().write(true).open(&sparse[0]).unwrap().set_len(100).unwrap();
    let writers: Vec<_> = sparse.iter().map(|_| spool.writer().unwrap()).collect();
    let used = paths(&segment);
    assert_eq!((used.len(), paths(&free).len()), (sparse.len(), 0));
    for path in &used {
        let length = fs::metadata(path).unwrap().len();
        assert!(blocks_bytes(path) >= SEGMENT_BYTES && length == SEGMENT_BYTES, "{}: {length}", path.display());
    }
    assert!(blocks_bytes(&folder.path().join("spool.losses")) >= 65536);
    drop(writers);
}

/// The child: appends until much was lost, and lets itself be seen at the end.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let spool = Spool::open(folder.as_ref(), options()).unwrap();
    let mut writer = spool.writer().unwrap();
    let epoch = writer.epoch();
    let lost = (1..=20_000)
        .filter(|sequence| matches!(writer.append(&payload(epoch, *sequence, 100)), Appended::Lost { .. }))
        .count();
    assert!(lost > 10_000, "{lost}");
}

#[test]
fn a_full_disk_under_a_sparse_copy_is_no_signal() {
    let Some(disk) = SmallDisk::mount(1 << 20) else {
        eprintln!("skipped: a small tmpfs cannot be mounted here");
        return;
    };
    let folder = disk.path().join("spool");
    let mut consumer = use_spool(&folder);
    make_sparse(&folder);
    let sparse = fs::read_dir(&folder).unwrap().map(|entry| blocks_bytes(&entry.unwrap().path())).sum::<u64>();
    assert!(sparse < 3 * SEGMENT_BYTES, "the test's own copy must be sparse: {sparse}");
    // All that is left is taken by somebody else.
    let mut filler = fs::File::create(disk.path().join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[1; 4096]).is_ok() {}
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["tests::sparse::child", "--exact"])
        .env(FOLDER, &folder)
        .status()
        .unwrap();
    assert!(status.success(), "{status}, signal {:?}", status.signal());
    // The number of lost clicks is known after all.
    let spool = Spool::open(&folder, options()).unwrap();
    let mut reader = spool.reader().unwrap();
    reader.start_at(&consumer.positions());
    consumer.drain(&mut reader);
    assert_eq!(consumer.fates.values().map(Vec::len).max(), Some(20_000), "{:?}", spool.stats());
}
