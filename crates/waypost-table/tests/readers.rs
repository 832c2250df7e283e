//! Look-ups by remembered places: never older than an acknowledged write, whatever nodes move meanwhile.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use waypost_table::{Change, Reader, Table, TableError, TableOptions};

const LINKS: u64 = 200;
const READERS: usize = 2;
const WRITES: u64 = 4_000;

/// A record that contains its link and version, and that shows if it is torn. The lengths differ, so that nodes move.
fn record(link: u64, version: u64) -> Vec<u8> {
    let mut record = [link.to_le_bytes(), version.to_le_bytes()].concat();
    record.resize(100 + (version * 37 % 300) as usize, (link ^ version) as u8);
    record
}

/// The version of a valid record of this link.
fn version_of(link: u64, found: &[u8]) -> Option<u64> {
    let version = u64::from_le_bytes(found.get(8..16)?.try_into().unwrap());
    (version < WRITES && found == record(link, version)).then_some(version)
}

fn put(table: &Table, links: &[u64], version: u64) {
    let named: Vec<(String, Vec<u8>)> =
        links.iter().map(|link| (format!("{link:04}"), record(*link, version))).collect();
    let changes: Vec<Change<'_>> =
        named.iter().map(|(slug, record)| Change { domain: "", slug, version, record: Some(record) }).collect();
    table.apply(&changes, version).unwrap();
}

#[test]
fn a_reader_sees_every_write_that_has_returned() {
    let folder = tempfile::tempdir().unwrap();
    // Small, so that pages are soon used again and the table grows during the test.
    let options = TableOptions { map_size_bytes: 128 << 10, ..TableOptions::default() };
    let table = Arc::new(Table::open(folder.path(), options).unwrap());
    put(&table, &(0..LINKS).collect::<Vec<_>>(), 1);
    let written: Vec<AtomicU64> = (0..LINKS).map(|_| AtomicU64::new(1)).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let reader = Reader::new(table.clone());
                while !is_over.load(Ordering::Relaxed) {
                    for link in 0..LINKS {
                        let slug = format!("{link:04}");
                        reader.expect(b"", slug.as_bytes());
                        let least = written[link as usize].load(Ordering::Acquire);
                        reader.prefetch();
                        let version = reader.get("", &slug, |found| version_of(link, found)).unwrap();
                        assert!(version.unwrap() >= least, "link {link}: {version:?} after {least}");
                    }
                }
            });
        }
        for version in 2..WRITES {
            let links = [version * 7 % LINKS, version * 13 % LINKS];
            put(&table, &links, version);
            for link in links {
                written[link as usize].store(version, Ordering::Release);
            }
            if version % 500 == 0 {
                table.warm(|| true).unwrap();
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(table.stats().unwrap().generation > 1, "the table was to grow");
}

#[test]
fn deleted_links_are_gone_at_once_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let table = Arc::new(Table::open(folder.path(), TableOptions::default()).unwrap());
    let reader = Reader::new(table.clone());
    let get = || reader.get("go.example", "s", |found| Some(found.to_vec())).unwrap();
    let apply = |version: u64, record: Option<&[u8]>| {
        table.apply(&[Change { domain: "go.example", slug: "s", version, record }], version).unwrap();
    };
    assert_eq!(get(), None);
    for version in 1..20_u64 {
        let record = version.to_le_bytes();
        let record = (!version.is_multiple_of(3)).then_some(&record[..]);
        apply(version, record);
        for _ in 0..3 {
            assert_eq!(get().as_deref(), record, "version {version}");
        }
    }
}

#[test]
fn what_is_refused_in_the_tree_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let table = Arc::new(Table::open(folder.path(), TableOptions::default()).unwrap());
    table.apply(&[Change { domain: "", slug: "s", version: 1, record: Some(b"record") }], 1).unwrap();
    let reader = Reader::new(table);
    for asked_before in [false, true] {
        let mut asked = 0;
        let refused = reader.get("", "s", |_| {
            asked += 1;
            None::<()>
        });
        assert!(matches!(refused, Err(TableError::DamagedEntry { .. })), "{refused:?}");
        assert_eq!(asked, if asked_before { 2 } else { 1 }, "once where it was remembered, once in the tree");
        assert_eq!(reader.get("", "s", |found| Some(found.len())).unwrap(), Some(6));
    }
    assert_eq!(reader.get("", &"s".repeat(500), |_| Some(())).unwrap(), None);
    assert_eq!(reader.get("", "absent", |_| Some(())).unwrap(), None);
}

#[test]
fn everything_is_found_after_warming_up() {
    let folder = tempfile::tempdir().unwrap();
    let table = Arc::new(Table::open(folder.path(), TableOptions::default()).unwrap());
    let mut rebuild = table.rebuild().unwrap();
    for link in 0..30_000_u64 {
        let record = record(link, 1);
        rebuild.put(Change { domain: "", slug: &format!("{link:05}"), version: 1, record: Some(&record) }).unwrap();
    }
    rebuild.finish(1).unwrap();
    let room = table.stats().unwrap().places_max;
    assert!((30_000..60_000).contains(&room), "{room}");
    let mut steps = 0;
    let stopped = std::cell::Cell::new(0);
    assert!(table.warm(|| stopped.replace(stopped.get() + 1) < 2).unwrap() < 30_000, "told to stop");
    assert!(table.warm(|| true).unwrap() > 30_000);
    let reader = Reader::new(table);
    for link in 0..30_000 {
        let mut asked = 0;
        let found = reader.get("", &format!("{link:05}"), |found| {
            asked += 1;
            // After the first refusal it is called again only if the bytes were not from the tree.
            (asked == 2).then(|| version_of(link, found))
        });
        steps += u64::from(matches!(found, Ok(Some(Some(1)))));
    }
    // Some lines get more keys than they have slots.
    assert!(steps > 27_000, "{steps} of 30000 were found without the tree");
}

#[test]
fn without_places_everything_is_found_in_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    for remember_places in [false, true, false] {
        let options = TableOptions { remember_places, ..TableOptions::default() };
        let table = Arc::new(Table::open(folder.path(), options).unwrap());
        let (first, last) = (table.cursor() + 1, table.cursor() + 5);
        for version in first..last {
            put(&table, &(0..LINKS).collect::<Vec<_>>(), version);
        }
        assert!(table.warm(|| true).unwrap() > LINKS);
        assert_eq!(table.stats().unwrap().places_max > 0, remember_places);
        let reader = Reader::new(Arc::clone(&table));
        for link in 0..LINKS {
            let slug = format!("{link:04}");
            reader.expect(b"", slug.as_bytes());
            reader.prefetch();
            let mut asked = 0;
            let refused = reader.get("", &slug, |_| {
                asked += 1;
                None::<()>
            });
            assert!(matches!(refused, Err(TableError::DamagedEntry { .. })), "{refused:?}");
            assert_eq!(asked, if remember_places { 2 } else { 1 }, "where it was remembered, and in the tree");
            let version = reader.get("", &slug, |found| version_of(link, found)).unwrap();
            assert_eq!(version, Some(last - 1));
        }
    }
}
