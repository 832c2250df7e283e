//! A writer that is killed at any moment leaves a table that opens, with everything it acknowledged.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use waypost_table::{Change, Table, TableOptions};

const FOLDER_VARIABLE: &str = "WAYPOST_TABLE_KILLED_FOLDER";
const LINKS: u64 = 40;
const ROUNDS: u64 = 12;

fn open(path: &Path) -> Table {
    // A small map and small runs, so that growth and rebuilds are interrupted too.
    let options = TableOptions { map_size_bytes: 64 << 10, run_bytes_max: 2_000, ..TableOptions::default() };
    Table::open(path, options).unwrap()
}

fn record(link: u64, version: u64) -> Vec<u8> {
    format!("{link}/{version}").into_bytes().repeat(20)
}

/// Not a test of its own: the process that the test below kills.
#[test]
fn writer_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let table = open(Path::new(&folder));
    // Unfinished rebuilds and extra links make the table grow and switch during the test.
    for version in table.cursor() + 1.. {
        let link = version % LINKS;
        let (record, filler) = (record(link, version), vec![b'f'; 700]);
        let (slug, filler_slug) = (format!("{link}"), format!("filler-{version}"));
        let changes = [
            Change { domain: "", slug: &slug, version, record: Some(&record) },
            Change { domain: "filler.example", slug: &filler_slug, version, record: Some(&filler) },
        ];
        table.apply(&changes, version).unwrap();
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "acknowledged {version}").unwrap();
        stdout.flush().unwrap();
        drop(stdout);
        if version % 50 == 0 {
            rebuild(&table);
        }
    }
}

fn rebuild(table: &Table) {
    let mut rebuild = table.rebuild().unwrap();
    for link in (0..LINKS).rev() {
        let slug = format!("{link}");
        let stored = table.get("", &slug, <[u8]>::to_vec).unwrap();
        if let Some(stored) = stored {
            let change = Change { domain: "", slug: &slug, version: version_in(&stored), record: Some(&stored) };
            rebuild.put(change).unwrap();
        }
    }
    rebuild.finish(table.cursor()).unwrap();
}

/// The record repeats its unit twenty times.
fn version_in(record: &[u8]) -> u64 {
    let unit = std::str::from_utf8(&record[..record.len() / 20]).unwrap();
    unit.split_once('/').unwrap().1.parse().unwrap()
}

/// Starts the writer, lets it acknowledge `count` batches, kills it, and returns the last acknowledged version.
fn run_and_kill(folder: &Path, count: u64) -> u64 {
    let mut writer: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_to_be_killed", "--nocapture"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let versions =
        lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
    let mut versions = versions.fuse();
    let last = versions.by_ref().take(count as usize).last();
    writer.kill().unwrap();
    // Batches that it acknowledged before the kill reached it count, too.
    let last = versions.last().or(last);
    writer.wait().unwrap();
    last.expect("the writer acknowledged something")
}

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let acknowledged = run_and_kill(folder.path(), 20 + round * 17);
        let table = open(folder.path());
        let cursor = table.cursor();
        assert!(cursor >= acknowledged, "cursor {cursor}, acknowledged {acknowledged}");
        for version in cursor.saturating_sub(LINKS - 1).max(1)..=cursor {
            let link = version % LINKS;
            let found = table.get("", &format!("{link}"), <[u8]>::to_vec).unwrap();
            assert_eq!(found, Some(record(link, version)), "link {link} of version {version}, cursor {cursor}");
        }
    }
}
