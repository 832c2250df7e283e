//! Flipped bits in the table's file: never a signal, never a wrong record, never an existing link reported as unknown;
//! and a rebuild repairs the table. A child process does the flips, so that a signal is noticed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use fastrand::Rng;
use waypost_table::{Change, Reader, Table, TableError, TableOptions};

const FOLDER_VARIABLE: &str = "WAYPOST_TABLE_TEST_DAMAGED_FOLDER";
const LINKS: u64 = 1_500;
/// The version of a link is the number of its batch; the last batch changes few links.
const LAST: u64 = 6;
/// Flips of one process. After each one a table is opened, repaired and opened again.
const FLIPS: u64 = 60;
const SEED_VARIABLE: &str = "WAYPOST_TABLE_TEST_FLIP_SEED";
/// The environment variable with another number of flips.
const FLIPS_VARIABLE: &str = "WAYPOST_TABLE_TEST_FLIPS";

/// The version of this link after all batches (links of the last batch had the first version before). Some links are
/// rewritten often, so that pages are freed.
fn version_of(link: u64) -> u64 {
    match link {
        _ if is_last(link) => LAST,
        _ if link.is_multiple_of(7) => 4,
        _ => 1,
    }
}

fn is_last(link: u64) -> bool {
    link % 97 == 1 && !link.is_multiple_of(7)
}

fn is_deleted(link: u64) -> bool {
    link % 50 == 49
}

/// A checksum, then text; some records are so long that they have their own pages.
fn record(link: u64, version: u64) -> Vec<u8> {
    let repeat = if link.is_multiple_of(60) { 300 } else { 3 };
    let text = format!("https://example.com/{link}/{version} ").repeat(repeat);
    let mut record = sum(text.as_bytes()).to_le_bytes().to_vec();
    record.extend_from_slice(text.as_bytes());
    record
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn is_sound(record: &[u8]) -> bool {
    record.split_first_chunk::<8>().is_some_and(|(head, text)| u64::from_le_bytes(*head) == sum(text))
}

fn open(path: &Path) -> Result<Table, TableError> {
    let options = TableOptions { map_size_bytes: 16 << 20, record_is_sound: is_sound, ..TableOptions::default() };
    Table::open(path, options)
}

fn slug(link: u64) -> String {
    format!("slug-{:05}", link * 7919 % 100_000)
}

/// The changes of the batch with this version.
fn batch(version: u64) -> Vec<(String, Option<Vec<u8>>)> {
    let is_in = |link: &u64| match version {
        1 => true,
        LAST => is_last(*link),
        _ => link.is_multiple_of(7) && version <= 4,
    };
    let change = |link| (slug(link), (!is_deleted(link)).then(|| record(link, version)));
    (0..LINKS).filter(is_in).map(change).collect()
}

fn apply(table: &Table, version: u64) -> Result<(), TableError> {
    let batch = batch(version);
    let changes: Vec<Change<'_>> =
        batch.iter().map(|(slug, record)| Change { domain: "", slug, version, record: record.as_deref() }).collect();
    table.apply(&changes, version).map(drop)
}

/// A table with all links: the used part of its live file, and the file's path.
fn filled(path: &Path) -> (Vec<u8>, PathBuf) {
    let table = open(path).unwrap();
    (1..=LAST).for_each(|version| apply(&table, version).unwrap());
    table.confirm().unwrap();
    let stats = table.stats().unwrap();
    drop(table);
    let data = path.join(format!("gen-{:06}/data.mdb", stats.generation));
    let mut bytes = fs::read(&data).unwrap();
    bytes.truncate(stats.used_bytes as usize);
    (bytes, data)
}

/// Slug and record of every link after all batches.
fn truth() -> &'static [(String, Vec<u8>)] {
    static TRUTH: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    TRUTH.get_or_init(|| (0..LINKS).map(|link| (slug(link), record(link, version_of(link)))).collect())
}

/// The results of look-ups.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    right: u64,
    unknown: u64,
}

