//! Opening folders with different contents: what is created, refused without a change or replaced, and what a crash
//! leaves.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use waypost_core::domain::DomainSettings;
use waypost_table::{Change, Table, TableError, TableOptions};

fn open(path: &Path) -> Result<Table, TableError> {
    Table::open(path, TableOptions::default())
}

fn put(table: &Table, slug: &str, version: u64) {
    let change = Change { domain: "", slug, version, record: Some(slug.as_bytes()) };
    table.apply(&[change], version).unwrap();
}

fn find(table: &Table, slug: &str) -> Option<Vec<u8>> {
    table.get("", slug, <[u8]>::to_vec).unwrap()
}

/// A closed table with some links, and its LMDB file.
fn closed_table(path: &Path) -> PathBuf {
    let table = open(path).unwrap();
    let slugs: Vec<String> = (0..500).map(|index| format!("slug-{index:04}")).collect();
    for (version, slugs) in slugs.chunks(100).enumerate() {
        let version = version as u64 + 1;
        let changes: Vec<Change<'_>> =
            slugs.iter().map(|slug| Change { domain: "", slug, version, record: Some(slug.as_bytes()) }).collect();
        table.apply(&changes, version).unwrap();
    }
    path.join("gen-000001/data.mdb")
}

/// Every file below `path` with its contents.
fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for item in fs::read_dir(path).unwrap() {
        let item = item.unwrap().path();
        if item.is_dir() {
            files.extend(contents(&item));
        } else {
            let bytes = fs::read(&item).unwrap();
            files.insert(item, bytes);
        }
    }
    files
}

/// Opening must fail with an error that `expect` accepts and whose message names a path. No file may change.
#[track_caller]
fn check_refused(path: &Path, expect: fn(&TableError) -> bool) {
    let before = contents(path);
    let error = open(path).unwrap_err();
    assert!(expect(&error), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(contents(path), before, "{error}");
}

/// Opening must replace the table by an empty one, to which links can be written and which opens again.
#[track_caller]
fn check_replaced(path: &Path, what: &str) {
    let table = open(path).unwrap();
    assert_eq!((table.cursor(), table.stats().unwrap().links, table.is_complete().unwrap()), (0, 0, false), "{what}");
    assert!(table.domains().all().is_empty(), "{what}");
    assert_eq!(find(&table, "slug-0000"), None, "{what}");
    put(&table, "new", 1);
    drop(table);
    assert_eq!(find(&open(path).unwrap(), "new"), Some(b"new".to_vec()), "{what}");
    let is_generation = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("gen-");
    let names = fs::read_dir(path).unwrap().map(|item| item.unwrap().file_name());
    assert_eq!(names.filter(|name| is_generation(name)).count(), 1, "{what}");
}

#[test]
fn an_absent_folder_is_created_and_keeps_everything_over_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/table");
    let table = open(&path).unwrap();
    assert_eq!((table.cursor(), find(&table, "s")), (0, None));
    assert_eq!(table.stats().unwrap().links, 0);
    put(&table, "s", 7);
    let host = |host: &str, is_default| DomainSettings {
        host: host.to_owned(),
        is_default,
        case_insensitive: false,
        root_url: Some("https://example.com/".to_owned()),
    };
    table.set_domains(&[host("go.example", true), host("b.example", false)]).unwrap();
    drop(table);

    let table = open(&path).unwrap();
    assert_eq!((table.cursor(), find(&table, "s")), (7, Some(b"s".to_vec())));
    let domains = table.domains();
    assert_eq!(domains.by_host("b.example"), Some(&host("b.example", false)));
    assert_eq!(domains.by_host("B.example"), None);
    assert_eq!(domains.default_domain().unwrap().host, "go.example");
    let bad = table.set_domains(&[host("b.example", false), host("b.example", false)]);
    assert!(matches!(bad, Err(TableError::BadDomains { .. })));
    let bad = table.set_domains(&[host("a.example", true), host("b.example", true)]);
    assert!(matches!(bad, Err(TableError::BadDomains { .. })));
    assert_eq!(table.borrow_domains().all().len(), 2);
}

#[test]
fn a_second_opening_is_refused_while_the_first_lives() {
    let folder = tempfile::tempdir().unwrap();
    let table = open(folder.path()).unwrap();
    put(&table, "s", 1);
    assert!(matches!(open(folder.path()), Err(TableError::InUse { .. })));
    assert_eq!(find(&table, "s"), Some(b"s".to_vec()));
    drop(table);
    assert_eq!(find(&open(folder.path()).unwrap(), "s"), Some(b"s".to_vec()));
}

