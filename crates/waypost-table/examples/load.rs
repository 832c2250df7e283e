//! Measures a table: `cargo run --release -p waypost-table --example load -- COUNT [sorted|shuffled]`.
//!
//! Fills a table in a temporary folder with COUNT links of 200-byte records through a rebuild, opens and checks it
//! again, and times random look-ups, misses, and small batches. Prints one line per figure; keeps nothing.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use waypost_table::{Change, Durability, Table, TableOptions};

const RECORD_BYTES: usize = 200;
const LOOKUPS: u64 = 2_000_000;
const BATCHES: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().ok_or("say how many links")?.parse()?;
    let is_sorted = arguments.next().is_none_or(|order| order == "sorted");
    let folder = tempfile::tempdir()?;
    println!("{count} links, {RECORD_BYTES}-byte records, {}", if is_sorted { "sorted" } else { "shuffled" });

    let began = Instant::now();
    let table = Table::open(folder.path(), TableOptions::default())?;
    let mut rebuild = table.rebuild()?;
    let mut record = [b'r'; RECORD_BYTES];
    for index in 0..count {
        let number = if is_sorted { index } else { scatter(index, count) };
        record[..8].copy_from_slice(&number.to_le_bytes());
        let slug = slug_of(number);
        rebuild.put(Change { domain: "", slug: &slug, version: 1, record: Some(&record) })?;
    }
    let put = began.elapsed();
    let stats = rebuild.finish(1)?;
    let took = began.elapsed();
    println!(
        "rebuild       {:8.2} s ({:.2} s of it puts), {:.0} links/s",
        took.as_secs_f64(),
        put.as_secs_f64(),
        count as f64 / took.as_secs_f64()
    );
    println!("file          {:8.1} bytes per link", stats.used_bytes as f64 / stats.links as f64);
    println!("memory peak   {:8} kB anonymous and mapped (VmHWM)", status_kb("VmHWM:")?);
    drop(table);

    let began = Instant::now();
    let table = Table::open(folder.path(), TableOptions::default())?;
    let found = table.get("", &slug_of(count / 2), <[u8]>::len)?;
    println!("open + 1 look-up {:5.2} ms, found {found:?}", began.elapsed().as_secs_f64() * 1e3);

    let began = Instant::now();
    table.check(|| true)?;
    println!("check         {:8.2} s, of every page and entry", began.elapsed().as_secs_f64());

    measure_lookups(&table, count)?;
    measure_batches(&table, "all but last", count, &record)?;
    drop(table);
    let options = TableOptions { durability: Durability::EveryCommit, ..TableOptions::default() };
    measure_batches(&Table::open(folder.path(), options)?, "every commit", count, &record)?;
    Ok(())
}

fn measure_lookups(table: &Table, count: u64) -> Result<(), Box<dyn Error>> {
    let slugs: Vec<String> = (0..LOOKUPS).map(|index| slug_of(scatter(index * 7 + 3, count))).collect();
    for round in ["first touch", "warm", "warm"] {
        let began = Instant::now();
        for slug in &slugs {
            let number = table.get("", slug, |record| record[0])?;
            black_box(number.ok_or("a link is missing")?);
        }
        println!("get           {:8.0} ns ({round})", began.elapsed().as_nanos() as f64 / LOOKUPS as f64);
    }
    let began = Instant::now();
    for slug in &slugs {
        black_box(table.get("other.example", slug, |record| record[0])?);
    }
    println!("miss          {:8.0} ns", began.elapsed().as_nanos() as f64 / LOOKUPS as f64);
    Ok(())
}

fn measure_batches(table: &Table, durability: &str, count: u64, record: &[u8]) -> Result<(), Box<dyn Error>> {
    for (size, batches) in [(1, BATCHES), (100, BATCHES), (10_000, BATCHES / 10)] {
        let began = Instant::now();
        for batch in 0..batches {
            let slugs: Vec<String> = (0..size).map(|index| slug_of(scatter(batch * size + index, count))).collect();
            let version = table.cursor() + 2;
            let changes: Vec<Change<'_>> =
                slugs.iter().map(|slug| Change { domain: "", slug, version, record: Some(record) }).collect();
            table.apply(&changes, version)?;
        }
        let took_us = began.elapsed().as_micros() as f64 / batches as f64;
        println!("apply of {size:5} {took_us:8.0} us ({durability})");
    }
    Ok(())
}

/// Eight characters that sort as the number does.
fn slug_of(number: u64) -> String {
    format!("{number:08x}")
}

/// A fixed shuffle of `0..count`: multiplication by an odd prime that does not divide the counts in use.
fn scatter(index: u64, count: u64) -> u64 {
    ((u128::from(index) * 2_654_435_761) % u128::from(count)) as u64
}

fn status_kb(field: &str) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field")?;
    Ok(line.split_whitespace().nth(1).ok_or("no value")?.parse()?)
}
