//! An edge over a temporary table of N links, to be measured: `bare [--links N] [--table FOLDER] [--threads N]
//! [--listen ADDRESS] [--clicks on] [--engine on] [--places off]`.
//!
//! With `--table` the links are those of a folder that already exists (see `fill_table`). Else links are `/0` to
//! `/N-1`. Every tenth has rules (country, device, time) that a visitor without a country falls through. With `--clicks
//! on` every redirect is recorded in a spool that nobody reads; with `--engine on` the HTTP engine answers all
//! requests; with `--places off` every look-up asks the table's tree. Prints where it listens and serves until standard
//! input ends.
#![allow(clippy::print_stdout)]

use std::io::{Read as _, stdin};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Response;
use waypost_core::SchemePolicy;
use waypost_core::compact::compile;
use waypost_core::record::LinkRecord;
use waypost_core::visitor::AddressPolicy;
use waypost_edge::grant::GrantKey;
use waypost_edge::{ClickRecording, ControlHandler, EdgeConfig, SaltOfDay, start};
use waypost_spool::{Spool, SpoolOptions};
use waypost_table::{Change, Table, TableOptions};

const RULES: &str = r#"[
    {"id": "r1", "when": {"countries": ["DE", "AT"], "devices": ["mobile"]}, "to": {"url": "https://example.de/app"}},
    {"id": "r2", "when": {"from": "2999-01-01T00:00:00Z"}, "to": {"url": "https://example.com/later"}}]"#;

fn main() -> anyhow::Result<()> {
    let mut links = 100_000_u64;
    let mut records_clicks = false;
    let mut folder = None;
    let mut options = TableOptions::default();
    let mut config =
        EdgeConfig::new(vec![SocketAddr::from(([127, 0, 0, 1], 8080))], Arc::new(GrantKey::new([0; 32]).into()));
    config.threads = NonZeroUsize::MIN;
    // Who measures asks on one connection for ever.
    config.limits.requests_per_connection_max = None;
    config.limits.miss_rate = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--links" => links = value.parse()?,
            "--table" => folder = Some(PathBuf::from(value)),
            "--threads" => config.threads = value.parse()?,
            "--listen" => config.listen = vec![value.parse()?],
            "--engine" => config.plain_requests = value != "on",
            "--places" => options.remember_places = value != "off",
            "--clicks" => records_clicks = value == "on",
            _ => bail!("unknown option {name}"),
        }
    }
    let dir = tempfile::tempdir()?;
    let table = match &folder {
        Some(folder) => Table::open(folder, options)?,
        None => filled(&dir.path().join("table"), links, &options)?,
    };
    table.confirm()?;
    let table = Arc::new(table);
    let began = std::time::Instant::now();
    let warmed = table.warm(|| true)?;
    eprintln!("warmed {warmed} steps in {:?}", began.elapsed());
    if records_clicks {
        let spool = Spool::open(&dir.path().join("spool"), SpoolOptions::default())?;
        let salt_of_day: SaltOfDay = Arc::new(|_| Some([7; 16]));
        config.clicks = Some(ClickRecording { spool, address_policy: AddressPolicy::Truncated, salt_of_day });
    }
    let control: ControlHandler = Arc::new(|_, _| {
        let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        Box::pin(async { Response::new(body) })
    });
    let edge = start(config, table, control)?;
    println!("{links} links on {:?}, process {}", edge.local_addrs(), std::process::id());
    stdin().read_to_end(&mut Vec::new())?;
    println!("{:?}", edge.shutdown(Duration::from_secs(10)));
    Ok(())
}

fn filled(folder: &Path, links: u64, options: &TableOptions) -> anyhow::Result<Table> {
    // Sized to the links, because tools such as valgrind refuse the usual 64 GiB of address space.
    let map_size_bytes = (links as usize * 1024).max(1 << 26);
    let table = Table::open(folder, TableOptions { map_size_bytes, ..options.clone() })?;
    let mut rebuild = table.rebuild()?;
    for number in 0..links {
        let slug = number.to_string();
        let rules = if number % 10 == 0 { RULES } else { "[]" };
        let json = format!(
            r#"{{"link_id": "link_{slug}", "account_id": "acc_1", "version": 1, "rules": {rules},
                "destination_url": "https://example.com/articles/2026/{slug}?from=short"}}"#
        );
        let record: LinkRecord = serde_json::from_str(&json)?;
        let bytes = compile(&record, &SchemePolicy::default())?;
        rebuild.put(Change { domain: "", slug: &slug, version: 1, record: Some(&bytes) })?;
    }
    rebuild.finish(1)?;
    Ok(table)
}
