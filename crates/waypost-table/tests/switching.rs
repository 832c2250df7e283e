//! Switches of generations while threads look links up: growth, rebuild, and readers that stay in an old generation.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use waypost_table::{Change, Table, TableError, TableOptions};

const LINKS: u64 = 64;
const READERS: usize = 3;

fn tiny() -> TableOptions {
    TableOptions { map_size_bytes: 64 << 10, run_bytes_max: 4_000, ..TableOptions::default() }
}

/// A record that contains its link and version, and that is long enough to show if it is torn.
fn record(link: u64, version: u64) -> Vec<u8> {
    let mut record = [link.to_le_bytes(), version.to_le_bytes()].concat();
    record.resize(300, (link ^ version) as u8);
    record
}

/// Checks a record against itself and returns its version.
fn version_of(link: u64, found: &[u8]) -> u64 {
    let version = u64::from_le_bytes(found[8..16].try_into().unwrap());
    assert_eq!(found, record(link, version));
    version
}

fn put(table: &Table, link: u64, version: u64) {
    put_all(table, link..link + 1, version);
}

fn put_all(table: &Table, links: Range<u64>, version: u64) {
    let named: Vec<(String, Vec<u8>)> = links.map(|link| (format!("{link:03}"), record(link, version))).collect();
    let changes: Vec<Change<'_>> =
        named.iter().map(|(slug, record)| Change { domain: "", slug, version, record: Some(record) }).collect();
    table.apply(&changes, version).unwrap();
}

fn version_in(table: &Table, link: u64) -> Option<u64> {
    table.get("", &format!("{link:03}"), |found| version_of(link, found)).unwrap()
}

/// Runs `write` while `READERS` threads look all links up, and checks that each link is always found and never older
/// than this thread saw it before. Returns the number of look-ups.
fn with_readers(table: &Table, write: impl FnOnce()) -> u64 {
    let is_over = AtomicBool::new(false);
    let lookups = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut seen = [0; LINKS as usize];
                while !is_over.load(Ordering::Relaxed) {
                    for link in 0..LINKS {
                        let version = version_in(table, link).expect("every link exists throughout");
                        assert!(version >= seen[link as usize], "link {link} went back");
                        seen[link as usize] = version;
                        lookups.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // Ends the readers on a panic, too.
        let over = OnDrop(&is_over);
        write();
        drop(over);
    });
    lookups.into_inner()
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

fn generations(path: &Path) -> usize {
    let names = fs::read_dir(path).unwrap().map(|item| item.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("gen-")).count()
}

#[test]
fn a_full_table_grows_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), tiny()).unwrap();
    for link in 0..LINKS {
        put(&table, link, 1);
    }
    let before = table.stats().unwrap();
    with_readers(&table, || {
        for round in 2..6 {
            (0..LINKS).for_each(|link| put(&table, link, round));
        }
        for first in (1_000..4_000).step_by(50) {
            put_all(&table, first..first + 50, 6);
        }
    });
    let after = table.stats().unwrap();
    assert!(after.map_bytes > 4 * before.map_bytes && after.generation > before.generation, "{after:?}");
    assert_eq!((after.links, after.cursor), (LINKS + 3_000, 6));
    wait_until("old generations are removed", || {
        table.apply(&[], 0).unwrap();
        generations(folder.path()) == 1
    });
    drop(table);
    let table = Table::open(folder.path(), tiny()).unwrap();
    assert!((1_000..4_000).all(|link| version_in(&table, link) == Some(6)));
    // The map's size follows the file, so that a table need not grow again.
    assert!(table.stats().unwrap().map_bytes >= 2 * after.used_bytes);
}

#[test]
fn a_growth_that_nobody_reads_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), tiny()).unwrap();
    let first = table.stats().unwrap().generation;
    let mut version = 0;
    while table.stats().unwrap().generation == first {
        version += 1;
        put(&table, version, version);
    }
    assert_eq!(generations(folder.path()), 1);
}

#[test]
fn one_batch_larger_than_the_map_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), tiny()).unwrap();
    let large = vec![b'l'; 500_000];
    let slugs: Vec<String> = (0..20).map(|index| format!("large-{index}")).collect();
    let changes: Vec<Change<'_>> =
        slugs.iter().map(|slug| Change { domain: "", slug, version: 1, record: Some(&large) }).collect();
    assert_eq!(table.apply(&changes, 1).unwrap().written, 20);
    assert_eq!(table.get("", "large-19", <[u8]>::len).unwrap(), Some(500_000));
}

#[test]
fn growth_ends_at_its_limit_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), TableOptions { map_size_max_bytes: 512 << 10, ..tiny() }).unwrap();
    let mut written = 0;
    let error = loop {
        let record = record(written, 1);
        let slug = format!("{written:03}");
        match table.apply(&[Change { domain: "", slug: &slug, version: 1, record: Some(&record) }], written) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, TableError::MapLimit { max_bytes: 524_288, .. }), "{error:?}");
    assert!(written > 500, "{written}");
    assert!((0..written).all(|link| version_in(&table, link) == Some(1)));
    assert_eq!(table.cursor(), written - 1);
    // Opened with a higher limit it takes writes again.
    drop(table);
    let table = Table::open(folder.path(), tiny()).unwrap();
    put(&table, 0, written);
    assert_eq!(version_in(&table, 0), Some(written));
}

