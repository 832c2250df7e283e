//! What counting and reporting cost: 10 million clicks on one link over 90 days, and as many on 100,000 links.
//!
//! Times are those of the processor, so that others who use it do not count.
//!
//! `cargo run --release -p waypost-rollup --example report_cost`; a number as argument instead of 10,000,000 clicks.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Duration;

use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};
use waypost_core::class::Class;
use waypost_core::device::{Device, Os};
use waypost_core::{Source, Timestamp};
use waypost_rollup::{
    Channel, ClickFacts, ClickKey, DayRollup, Dimension, Filter, Interval, LinksRollup, Report, ReportPlan,
    ReportQuery, Scope, Vocabulary,
};
use xxhash_rust::xxh3::xxh3_64;

const DAYS: i64 = 90;
const FIRST_DAY: i64 = 20_454;
const HOUR: i64 = 3_600_000_000;
const LINKS: usize = 100_000;

const LANGUAGES: [&str; 30] = [
    "en", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "uk", "tr", "ar", "fa", "hi", "bn", "ja", "ko", "zh", "vi",
    "th", "id", "sv", "da", "nb", "fi", "cs", "hu", "ro", "el", "he",
];
const PLATFORMS: [(Device, Os, &str); 24] = [
    (Device::Mobile, Os::Ios, "Mobile Safari"),
    (Device::Mobile, Os::Android, "Chrome Mobile"),
    (Device::Desktop, Os::Windows, "Chrome"),
    (Device::Desktop, Os::Macos, "Safari"),
    (Device::Desktop, Os::Windows, "Edge"),
    (Device::Desktop, Os::Macos, "Chrome"),
    (Device::Mobile, Os::Android, "Samsung Internet"),
    (Device::Mobile, Os::Ios, "Chrome Mobile"),
    (Device::Desktop, Os::Windows, "Firefox"),
    (Device::Mobile, Os::Ios, "Instagram"),
    (Device::Mobile, Os::Android, "Facebook"),
    (Device::Desktop, Os::Linux, "Firefox"),
    (Device::Tablet, Os::Ios, "Mobile Safari"),
    (Device::Desktop, Os::Linux, "Chrome"),
    (Device::Mobile, Os::Ios, "Facebook"),
    (Device::Tablet, Os::Android, "Chrome"),
    (Device::Desktop, Os::Chromeos, "Chrome"),
    (Device::Mobile, Os::Android, "Firefox Mobile"),
    (Device::Desktop, Os::Macos, "Firefox"),
    (Device::Desktop, Os::Windows, "Opera"),
    (Device::Mobile, Os::Android, "Instagram"),
    (Device::Mobile, Os::Android, "Opera Mobile"),
    (Device::Tablet, Os::Android, "Samsung Internet"),
    (Device::Other, Os::Other, ""),
];
/// Clicks of each hour of a local day.
const RHYTHM: [u32; 24] = [12, 8, 5, 4, 4, 6, 12, 24, 36, 44, 48, 50, 54, 52, 50, 48, 48, 50, 54, 60, 62, 54, 38, 22];

/// The processor time of this thread at some moment.
struct Processor(Duration);

impl Processor {
    fn now() -> Self {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Self(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    fn elapsed(&self) -> Duration {
        Self::now().0 - self.0
    }
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        xxh3_64(&self.0.to_le_bytes())
    }

    fn below(&mut self, most: usize) -> usize {
        ((u128::from(self.next()) * most as u128) >> 64) as usize
    }

    fn of(&mut self, shares: &[f64]) -> usize {
        let at = self.next() as f64 / u64::MAX as f64 * shares[shares.len() - 1];
        shares.partition_point(|share| *share < at).min(shares.len() - 1)
    }
}

/// Running sums of shares that fall as 1/rank^s.
fn zipf(count: usize, exponent: f64) -> Vec<f64> {
    sums((1..=count).map(|rank| (rank as f64).powf(-exponent)))
}

fn sums(shares: impl Iterator<Item = f64>) -> Vec<f64> {
    shares
        .scan(0.0, |sum, share| {
            Some({
                *sum += share;
                *sum
            })
        })
        .collect()
}

struct World {
    countries: Vec<f64>,
    platforms: Vec<f64>,
    languages: Vec<f64>,
    hosts: Vec<f64>,
    utms: Vec<f64>,
    links: Vec<f64>,
    rhythm: Vec<f64>,
    host_names: Vec<String>,
    campaigns: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self {
            countries: zipf(50, 1.0),
            platforms: zipf(24, 0.9),
            languages: zipf(30, 1.0),
            hosts: zipf(50, 1.0),
            utms: zipf(30, 1.0),
            links: zipf(LINKS, 1.0),
            rhythm: sums(RHYTHM.iter().map(|share| f64::from(*share))),
            host_names: (0..200).map(|host| format!("www.site-{host}.example")).collect(),
            campaigns: (0..30).map(|campaign| format!("campaign-{campaign}")).collect(),
        }
    }