/// Looks every link up in both ways. `cursor` is the table's cursor: later changes are not expected.
fn look_up(reader: &Reader, what: &str) -> Found {
    let table = reader.table();
    let mut found = Found::default();
    for (link, (slug, expect)) in (0..LINKS).zip(truth()) {
        let direct = table.get("", slug, <[u8]>::to_vec);
        let quick = reader.get("", slug, |bytes| is_sound(bytes).then(|| bytes.to_vec()));
        for (way, result) in [("get", direct), ("reader", quick)] {
            match result {
                // The caller reports an invalid record as damaged.
                Ok(Some(bytes)) if !is_sound(&bytes) && way == "get" => found.unknown += 1,
                Ok(Some(bytes)) => {
                    let version = version_of(link);
                    // A table that lost its last commit has the state before it, and its cursor shows that.
                    let is_right = if version <= table.cursor() { bytes == *expect } else { bytes == record(link, 1) };
                    assert!(is_right && !is_deleted(link), "{what}: {way} gave another record for {slug}");
                    found.right += 1;
                }
                Ok(None) if is_deleted(link) => found.right += 1,
                Ok(None) => {
                    assert!(!table.knows_all(), "{what}: {way} says that {slug} does not exist");
                    found.unknown += 1;
                }
                Err(error) => {
                    assert!(table.damage().is_some(), "{what}: {error} without damage");
                    found.unknown += 1;
                }
            }
        }
    }
    found
}

/// The steps of the process that keeps a table current, on a table that may be damaged.
fn mend(table: &Table, what: &str) {
    let caught_up = (table.cursor() + 1..=LAST).try_for_each(|version| apply(table, version));
    let new = Change { domain: "", slug: "new", version: LAST + 1, record: Some(b"new") };
    let written = caught_up.and_then(|()| table.apply(&[new], LAST)).map(drop);
    if written.is_ok() && table.damage().is_none() {
        return;
    }
    let mut rebuild = table.rebuild().unwrap();
    for version in 1..=LAST {
        for (slug, record) in batch(version) {
            rebuild.put(Change { domain: "", slug: &slug, version, record: record.as_deref() }).unwrap();
        }
    }
    rebuild.finish(LAST).unwrap();
    assert_eq!(table.damage(), None, "{what}");
}

/// A bit of the file: any bit, or one of the numbers that LMDB uses.
fn bit(random: &mut Rng, sound: &[u8], number: u64) -> u64 {
    let pages = sound.len() as u64 / 4_096;
    let page = random.u64(..pages) * 4_096;
    let byte = match number % 5 {
        0 => random.u64(..sound.len() as u64),
        1 => page + random.u64(..16),
        2 => page + 16 + random.u64(..80),
        // Probably in a node's head: near the page's end.
        3 => page + 4_095 - random.u64(..700),
        _ => random.u64(..2) * 4_096 + random.u64(..152),
    };
    byte * 8 + random.u64(..8)
}

/// Not a test by itself: the child process, which damages the table in the folder of the environment variable.
#[test]
fn damages_of_one_process() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let path = PathBuf::from(folder);
    let (sound, data) = filled(&path);
    let current = fs::read(path.join("CURRENT")).unwrap();
    let seed = std::env::var(SEED_VARIABLE).map_or(0, |text| text.parse::<u64>().unwrap());
    let mut random = Rng::with_seed(0x2545_f491_4f6c_dd1d ^ seed);
    let (mut damaged, mut unknown) = (0, 0);
    let flips = std::env::var(FLIPS_VARIABLE).map_or(FLIPS, |text| text.parse().unwrap());
    for number in 0..flips {
        let bit = bit(&mut random, &sound, number);
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        let what = format!("flip {number}: page {} byte {} bit {}", at / 4_096, at % 4_096, bit % 8);
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "\n{what}").unwrap();
        drop(stdout);

        let mut bytes = sound.clone();
        bytes[at as usize] ^= mask;
        fs::create_dir_all(data.parent().unwrap()).unwrap();
        fs::write(&data, &bytes).unwrap();
        File::options().write(true).open(&data).unwrap().set_len(8 << 20).unwrap();
        fs::write(path.join("CURRENT"), &current).unwrap();

        let reader = Reader::new(Arc::new(open(&path).unwrap()));
        let table = reader.table();
        if table.cursor() == LAST {
            // Fails if the table is damaged, and then the table is not trusted.
            let _ = table.confirm();
        }
        unknown += look_up(&reader, &what).unknown;
        damaged += u64::from(table.damage().is_some() || table.cursor() == 0);
        mend(table, &what);
        table.confirm().unwrap();
        let after = look_up(&reader, &what);
        assert_eq!(after, Found { right: 2 * LINKS, unknown: 0 }, "{what}");
        drop(reader);
        let reader = Reader::new(Arc::new(open(&path).unwrap()));
        assert_eq!(look_up(&reader, &what), after, "{what}: opened again");
        drop(reader);
        for item in fs::read_dir(&path).unwrap() {
            let item = item.unwrap().path();
            if item.is_dir() {
                fs::remove_dir_all(item).unwrap();
            }
        }
    }
    assert!(damaged > flips / 10 && unknown > 0, "{damaged} damaged tables, {unknown} look-ups: too few to tell");
    let told = format!("{damaged} of {flips} flips damaged the table, {unknown} look-ups gave nothing");
    writeln!(std::io::stdout().lock(), "\n{told}").unwrap();
}