#[test]
fn a_rebuild_switches_while_the_table_is_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), tiny()).unwrap();
    (0..LINKS).for_each(|link| put(&table, link, 1));
    let mut version = 1;
    let lookups = with_readers(&table, || {
        for _ in 0..10 {
            let mut rebuild = table.rebuild().unwrap();
            assert!(matches!(table.rebuild(), Err(TableError::RebuildRunning)));
            // The snapshot is older than what is applied meanwhile, which must win.
            let snapshot = version;
            for link in (0..LINKS).rev() {
                version += 1;
                put(&table, link, version);
                let record = record(link, snapshot);
                let slug = format!("{link:03}");
                rebuild.put(Change { domain: "", slug: &slug, version: snapshot, record: Some(&record) }).unwrap();
            }
            let stats = rebuild.finish(snapshot).unwrap();
            assert_eq!((stats.links, stats.cursor), (LINKS, version));
        }
    });
    assert!(lookups > 0);
    wait_until("old generations are removed", || {
        table.apply(&[], 0).unwrap();
        generations(folder.path()) == 1
    });
}

#[test]
fn what_is_not_put_is_gone_after_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), TableOptions::default()).unwrap();
    put(&table, 1, 5);
    put(&table, 2, 5);
    let mut rebuild = table.rebuild().unwrap();
    let (old, new) = (record(2, 3), record(2, 4));
    rebuild.put(Change { domain: "", slug: "002", version: 3, record: Some(&old) }).unwrap();
    rebuild.put(Change { domain: "", slug: "002", version: 4, record: Some(&new) }).unwrap();
    assert!(rebuild.put(Change { domain: "\0", slug: "", version: 4, record: None }).is_err());
    assert_eq!((version_in(&table, 1), version_in(&table, 2)), (Some(5), Some(5)));
    // The cursor lies before the start: what the live table had beyond it must be applied again.
    assert_eq!(rebuild.finish(4).unwrap().cursor, 4);
    assert_eq!((version_in(&table, 1), version_in(&table, 2), table.cursor()), (None, Some(4), 4));
}

#[test]
fn a_reader_that_stays_keeps_its_record_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), tiny()).unwrap();
    (0..LINKS).for_each(|link| put(&table, link, 1));
    let (entered_tx, entered) = mpsc::channel();
    let (leave, leave_rx) = mpsc::channel::<()>();
    let table = &table;
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let stay = |found: &[u8]| {
                entered_tx.send(()).unwrap();
                leave_rx.recv().unwrap();
                version_of(7, found)
            };
            table.get("", "007", stay).unwrap()
        });
        entered.recv().unwrap();
        // The reader does not see writes, growth and a rebuild; another reader sees them at once.
        let first = table.stats().unwrap().generation;
        for version in 2..40 {
            (0..LINKS).for_each(|link| put(table, link, version));
        }
        let grown = table.stats().unwrap().generation;
        assert!(grown > first, "freed pages cannot be reused while the reader is inside, so the table grew");
        let mut rebuild = table.rebuild().unwrap();
        let record = record(7, 50);
        rebuild.put(Change { domain: "", slug: "007", version: 50, record: Some(&record) }).unwrap();
        assert!(rebuild.finish(50).unwrap().generation > grown);
        assert_eq!(version_in(table, 7), Some(50));
        assert!(generations(folder.path()) > 1, "the reader's generation is kept");
        leave.send(()).unwrap();
        assert_eq!(reader.join().unwrap(), Some(1));
    });
    table.apply(&[], 0).unwrap();
    assert_eq!(generations(folder.path()), 1);
}

#[test]
fn an_abandoned_rebuild_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), tiny()).unwrap();
    put(&table, 1, 1);
    let mut rebuild = table.rebuild().unwrap();
    for link in (0..500).rev() {
        let record = record(link, 9);
        rebuild.put(Change { domain: "", slug: &format!("{link:03}"), version: 9, record: Some(&record) }).unwrap();
    }
    put(&table, 1, 2);
    drop(rebuild);
    assert_eq!((version_in(&table, 1), version_in(&table, 2)), (Some(2), None));
    assert_eq!(generations(folder.path()), 1);
    assert!(table.rebuild().is_ok());
}

#[test]
fn lookups_on_many_short_lived_threads_do_not_use_the_readers_up() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::open(folder.path(), TableOptions { readers_max: 8, ..tiny() }).unwrap();
    put(&table, 1, 1);
    for _ in 0..50 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(version_in(&table, 1), Some(1)));
            }
        });
    }
}
