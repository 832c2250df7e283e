//! Compares the table with a map in memory: after any sequence of batches, rebuilds, growth and reopening they are
//! equal.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use waypost_core::domain::DomainSettings;
use waypost_table::{Applied, Change, Durability, Reader, Table, TableOptions};

const DOMAINS: [&str; 3] = ["", "a.example", "go.example"];
const SLUGS: usize = 8;

/// A link by its index, and a version. The record is computed from the two.
#[derive(Clone, Copy, Debug)]
struct Put {
    domain: usize,
    slug: usize,
    version: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Put>, u64),
    /// The added links, the batches applied during the rebuild, and the cursor at its end.
    Rebuild(Vec<Put>, Vec<(Vec<Put>, u64)>, u64),
    AbandonedRebuild(Vec<Put>),
    Reopen,
    SetDomains(usize),
}

impl Put {
    fn slug(self) -> String {
        format!("s{}", self.slug)
    }

    /// Every fifth version is a deletion. Some records have their own pages.
    fn record(self) -> Option<Vec<u8>> {
        let len = match self.version % 7 {
            0 => 6_000,
            short => 20 * short as usize,
        };
        (!self.version.is_multiple_of(5))
            .then(|| vec![(self.domain * SLUGS + self.slug) as u8 ^ self.version as u8; len])
    }
}

#[derive(Default)]
struct Model {
    links: HashMap<(usize, usize), u64>,
    cursor: u64,
    domains: usize,
}

impl Model {
    fn put(&mut self, put: Put) -> Applied {
        let stored = self.links.entry((put.domain, put.slug)).or_default();
        if *stored >= put.version {
            return Applied { written: 0, stale: 1 };
        }
        *stored = put.version;
        Applied { written: 1, stale: 0 }
    }

    fn apply(&mut self, puts: &[Put], cursor: u64) -> Applied {
        self.cursor = self.cursor.max(cursor);
        puts.iter().fold(Applied::default(), |sum, put| {
            let one = self.put(*put);
            Applied { written: sum.written + one.written, stale: sum.stale + one.stale }
        })
    }
}

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let put = (0..DOMAINS.len(), 0..SLUGS, 1..40_u64);
    vec(put.prop_map(|(domain, slug, version)| Put { domain, slug, version }), 0..20)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (puts(), 0..1_000_u64).prop_map(|(puts, cursor)| Step::Apply(puts, cursor)),
        2 => (puts(), vec((puts(), 0..1_000_u64), 0..3), 0..1_000_u64)
            .prop_map(|(puts, late, cursor)| Step::Rebuild(puts, late, cursor)),
        1 => puts().prop_map(Step::AbandonedRebuild),
        2 => Just(Step::Reopen),
        1 => (0..4_usize).prop_map(Step::SetDomains),
    ]
}

fn open(path: &Path) -> Table {
    // The smallest map, so that the table grows during the test; a buffer that is full after a few entries.
    let options = TableOptions {
        map_size_bytes: 1,
        run_bytes_max: 2_000,
        durability: Durability::AllButLast,
        ..TableOptions::default()
    };
    Table::open(path, options).unwrap()
}

fn apply(table: &Table, puts: &[Put], cursor: u64) -> Applied {
    let slugs: Vec<String> = puts.iter().map(|put| put.slug()).collect();
    let records: Vec<Option<Vec<u8>>> = puts.iter().map(|put| put.record()).collect();
    let changes: Vec<Change<'_>> = puts
        .iter()
        .zip(slugs.iter().zip(&records))
        .map(|(put, (slug, record))| Change {
            domain: DOMAINS[put.domain],
            slug,
            version: put.version,
            record: record.as_deref(),
        })
        .collect();
    table.apply(&changes, cursor).unwrap()
}

fn put_all(rebuild: &mut waypost_table::Rebuild<'_>, puts: &[Put]) {
    for put in puts {
        let (slug, record) = (put.slug(), put.record());
        let change =
            Change { domain: DOMAINS[put.domain], slug: &slug, version: put.version, record: record.as_deref() };
        rebuild.put(change).unwrap();
    }
}

fn domain_settings(count: usize) -> Vec<DomainSettings> {
    (0..count)
        .map(|index| DomainSettings {
            host: format!("d{index}.example"),
            is_default: index == 0,
            case_insensitive: index == 1,
            root_url: None,
        })
        .collect()
}

fn rebuild(reader: &Reader, model: &mut Model, puts: &[Put], late: &[(Vec<Put>, u64)], cursor: u64) {
    let (start_cursor, table) = (model.cursor, reader.table());
    let mut rebuild = table.rebuild().unwrap();
    let mut rebuilt = Model { domains: model.domains, ..Model::default() };
    let (first, second) = puts.split_at(puts.len() / 2);
    put_all(&mut rebuild, first);
    for (puts, cursor) in late {
        assert_eq!(apply(table, puts, *cursor), model.apply(puts, *cursor));
        check(reader, model);
    }
    put_all(&mut rebuild, second);
    rebuild.finish(cursor).unwrap();
    for put in puts.iter().chain(late.iter().flat_map(|(puts, _)| puts)) {
        rebuilt.put(*put);
    }
    rebuilt.cursor = if cursor < start_cursor { cursor } else { cursor.max(model.cursor) };
    *model = rebuilt;
}

fn check(reader: &Reader, model: &Model) {
    let table = reader.table();
    let (mut links, mut tombstones) = (0, 0);
    for (domain, host) in DOMAINS.into_iter().enumerate() {
        for slug in 0..SLUGS {
            let version = model.links.get(&(domain, slug)).copied();
            let expect = version.and_then(|version| Put { domain, slug, version }.record());
            let found = table.get(host, &format!("s{slug}"), <[u8]>::to_vec).unwrap();
            assert_eq!(found, expect, "{host}/s{slug}");
            // Twice: the first look-up searches the tree, the second uses the remembered place. A record whose bytes
            // differ is torn.
            let sound = |bytes: &[u8]| bytes.iter().all(|byte| *byte == bytes[0]).then(|| bytes.to_vec());
            for _ in 0..2 {
                let found = reader.get(host, &format!("s{slug}"), sound).unwrap();
                assert_eq!(found, expect, "{host}/s{slug} by a reader");
            }
            links += u64::from(expect.is_some());
            tombstones += u64::from(version.is_some() && expect.is_none());
        }
    }
    let stats = table.stats().unwrap();
    assert_eq!((stats.links, stats.tombstones, stats.cursor), (links, tombstones, model.cursor));
    assert_eq!(table.cursor(), model.cursor);
    assert_eq!(table.domains().all(), domain_settings(model.domains));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_table_equals_its_model(steps in vec(step(), 1..16)) {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(Arc::new(open(folder.path())));
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Apply(puts, cursor) => {
                    let expect = model.apply(&puts, cursor);
                    prop_assert_eq!(apply(reader.table(), &puts, cursor), expect);
                }
                Step::Rebuild(puts, late, cursor) => rebuild(&reader, &mut model, &puts, &late, cursor),
                Step::AbandonedRebuild(puts) => put_all(&mut reader.table().rebuild().unwrap(), &puts),
                Step::Reopen => {
                    drop(reader);
                    reader = Reader::new(Arc::new(open(folder.path())));
                    prop_assert!(reader.table().warm(|| true).unwrap() > 0);
                }
                Step::SetDomains(count) => {
                    reader.table().set_domains(&domain_settings(count)).unwrap();
                    model.domains = count;
                }
            }
            check(&reader, &model);
        }
        drop(reader);
        // CURRENT, LOCK and the live generation: nothing else remains.
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