/// Flips bits in a child process, chosen by this seed.
#[track_caller]
fn check_flips(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "damages_of_one_process", "--nocapture"])
        .env(FOLDER_VARIABLE, folder.path())
        .env(SEED_VARIABLE, seed.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rfind(|line| line.contains("flip")).unwrap_or_default();
    assert!(
        output.status.success() && text.contains("flips damaged the table"),
        "seed {seed}: {} after {last}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_flipped_bit_is_never_a_signal_a_wrong_record_or_a_missing_link() {
    check_flips(1);
}

#[test]
fn flipped_bits_of_a_second_seed() {
    check_flips(2);
}

#[test]
fn flipped_bits_of_a_third_seed() {
    check_flips(3);
}

#[test]
fn flipped_bits_of_a_fourth_seed() {
    check_flips(4);
}

#[test]
fn bits_that_flip_under_an_open_table_harm_no_look_up() {
    let folder = tempfile::tempdir().unwrap();
    let (sound, data) = filled(folder.path());
    let reader = Reader::new(Arc::new(open(folder.path()).unwrap()));
    reader.table().confirm().unwrap();
    let file = File::options().write(true).open(&data).unwrap();
    let mut random = Rng::with_seed(0x9e37_79b9_7f4a_7c15);
    for number in 0..60 {
        // Both meta pages are written at each commit, and read at each look-up.
        let bit = bit(&mut random, &sound, number % 4).max(8_192 * 8);
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        file.write_at(&[sound[at as usize] ^ mask], at).unwrap();
        look_up(&reader, &format!("page {} byte {} bit {}", at / 4_096, at % 4_096, bit % 8));
        file.write_at(&[sound[at as usize]], at).unwrap();
    }
    assert!(reader.table().damage().is_some());
    let new = Change { domain: "", slug: "new", version: LAST + 1, record: None };
    // After damage was found in a page, LMDB is not used to write.
    if let Err(error) = reader.table().apply(&[new], LAST) {
        assert!(matches!(error, TableError::Damaged { .. }), "{error:?}");
    }
}

#[test]
fn a_start_that_died_while_it_checked_is_noticed_by_the_next_ones() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let mark = folder.path().join("CHECKING");
    assert!(!mark.exists());
    for died in 1..=3 {
        fs::write(&mark, format!("{died}\n")).unwrap();
        let table = open(folder.path()).unwrap();
        let is_given_up = died == 3;
        assert_eq!((table.cursor(), table.is_complete().unwrap()), if is_given_up { (0, false) } else { (LAST, true) });
        table.trust().unwrap();
        assert_eq!(table.knows_all(), !is_given_up);
        assert!(!mark.exists(), "the check is over");
    }
}

#[test]
fn what_is_damaged_is_known_after_the_table_grew() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bytes, data) = filled(folder.path());
    let damaged = record(2, 1);
    // Freed pages too: LMDB decides which of them are used.
    for at in 0..bytes.len() - damaged.len() {
        if bytes[at..].starts_with(&damaged) {
            bytes[at + damaged.len() - 1] ^= 1;
        }
    }
    File::options().write(true).open(&data).unwrap().write_all_at(&bytes, 0).unwrap();

    let options = TableOptions { map_size_bytes: 64 << 10, record_is_sound: is_sound, ..TableOptions::default() };
    let table = Table::open(folder.path(), options).unwrap();
    table.confirm().unwrap();
    assert!(table.damage().is_some());
    let generation = table.stats().unwrap().generation;
    let large = vec![7; 48 << 10];
    for number in 0.. {
        if table.stats().unwrap().generation != generation {
            break;
        }
        let slug = format!("large-{number}");
        table.apply(&[Change { domain: "", slug: &slug, version: LAST, record: Some(&large) }], LAST).unwrap();
    }
    assert!(table.damage().is_some());
    assert!(!table.knows_all());
}
