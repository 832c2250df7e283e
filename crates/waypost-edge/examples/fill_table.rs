//! Fills the link table of a new data folder with links to be measured: `fill_table DATA_DIR COUNT KIND`.
//!
//! Slugs are `00000000` to COUNT in hexadecimal, eight digits. The database stays empty, so a server on the folder has
//! nothing to catch up with and serves them at once. KIND is `plain`, `rules` (five, of which the last holds for
//! everyone), `split` (two variants) or `utm` (templates and the visitor's query). An import would create the same
//! table more slowly; how fast imports are is measured elsewhere.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use waypost_core::SchemePolicy;
use waypost_core::compact::compile;
use waypost_core::record::LinkRecord;
use waypost_table::{Change, Table, TableOptions};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().with_context(|| format!("{what} is missing"));
    let (folder, count, kind) = (PathBuf::from(next("DATA_DIR")?), next("COUNT")?.parse::<u32>()?, next("KIND")?);
    let folder = folder.join("table");
    ensure!(!folder.exists(), "there is a table already");
    std::fs::create_dir_all(&folder)?;
    let table = Table::open(&folder, TableOptions::default())?;
    let mut rebuild = table.rebuild()?;
    let schemes = SchemePolicy::default();
    for number in 0..count {
        let slug = format!("{number:08x}");
        let record: LinkRecord = serde_json::from_str(&record_json(&kind, number, &slug)?)?;
        let bytes = compile(&record, &schemes)?;
        rebuild.put(Change { domain: "", slug: &slug, version: 1, record: Some(&bytes) })?;
    }
    rebuild.finish(0)?;
    Ok(())
}

/// A record whose ids are as long as real ones.
fn record_json(kind: &str, number: u32, slug: &str) -> anyhow::Result<String> {
    let more = match kind {
        "plain" => String::new(),
        "rules" => format!(
            r#", "rules": [
              {{"id": "r1", "when": {{"countries": ["DE", "AT"], "devices": ["mobile"]}}, "to": {{"url": "https://example.de/{slug}"}}}},
              {{"id": "r2", "when": {{"os": ["ios"], "languages": ["fr"]}}, "to": {{"url": "https://example.fr/{slug}"}}}},
              {{"id": "r3", "when": {{"from": "2999-01-01T00:00:00Z"}}, "to": {{"url": "https://example.com/later/{slug}"}}}},
              {{"id": "r4", "when": {{"referrers": ["t.co"], "query": {{"ref": "mail"}}}}, "to": {{"url": "https://example.com/mail/{slug}"}}}},
              {{"id": "r5", "when": {{"languages": ["en"]}}, "to": {{"url": "https://example.com/en/{slug}"}}}}]"#
        ),
        "split" => format!(
            r#", "ab_test": {{"id": {number}, "status": "active", "variants": [
              {{"id": "v1", "name": "A", "destination_url": "https://example.com/a/{slug}", "weight": 50}},
              {{"id": "v2", "name": "B", "destination_url": "https://example.com/b/{slug}", "weight": 50}}]}}"#
        ),
        "utm" => r#", "forward_query": true, "link_utms": {"utm_campaign": "spring"},
              "utm_templates": [{"platform_domains": ["t.co"], "utm_source": "twitter", "utm_medium": "social"}]"#
            .to_owned(),
        other => bail!("no such kind: {other}"),
    };
    Ok(format!(
        r#"{{"link_id": "link_01890a5d{number:024x}", "account_id": "acc_0123456789abcdef", "version": 1, "slug": "{slug}",
            "destination_url": "https://example.com/articles/2026/{slug}?from=short"{more}}}"#
    ))
}