#[test]
fn foreign_folders_and_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("thesis.txt"), "chapter one").unwrap();
    check_refused(path, |error| matches!(error, TableError::NotATable { .. }));

    let file = path.join("thesis.txt");
    let error = open(&file).unwrap_err();
    assert!(matches!(error, TableError::NotATable { .. }), "{error:?}");
    assert!(matches!(open(&file.join("below")), Err(TableError::NotATable { .. })));
    assert_eq!(fs::read(&file).unwrap(), b"chapter one");

    // A file with a name that other programs use, too.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("LOCK"), "").unwrap();
    fs::write(folder.path().join("CURRENT"), "MANIFEST-000004\n").unwrap();
    check_refused(folder.path(), |error| matches!(error, TableError::NotATable { .. }));
    fs::write(folder.path().join("MANIFEST-000004"), "entries").unwrap();
    check_refused(folder.path(), |error| matches!(error, TableError::NotATable { .. }));
}

#[test]
fn a_table_of_another_format_or_without_a_live_generation_is_replaced() {
    for current in [
        &b""[..],
        b"gen-000001\n",
        b"waypost-table 2\n",
        b"waypost-table 2\n../../etc\n",
        b"waypost-table 2\ngen-000001.building\n",
        b"\xff\xfe\x00",
        b"waypost-table 3\ngen-000001\n",
        b"waypost-table 1\ngen-000001\n",
        b"waypost-table 2\ngen-000002\n",
    ] {
        let folder = tempfile::tempdir().unwrap();
        closed_table(folder.path());
        fs::write(folder.path().join("CURRENT"), current).unwrap();
        check_replaced(folder.path(), &String::from_utf8_lossy(current));
    }
}

#[test]
fn truncated_empty_and_foreign_lmdb_files_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let data = closed_table(folder.path());
    let sound = fs::read(&data).unwrap();
    let used_bytes = open(folder.path()).unwrap().stats().unwrap().used_bytes as usize;
    let current = fs::read(folder.path().join("CURRENT")).unwrap();
    let with = |bytes: Option<&[u8]>| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("gen-000001")).unwrap();
        fs::write(folder.path().join("CURRENT"), &current).unwrap();
        if let Some(bytes) = bytes {
            fs::write(folder.path().join("gen-000001/data.mdb"), bytes).unwrap();
        }
        folder
    };

    let lengths = (0..used_bytes).step_by(4_096).chain([1, 100, 4_095, 4_097, used_bytes - 1]);
    for len in lengths {
        check_replaced(with(Some(&sound[..len])).path(), &format!("{len} bytes"));
    }
    for foreign in [b"chapter one\n".repeat(9_000), vec![0; 100_000], vec![0xff; 100_000]] {
        check_replaced(with(Some(&foreign)).path(), &format!("{:?}", &foreign[..10]));
    }
    check_replaced(with(None).path(), "no file");

    let kept = with(Some(&sound[..used_bytes]));
    assert_eq!(find(&open(kept.path()).unwrap(), "slug-0499"), Some(b"slug-0499".to_vec()));
}

/// LMDB does not write pages that one transaction both takes and frees, so its file may end before its last page. This
/// workload, found by search, makes it do so in the seventh batch, by 20 pages, if the file is not extended first.
#[test]
fn pages_freed_at_the_end_of_the_file_are_not_mistaken_for_a_truncation() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 111_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut below = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    };
    for batch in 1..8 {
        let mut puts = Vec::new();
        for index in 0..30 {
            puts.push((
                format!("s{}", below(12)),
                batch * 100 + index,
                vec![b'x'; (below(2) * below(100_000)) as usize],
            ));
        }
        let changes: Vec<Change<'_>> = puts
            .iter()
            .map(|(slug, version, record)| Change { domain: "", slug, version: *version, record: Some(record) })
            .collect();
        let table = open(folder.path()).unwrap();
        table.apply(&changes, batch).unwrap();
        let used_bytes = table.stats().unwrap().used_bytes;
        let file_bytes = fs::metadata(folder.path().join("gen-000001/data.mdb")).unwrap().len();
        assert!(file_bytes > used_bytes, "the file is extended before a transaction");
    }
    assert_eq!(open(folder.path()).unwrap().cursor(), 7);
}