    /// A click of that day. What it says follows from its visitor, but for hour and channel.
    fn click(&self, day: i64, random: &mut Random, visitors: usize) -> ClickFacts<'_> {
        let visitor = xxh3_64(&(random.below(visitors) as u64 ^ (day as u64) << 40).to_le_bytes());
        let mut of_visitor = Random(visitor);
        let country = of_visitor.of(&self.countries);
        let language = match of_visitor.below(100) {
            0..78 => country % 30,
            78..94 => 0,
            _ => of_visitor.of(&self.languages),
        };
        let (device, os, browser) = PLATFORMS[of_visitor.of(&self.platforms)];
        let class = [Class::Human, Class::Bot, Class::Prefetch, Class::Preview, Class::Head]
            [of_visitor.of(&[0.88, 0.95, 0.97, 0.99, 1.0])];
        let channel = Channel::NAMES[of_visitor.of(&[0.40, 0.55, 0.80, 0.86, 0.88, 0.92, 0.95, 1.0])].1;
        let referrer_host = match channel {
            Channel::Direct | Channel::Email => "",
            Channel::Search
            | Channel::Social
            | Channel::Assistant
            | Channel::Messenger
            | Channel::Paid
            | Channel::Referral
            | Channel::Qr => &self.host_names[(channel as usize * 25 + of_visitor.of(&self.hosts)) % 200],
        };
        let utm = match of_visitor.below(10) {
            0..4 => {
                let combination = of_visitor.of(&self.utms);
                let source = ["newsletter", "twitter", "google"][combination % 3];
                [source, ["email", "social", "cpc"][combination % 3], &self.campaigns[combination], "", ""]
            }
            _ => [""; 5],
        };
        let (source, rule_id, ab_test_id, variant_id) = match (country, visitor % 10) {
            (0, _) => (Source::Rule, "r1", "", ""),
            (_, 0..2) => (Source::AbTest, "", "beta", if visitor & 16 == 0 { "v1" } else { "v2" }),
            _ => (Source::Default, "", "", ""),
        };
        let hour = (random.of(&self.rhythm) + country * 5) % 24;
        ClickFacts {
            event_id: [0; 16],
            edge_id: "edge",
            epoch: 1,
            sequence: 1,
            clicked_at: Timestamp::from_micros((day * 24 + hour as i64) * HOUR),
            link_id: "link_a",
            account_id: "acc_a",
            domain: "",
            slug: "a",
            status: 302,
            class,
            class_reason: "none",
            classifier: 1,
            country: Some([b'A' + (country / 26) as u8, b'A' + (country % 26) as u8]),
            device,
            os,
            browser,
            channel,
            referrer_host,
            referrer: "",
            user_agent: "",
            language: LANGUAGES[language],
            source,
            rule_id,
            ab_test_id,
            variant_id,
            utm,
            visitor: Some(visitor),
            address: None,
        }
    }
}

fn query(group_by: Option<Dimension>, interval: Interval, zone: &str, filters: &[&str]) -> ReportQuery {
    ReportQuery {
        scope: Scope::Account("acc_a".parse().unwrap()),
        from: Timestamp::from_micros(FIRST_DAY * 24 * HOUR),
        to: Timestamp::from_micros((FIRST_DAY + DAYS) * 24 * HOUR),
        interval,
        time_zone: TimeZone::get(zone).unwrap(),
        classes: vec![Class::Human],
        filters: filters.iter().map(|text| text.parse::<Filter>().unwrap()).collect(),
        group_by,
        groups_max: 10,
    }
}

