//! When a link that is not found is known not to exist, and whose links a table has.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use waypost_table::{Change, Table, TableOptions};

fn open(path: &Path) -> Table {
    Table::open(path, TableOptions { map_size_bytes: 1 << 20, ..TableOptions::default() }).unwrap()
}

fn put(table: &Table, slug: &str, version: u64) {
    table.apply(&[Change { domain: "", slug, version, record: Some(b"record") }], version).unwrap();
}

fn states(table: &Table) -> (bool, bool) {
    (table.knows_all(), table.is_complete().unwrap())
}

#[test]
fn a_fill_that_was_cut_short_is_still_one_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let table = open(folder.path());
    assert_eq!(states(&table), (false, false));
    put(&table, "a", 1);
    table.trust().unwrap();
    assert_eq!(states(&table), (false, false), "half of a fill is no reason to trust");
    drop(table);
    let table = open(folder.path());
    assert_eq!((states(&table), table.cursor()), ((false, false), 1));
    put(&table, "b", 2);
    table.confirm().unwrap();
    assert_eq!(states(&table), (true, true));
}

#[test]
fn a_complete_table_says_so_after_a_restart_and_knows_all_only_when_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let table = open(folder.path());
    table.confirm().unwrap();
    put(&table, "a", 1);
    table.set_domains(&[]).unwrap();
    assert_eq!(states(&table), (true, true));
    table.doubt();
    assert_eq!(states(&table), (false, true));
    drop(table);
    let table = open(folder.path());
    assert_eq!(states(&table), (false, true), "its store may have gone on");
    table.trust().unwrap();
    assert_eq!(states(&table), (true, true));
}

#[test]
fn a_rebuild_is_complete_and_growth_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let table =
        Table::open(folder.path(), TableOptions { map_size_bytes: 64 << 10, ..TableOptions::default() }).unwrap();
    let first = table.stats().unwrap().generation;
    let mut version = 0;
    while table.stats().unwrap().generation == first {
        version += 1;
        put(&table, &format!("{version}"), version);
    }
    assert_eq!(states(&table), (false, false));
    assert!(!table.belong_to("one store").unwrap());
    let rebuild = table.rebuild().unwrap();
    assert_eq!(states(&table), (false, false));
    rebuild.finish(version).unwrap();
    assert_eq!(states(&table), (false, true));
    assert!(!table.belong_to("one store").unwrap(), "a rebuild is of the same store");
}

#[test]
fn links_of_another_store_are_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let table = open(folder.path());
    put(&table, "a", 7);
    assert!(!table.belong_to("one store").unwrap(), "who said nothing belongs to whoever comes");
    table.confirm().unwrap();
    drop(table);
    let table = open(folder.path());
    assert!(!table.belong_to("one store").unwrap());
    assert_eq!(table.get("", "a", <[u8]>::len).unwrap(), Some(6));
    table.trust().unwrap();
    assert!(table.belong_to("another store").unwrap());
    assert_eq!((table.get("", "a", <[u8]>::len).unwrap(), table.cursor(), states(&table)), (None, 0, (false, false)));
    put(&table, "b", 1);
    drop(table);
    let table = open(folder.path());
    assert!(!table.belong_to("another store").unwrap());
    assert_eq!(table.get("", "b", <[u8]>::len).unwrap(), Some(6));
}