#[test]
fn a_damaged_meta_page_never_opens_wrongly() {
    let folder = tempfile::tempdir().unwrap();
    let data = closed_table(folder.path());
    let sound = fs::read(&data).unwrap();
    // The fields with sizes and positions: magic, format, page size, main root and last page, in both meta pages.
    for (page, field) in [0, 4_096].into_iter().flat_map(|page| [16, 20, 40, 128, 136].map(|field| (page, field))) {
        let mut damaged = sound.clone();
        damaged[page + field..page + field + 4].copy_from_slice(&0x7fff_fff1_u32.to_ne_bytes());
        fs::write(&data, damaged).unwrap();
        // A fault in the older of the two meta pages may go unnoticed: the newer one is read.
        let table = open(folder.path()).unwrap();
        match table.cursor() {
            0 => assert_eq!((table.stats().unwrap().links, table.is_complete().unwrap()), (0, false), "replaced"),
            _ => assert_eq!(find(&table, "slug-0000"), Some(b"slug-0000".to_vec())),
        }
        drop(table);
        fs::create_dir_all(data.parent().unwrap()).unwrap();
        fs::write(folder.path().join("CURRENT"), "waypost-table 2\ngen-000001\n").unwrap();
    }
}

#[test]
fn an_lmdb_file_of_someone_else_is_replaced() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = closed_table(folder.path());
    // A table without its own entry counts as foreign: for example the empty file that LMDB itself creates.
    let sound = fs::read(closed_table(other.path())).unwrap();
    let mut foreign = sound[..8_192].to_vec();
    for page in [0, 4_096] {
        // No roots, two pages, as LMDB creates a file.
        foreign[page + 80..page + 88].fill(0xff);
        foreign[page + 128..page + 136].fill(0xff);
        foreign[page + 136..page + 144].copy_from_slice(&1_u64.to_ne_bytes());
        foreign[page + 48..page + 80].fill(0);
        foreign[page + 96..page + 128].fill(0);
    }
    fs::write(&data, &foreign).unwrap();
    check_replaced(folder.path(), "no entry of its own");
}

#[test]
fn what_a_crash_leaves_is_removed_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    closed_table(path);
    // In the middle of a rebuild, of a promotion, and of a switch.
    for (name, file) in
        [("gen-000002.building", "data.mdb"), ("gen-000002.runs", "000001.run"), ("gen-000003", "data.mdb")]
    {
        fs::create_dir(path.join(name)).unwrap();
        fs::write(path.join(name).join(file), "half").unwrap();
    }
    fs::write(path.join("CURRENT.tmp"), "waypost-ta").unwrap();
    fs::write(path.join("notes.txt"), "someone's").unwrap();

    let table = open(path).unwrap();
    assert_eq!(find(&table, "slug-0000"), Some(b"slug-0000".to_vec()));
    for gone in ["gen-000002.building", "gen-000002.runs", "gen-000003"] {
        assert!(!path.join(gone).exists(), "{gone}");
    }
    assert_eq!(fs::read(path.join("notes.txt")).unwrap(), b"someone's");
    // No number is used twice.
    assert!(table.rebuild().unwrap().finish(0).unwrap().generation > 3);
}

#[test]
fn a_creation_that_was_interrupted_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    closed_table(path);
    fs::remove_file(path.join("CURRENT")).unwrap();
    assert_eq!(find(&open(path).unwrap(), "slug-0001"), Some(b"slug-0001".to_vec()));
    assert!(path.join("CURRENT").exists());

    // Before the first generation was complete there is nothing to keep.
    let fresh = path.join("fresh");
    fs::create_dir_all(fresh.join("gen-000001.building")).unwrap();
    fs::write(fresh.join("gen-000001.building/data.mdb"), "half").unwrap();
    assert_eq!(open(&fresh).unwrap().stats().unwrap().links, 0);

    // With two complete generations the live one is unknown.
    fs::remove_file(path.join("CURRENT")).unwrap();
    fs::create_dir(path.join("gen-000005")).unwrap();
    fs::remove_dir_all(&fresh).unwrap();
    check_replaced(path, "two generations");
}

/// The folder may be the root of a volume: its `lost+found` is ignored, and stays after every opening and rebuild.
#[test]
fn a_volume_with_a_lost_and_found_is_taken() {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table");
    fs::create_dir(&path).unwrap();
    let lost = path.join("lost+found");
    fs::DirBuilder::new().mode(0o000).create(&lost).unwrap();
    for version in 1..=3 {
        let table = open(&path).unwrap();
        put(&table, "kept", version);
        let rebuild = table.rebuild().unwrap();
        rebuild.finish(version).unwrap();
        drop(table);
    }
    // Also when a damaged live generation is replaced.
    fs::write(path.join("CURRENT"), "nothing").unwrap();
    open(&path).unwrap();
    assert_eq!(fs::metadata(&lost).unwrap().permissions().mode() & 0o777, 0);
}