/// The answer, and the median time of seven.
fn answer(query: &ReportQuery, blocks: &[Vec<u8>]) -> (Report, Duration) {
    let once = || {
        let start = Processor::now();
        let mut plan = ReportPlan::new(query).unwrap();
        (FIRST_DAY..).zip(blocks).for_each(|(day, block)| plan.add(day, block).unwrap());
        (plan.finish(), start.elapsed())
    };
    let mut runs: Vec<(Report, Duration)> = (0..7).map(|_| once()).collect();
    runs.sort_by_key(|(_, took)| *took);
    runs.swap_remove(3)
}

fn show(name: &str, took: Duration, per: u64) {
    println!("{name:<64} {:>9.3} ms  {:>8.1} ns each", took.as_secs_f64() * 1e3, took.as_nanos() as f64 / per as f64);
}

fn one_link(world: &World, clicks: u64) -> Vec<Vec<u8>> {
    let per_day = clicks / DAYS as u64;
    let mut random = Random(1);
    let mut blocks = Vec::new();
    let (mut key_time, mut merge_time, mut add_time) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for day in FIRST_DAY..FIRST_DAY + DAYS {
        let facts: Vec<ClickFacts<'_>> =
            (0..per_day).map(|_| world.click(day, &mut random, per_day as usize * 7 / 10)).collect();
        let start = Processor::now();
        let mut vocabulary = Vocabulary::new();
        let mut delta = Vec::new();
        facts.iter().for_each(|click| delta.push(vocabulary.key(click)));
        key_time += start.elapsed();
        let start = Processor::now();
        blocks.push(vocabulary.merge(&delta, None).unwrap());
        merge_time += start.elapsed();
        if day == FIRST_DAY {
            let start = Processor::now();
            let mut rollup = DayRollup::default();
            facts.iter().for_each(|click| rollup.add(click));
            add_time = start.elapsed();
            assert_eq!(rollup.encode(), blocks[0]);
        }
    }
    show("Vocabulary::key", key_time, per_day * DAYS as u64);
    show("Vocabulary::merge nothing, a day's clicks at once", merge_time, per_day * DAYS as u64);
    show("DayRollup::add, one day", add_time, per_day);
    let bytes: usize = blocks.iter().map(Vec::len).sum();
    println!(
        "{} blocks, {} bytes each, {:.1} bytes a click",
        blocks.len(),
        bytes / blocks.len(),
        bytes as f64 / clicks as f64
    );
    merge_cost(world, &blocks[0]);
    blocks
}

fn merge_cost(world: &World, block: &[u8]) {
    let mut random = Random(2);
    let mut vocabulary = Vocabulary::new();
    let mut delta = Vec::new();
    (0..100).for_each(|_| delta.push(vocabulary.key(&world.click(FIRST_DAY, &mut random, 1_000))));
    let mut runs: Vec<Duration> = (0..21)
        .map(|_| {
            let start = Processor::now();
            std::hint::black_box(vocabulary.merge(&delta, Some(block)).unwrap());
            start.elapsed()
        })
        .collect();
    runs.sort();
    show("Vocabulary::merge that block, 100 clicks", runs[10], 100);
    let start = Processor::now();
    let rollup = DayRollup::decode(block).unwrap();
    show("  of which decoding", start.elapsed(), 1);
    println!("  {rollup_bytes} bytes in memory", rollup_bytes = rollup.memory_bytes());
}

fn reports(blocks: &[Vec<u8>]) {
    use Dimension as D;
    use Interval as I;
    let questions = [
        ("totals", query(None, I::None, "UTC", &[])),
        ("by day", query(None, I::Day, "UTC", &[])),
        ("by day in Berlin", query(None, I::Day, "Europe/Berlin", &[])),
        ("by hour", query(None, I::Hour, "UTC", &[])),
        ("countries", query(Some(D::Country), I::None, "UTC", &[])),
        ("browsers by day in Berlin", query(Some(D::Browser), I::Day, "Europe/Berlin", &[])),
        ("languages by hour", query(Some(D::Language), I::Hour, "UTC", &[])),
        (
            "os of two countries and a channel by day",
            query(Some(D::Os), I::Day, "UTC", &["country=AA,AB", "channel=search"]),
        ),
        (
            "variants of a test, mobile only",
            query(Some(D::Variant), I::None, "UTC", &["ab_test=beta", "device=mobile"]),
        ),
        ("referrer hosts", query(Some(D::ReferrerHost), I::None, "UTC", &[])),
        ("referrer hosts by hour", query(Some(D::ReferrerHost), I::Hour, "UTC", &[])),
        ("campaigns of a channel by day", query(Some(D::UtmCampaign), I::Day, "Europe/Berlin", &["channel=social"])),
    ];
    for (name, query) in questions {
        let (report, took) = answer(&query, blocks);
        let found =
            format!("{name}: {} clicks, {} visitors, {} rows", report.clicks, report.visitors, report.rows.len());
        show(&found, took, blocks.len() as u64);
    }
}

