//! How long it takes to make facts of clicks: the patterns' first use, then known, rarely and never seen user agents.
//!
//! `cargo run --release -p waypost-ingest --example enrich_rate`
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use waypost_core::click::Click;
use waypost_core::{Source, Timestamp};
use waypost_ingest::{ClickEnricher, ClickOrigin};

/// Clicks in a measurement.
const CLICKS: u64 = 2_000_000;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Small numbers far more often than large ones.
    fn skewed_below(&mut self, end: u64) -> u64 {
        let part = self.below(1 << 20) as f64 / f64::from(1 << 20);
        ((end as f64).powf(part) - 1.0) as u64
    }
}

/// The user agent of this rank: browsers as they are met, with the models and versions that make them many.
fn user_agent(rank: u64) -> String {
    let (version, model) = (100 + rank % 41, rank / 6);
    match rank % 6 {
        0 => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.{model}.0 Safari/537.36"
        ),
        1 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E{model} Safari/604.1",
            rank % 7
        ),
        2 => format!(
            "Mozilla/5.0 (Linux; Android 15; SM-S{model}B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Mobile Safari/537.36"
        ),
        3 => format!("Mozilla/5.0 (X11; Linux x86_64; rv:{version}.{model}) Gecko/20100101 Firefox/{version}.{model}"),
        4 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/{version}.0.0.46.107;FBBV/{model};FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS]"
        ),
        _ => format!("Mozilla/5.0 (compatible; Somebot/{version}.{model}; +https://somebot.example/about)"),
    }
}

fn compact(user_agent: &str, number: u64) -> Vec<u8> {
    const REFERRERS: [&str; 5] = [
        "",
        "https://www.google.com/",
        "https://t.co/Ab12Cd34",
        "https://blog.example/2026/a-post",
        "https://l.instagram.com/",
    ];
    const LANGUAGES: [&str; 4] = ["en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "pt-BR,pt;q=0.9", "ja"];
    let click = Click {
        clicked_at: Timestamp::from_micros(1_768_473_000_000_000 + i64::try_from(number).unwrap() * 1_000),
        status: 302,
        is_head: false,
        is_scan: false,
        source: Source::Default,
        country: Some(*b"DE"),
        visitor: Some(number),
        address: Some("192.0.2.0".parse().unwrap()),
        is_cut: false,
        link_id: "link_019bc13478bb71c8aa0b1ad97f9e312e".into(),
        account_id: "acc_019bc13478bb71c8aa0b1ad97f9e312e".into(),
        domain: "go.example".into(),
        slug: "spring".into(),
        rule_id: "".into(),
        ab_test_id: "".into(),
        variant_id: "".into(),
        purpose: "".into(),
        user_agent: user_agent.into(),
        referrer: REFERRERS[usize::try_from(number % 5).unwrap()].into(),
        accept_language: LANGUAGES[usize::try_from(number % 4).unwrap()].into(),
        utm: if number.is_multiple_of(3) { "utm_source=t&utm_medium=social&utm_campaign=spring" } else { "" }.into(),
    };
    let mut bytes = Vec::new();
    click.write(&mut bytes);
    bytes.shrink_to_fit();
    bytes
}

fn measure(name: &str, enricher: &mut ClickEnricher, clicks: &[Vec<u8>], count: u64) {
    let passed_over = enricher.unparsed_user_agents();
    let begun = processor_ns();
    for sequence in 0..count {
        let bytes = &clicks[usize::try_from(sequence).unwrap() % clicks.len()];
        let click = Click::read(bytes).unwrap();
        let origin = ClickOrigin { edge_id: "edge-1", epoch: 1, sequence };
        enricher.enrich(origin, &click, |facts| black_box(facts.browser.len()));
    }
    let ns = (processor_ns() - begun) as f64 / count as f64;
    let passed_over = enricher.unparsed_user_agents() - passed_over;
    println!("{name}: {ns:.0} ns a click ({passed_over} user agents without browser), resident {} MB", resident_mb());
}

/// Time that this thread had a processor: a machine that is busy with other things does not change it much.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("0");
    line.split_ascii_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

fn main() {
    let mut numbers = Numbers(7);
    let mut mix = |distinct: u64, clicks: u64| -> Vec<Vec<u8>> {
        (0..clicks).map(|number| compact(&user_agent(numbers.skewed_below(distinct)), number)).collect()
    };
    let (usual, many) = (mix(5_000, 50_000), mix(500_000, 200_000));
    let flood: Vec<Vec<u8>> =
        (0..200_000).map(|number| compact(&format!("Mozilla/5.0 (X{number}) Bot{number}/1.0"), number)).collect();
    let browsers: Vec<Vec<u8>> = (0..200_000).map(|number| compact(&user_agent(1_000_000 + number), number)).collect();
    println!("before the first click: resident {} MB", resident_mb());

    let mut enricher = ClickEnricher::new("go.example");
    let begun = Instant::now();
    measure("the first click", &mut enricher, &usual, 1);
    println!("  with the patterns compiled: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    measure("5,000 user agents, Zipf, cold", &mut enricher, &usual, 50_000);
    measure("5,000 user agents, Zipf", &mut enricher, &usual, CLICKS);
    measure("500,000 user agents, Zipf", &mut enricher, &many, CLICKS);
    measure("200,000 user agents in turn, browsers", &mut enricher, &browsers, CLICKS / 4);
    measure("200,000 user agents in turn, nonsense", &mut enricher, &flood, CLICKS / 4);
    measure("5,000 user agents, Zipf, afterwards", &mut enricher, &usual, CLICKS);
}
