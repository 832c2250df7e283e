//! Prints what one decision costs: `cargo run --release -p waypost-core --example decide_cost [decisions]`.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use waypost_core::compact::{CompactLink, compile};
use waypost_core::{LinkRecord, SchemePolicy, Timestamp, Visit, decide};

const USER_AGENT: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

const RECORDS: [(&str, &str); 5] = [
    ("plain", r#"{"destination_url":"https://example.com/a/page"}"#),
    (
        "five country rules",
        r#"{"destination_url":"https://example.com/a/page","geo_rules":[
        {"country_code":"FR","destination_url":"https://example.fr/"},{"country_code":"IT","destination_url":"https://example.it/"},
        {"country_code":"ES","destination_url":"https://example.es/"},{"country_code":"GB","destination_url":"https://example.co.uk/"},
        {"country_code":"DE","destination_url":"https://example.de/"}]}"#,
    ),
    (
        "five device rules",
        r#"{"destination_url":"https://example.com/a/page","rules":[
        {"when":{"os":["ios"]},"to":{"url":"https://example.com/1"}},{"when":{"os":["android"]},"to":{"url":"https://example.com/2"}},
        {"when":{"devices":["tablet"]},"to":{"url":"https://example.com/3"}},{"when":{"languages":["fr"]},"to":{"url":"https://example.com/4"}},
        {"when":{"referrers":["t.co"]},"to":{"url":"https://example.com/5"}}]}"#,
    ),
    (
        "split",
        r#"{"destination_url":"https://example.com/a/page","ab_test":{"id":"t","status":"active","variants":[
        {"id":"a","destination_url":"https://example.com/1","weight":50},{"id":"b","destination_url":"https://example.com/2","weight":50}]}}"#,
    ),
    (
        "UTM and query",
        r#"{"destination_url":"https://example.com/a/page?x=1","forward_query":true,"link_utms":{"utm_campaign":"spring"},
        "utm_templates":[{"platform_domains":["t.co"],"utm_source":"twitter","utm_medium":"social"}]}"#,
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let decisions: u32 = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let visit = Visit {
        query: Some("ref=mail&id=42"),
        ip: Some("192.0.2.7".parse()?),
        country: Some("DE"),
        user_agent: Some(USER_AGENT),
        referrer: Some("https://t.co/abc"),
        accept_language: Some("de-DE,de;q=0.9,en;q=0.8"),
        ..Visit::at(Timestamp::from_micros(1_770_000_000_000_000))
    };
    for (name, json) in RECORDS {
        let record = LinkRecord::from_value(json.as_bytes())?;
        let bytes = compile(&record, &SchemePolicy::web())?;
        let started = Instant::now();
        for _ in 0..decisions {
            let link = CompactLink::read(black_box(&bytes))?;
            black_box(decide(&link, black_box(&visit))?);
        }
        let each = started.elapsed().as_nanos() as f64 / f64::from(decisions);
        println!("{name:<20} {:>5} bytes {each:>8.1} ns", bytes.len());
    }
    Ok(())
}