fn many_links(world: &World, clicks: u64) {
    let per_day = clicks / DAYS as u64;
    let mut random = Random(3);
    let mut blocks = Vec::new();
    for day in FIRST_DAY..FIRST_DAY + DAYS {
        let mut links = LinksRollup::default();
        (0..per_day).for_each(|_| {
            let click = world.click(day, &mut random, per_day as usize);
            links.add(random.of(&world.links) as u32, &click);
        });
        blocks.push(links.encode());
    }
    println!(
        "{} blocks of links, {} bytes each",
        blocks.len(),
        blocks.iter().map(Vec::len).sum::<usize>() / blocks.len()
    );
    for (name, interval) in [("top 10 links", Interval::None), ("top 10 links by day in Berlin", Interval::Day)] {
        let (report, took) = answer(&query(Some(Dimension::Link), interval, "Europe/Berlin", &[]), &blocks);
        show(&format!("{name}: {} clicks, {} links more", report.clicks, report.other_groups), took, DAYS as u64);
    }
    let mut added = LinksRollup::default();
    (0..100).for_each(|_| {
        added.add(random.of(&world.links) as u32, &world.click(FIRST_DAY, &mut random, 1_000));
    });
    let start = Processor::now();
    let mut stored = LinksRollup::decode(&blocks[0]).unwrap();
    stored.merge(&added);
    std::hint::black_box(stored.encode());
    show("LinksRollup: decode, merge 100 clicks, encode", start.elapsed(), 100);
}

/// A batch as ingest has it: clicks of one day on Zipf links, into roll-ups of each link, one domain and one account.
fn batches(world: &World) {
    const CLICKS: usize = 100_000;
    let mut random = Random(4);
    let mut stored: Vec<Option<Vec<u8>>> = vec![None; LINKS + 2];
    for round in 1..=2 {
        let facts: Vec<(usize, ClickFacts<'_>)> =
            (0..CLICKS).map(|_| (random.of(&world.links), world.click(FIRST_DAY, &mut random, CLICKS))).collect();
        let start = Processor::now();
        let mut vocabulary = Vocabulary::new();
        let mut deltas = vec![Vec::<ClickKey>::new(); LINKS + 2];
        for (link, click) in &facts {
            let key = vocabulary.key(click);
            [*link, LINKS, LINKS + 1].into_iter().for_each(|scope| deltas[scope].push(key));
        }
        let keyed = start.elapsed();
        let memory: usize = vocabulary.memory_bytes()
            + deltas.iter().map(|keys| keys.capacity() * size_of::<ClickKey>()).sum::<usize>();
        let start = Processor::now();
        let touched = deltas.iter().filter(|delta| !delta.is_empty()).count();
        for (delta, stored) in deltas.iter().zip(&mut stored).filter(|(delta, _)| !delta.is_empty()) {
            *stored = Some(vocabulary.merge(delta, stored.as_deref()).unwrap());
        }
        show(&format!("batch {round}: keys and three deltas"), keyed, CLICKS as u64);
        show(&format!("batch {round}: merged into {touched} roll-ups"), start.elapsed(), CLICKS as u64);
        println!("  memory {} KB", memory / 1024);
    }
    let mut sizes: Vec<usize> = stored.iter().flatten().map(Vec::len).collect();
    sizes.sort_unstable();
    println!(
        "link roll-ups: median {} bytes, smallest {}, largest {:?}",
        sizes[sizes.len() / 2],
        sizes[0],
        sizes.last()
    );
}

fn main() {
    let clicks = std::env::args().nth(1).map_or(10_000_000, |text| text.parse().unwrap());
    let world = World::new();
    let blocks = one_link(&world, clicks);
    reports(&blocks);
    many_links(&world, clicks);
    batches(&world);
}
