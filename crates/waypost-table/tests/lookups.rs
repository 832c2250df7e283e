//! Single look-ups and batches: what is found, what is refused, and which versions are written.
#![allow(clippy::unwrap_used, missing_docs)]

use waypost_table::{
    Applied, BATCH_CHANGES_MAX, Change, Durability, NAME_BYTES_MAX, RECORD_BYTES_MAX, Table, TableError, TableOptions,
};

fn table(folder: &tempfile::TempDir) -> Table {
    let options = TableOptions { durability: Durability::EveryCommit, ..TableOptions::default() };
    Table::open(folder.path(), options).unwrap()
}

fn change<'a>(slug: &'a str, version: u64, record: Option<&'a [u8]>) -> Change<'a> {
    Change { domain: "go.example", slug, version, record }
}

#[test]
fn a_table_is_shared_between_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Table>();
    is_send_and_sync::<TableError>();
}

#[test]
fn nothing_goes_back_to_an_older_version() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&folder);
    let apply = |version, record| table.apply(&[change("s", version, record)], version).unwrap();
    let find = || table.get("go.example", "s", <[u8]>::to_vec).unwrap();
    let (written, stale) = (Applied { written: 1, stale: 0 }, Applied { written: 0, stale: 1 });

    assert_eq!((apply(3, Some(b"three")), find()), (written, Some(b"three".to_vec())));
    assert_eq!((apply(3, Some(b"other")), find()), (stale, Some(b"three".to_vec())));
    assert_eq!((apply(2, None), find()), (stale, Some(b"three".to_vec())));
    assert_eq!((apply(5, None), find()), (written, None));
    assert_eq!((apply(4, Some(b"four")), find()), (stale, None));
    assert_eq!((apply(6, Some(b"")), find()), (written, Some(Vec::new())));
    assert_eq!(table.cursor(), 6);

    let batch = [change("t", 2, Some(b"new")), change("t", 1, Some(b"old")), change("t", 3, None)];
    assert_eq!(table.apply(&batch, 1).unwrap(), Applied { written: 2, stale: 1 });
    assert_eq!(table.cursor(), 6, "the cursor never goes back");
    let stats = table.stats().unwrap();
    assert_eq!((stats.links, stats.tombstones), (1, 1));
}

#[test]
fn names_do_not_run_into_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&folder);
    let names = [("", "ab"), ("a", "b"), ("ab", ""), ("", ""), ("a.example", "x/y"), ("", "ünïcode-ß")];
    for (domain, slug) in names {
        let record = format!("{domain}|{slug}");
        table.apply(&[Change { domain, slug, version: 1, record: Some(record.as_bytes()) }], 0).unwrap();
    }
    for (domain, slug) in names {
        let found = table.get(domain, slug, |record| String::from_utf8(record.to_vec()).unwrap()).unwrap();
        assert_eq!(found.unwrap(), format!("{domain}|{slug}"));
    }
    // The table's own entries and ambiguous names are not links.
    for (domain, slug) in [("\u{1}table", ""), ("", "\u{1}table"), ("a\0b", ""), ("", "a\0b"), ("\0", "ab"), ("", "b")]
    {
        assert_eq!(table.get(domain, slug, <[u8]>::len).unwrap(), None, "{domain:?} {slug:?}");
    }
}

#[test]
fn what_cannot_be_held_is_refused_with_its_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&folder);
    let long = "s".repeat(NAME_BYTES_MAX);
    let large = vec![0; RECORD_BYTES_MAX + 1];
    let good = change("good", 1, Some(b"record"));

    let check = |bad: Change<'_>, expect: fn(&TableError) -> bool| {
        let error = table.apply(&[good, bad], 9).unwrap_err();
        assert!(expect(&error), "{error:?}");
    };
    check(change(&long, 1, None), |error| matches!(error, TableError::NameTooLong { size_bytes: 490 }));
    check(change("a\0b", 1, None), |error| matches!(error, TableError::NulInName));
    check(change("s", 1, Some(&large)), |error| matches!(error, TableError::RecordTooLarge { .. }));
    let many = vec![good; BATCH_CHANGES_MAX + 1];
    assert!(matches!(table.apply(&many, 9), Err(TableError::BatchTooLarge { .. })));
    assert_eq!(table.get("go.example", "good", |_| ()).unwrap(), None);
    assert_eq!((table.cursor(), table.stats().unwrap().links), (0, 0));

    // Exactly at the limits, and a look-up beyond them.
    let edge = Change { domain: "", slug: &long, version: 1, record: Some(&large[1..]) };
    table.apply(&[edge], 1).unwrap();
    assert_eq!(table.get("", &long, <[u8]>::len).unwrap(), Some(RECORD_BYTES_MAX));
    assert_eq!(table.get("d", &long, <[u8]>::len).unwrap(), None);
    assert_eq!(table.get("", &"s".repeat(100_000), <[u8]>::len).unwrap(), None);
}

#[test]
fn a_look_up_within_a_look_up_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&folder);
    table.apply(&[change("s", 1, Some(b"record"))], 1).unwrap();
    let inner = table.get("go.example", "s", |_| table.get("go.example", "s", <[u8]>::len)).unwrap().unwrap();
    assert_eq!(inner.unwrap(), Some(6));
    assert_eq!(table.get("go.example", "s", <[u8]>::len).unwrap(), Some(6));
}

#[test]
fn an_empty_batch_moves_the_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(table(&folder).apply(&[], 12).unwrap(), Applied::default());
    assert_eq!(Table::open(path, TableOptions::default()).unwrap().cursor(), 12);
}
