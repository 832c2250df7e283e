//! Measures how many clicks per second a fresh SQLite database counts: `click_rate [CLICKS] [LINKS] [CLICKS_PER_BATCH] [DAYS] [FOLDER]`.
//!
//! The clicks are made up before (100,000 of them, again and again with numbers and times of their own) and are what an
//! ingest hands over: classified and parsed. Prints a line of figures for every million, sizes, and how long reports take.
//! Pin it to one core with `taskset -c 1`.

use std::time::{Duration, Instant};

use sqlx::{Connection, Row};
use waypost_clicks::{ClickBatch, ClickStore, RawQuery, StoreOptions};
use waypost_core::Timestamp;
use waypost_core::channel::Channel;
use waypost_core::class::{CLASSIFIER_VERSION, Class, classify};
use waypost_core::click::{Click, event_id, utm_values};
use waypost_core::device::{device, os};
use waypost_core::id::AccountId;
use waypost_core::visit::Visit;
use waypost_rollup::{ClickFacts, Dimension, Interval, ReportQuery, Scope};
use waypost_testkit::clicks::{ClickWorld, ClickWorldOptions};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How many clicks are made up.
const MADE: usize = 500_000;
const DAY_US: i64 = 86_400_000_000;

struct Options {
    clicks: u64,
    links: usize,
    per_batch: u64,
    days: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (clicks, links) = (number(2_000_000)?, number(100_000)? as usize);
    let options = Options { clicks, links, per_batch: number(250_000)?, days: number(1)? };
    let folder = match arguments.next() {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let file = folder.path().join("clicks.db");
    let world = ClickWorld::new(ClickWorldOptions { links: options.links, days: 1, ..ClickWorldOptions::default() });
    let made: Vec<Click<'_>> = world.clicks(options.clicks.min(MADE as u64)).collect();
    let utm: Vec<_> = made.iter().map(|click| utm_values(&click.utm)).collect();
    let facts: Vec<ClickFacts<'_>> = made.iter().zip(&utm).map(|(click, utm)| facts(click, utm)).collect();
    let store = ClickStore::open(&file.display().to_string(), StoreOptions::default()).await?;
    count(&store, &facts, &options).await?;
    sizes(&file, options.clicks).await?;
    reports(&store, &world, &options).await?;
    store.close().await;
    Ok(())
}

fn facts<'a>(click: &'a Click<'_>, utm: &'a [impl AsRef<str>; 5]) -> ClickFacts<'a> {
    let visit = Visit { user_agent: Some(&click.user_agent), ..Visit::at(click.clicked_at) };
    let classified = classify(&visit);
    let referrer = click.referrer.split('/').nth(2).unwrap_or_default();
    ClickFacts {
        event_id: [0; 16],
        edge_id: "edge-1",
        epoch: 1,
        sequence: 0,
        clicked_at: click.clicked_at,
        link_id: &click.link_id,
        account_id: &click.account_id,
        domain: &click.domain,
        slug: &click.slug,
        status: click.status,
        class: if click.is_head { Class::Head } else { classified.class },
        class_reason: classified.reason,
        classifier: CLASSIFIER_VERSION,
        country: click.country,
        device: device(&click.user_agent),
        os: os(&click.user_agent),
        browser: click.user_agent.rsplit(' ').next().and_then(|word| word.split('/').next()).unwrap_or_default(),
        channel: if referrer.is_empty() { Channel::Direct } else { Channel::Referral },
        referrer_host: referrer,
        referrer: &click.referrer,
        user_agent: &click.user_agent,
        language: click.accept_language.get(..2).unwrap_or_default(),
        source: click.source,
        rule_id: &click.rule_id,
        ab_test_id: &click.ab_test_id,
        variant_id: &click.variant_id,
        utm: utm.each_ref().map(AsRef::as_ref),
        visitor: click.visitor,
        address: click.address,
    }
}

#[allow(clippy::print_stdout)] // The figures are what the program is for.
async fn count(store: &ClickStore, facts: &[ClickFacts<'_>], options: &Options) -> Outcome<()> {
    let (began, cpu_began) = (Instant::now(), cpu_seconds());
    let (mut collecting, mut storing, mut memory) = (Duration::ZERO, Duration::ZERO, 0);
    let mut batch = ClickBatch::new();
    let mut mark = Instant::now();
    for number in 0..options.clicks {
        let made = &facts[number as usize % facts.len()];
        let round = number / facts.len() as u64;
        // The days one after the other; what is repeated comes from other visitors.
        let day = (number * options.days / options.clicks) as i64;
        let clicked_at = Timestamp::from_micros(made.clicked_at.as_micros() + day * DAY_US + round as i64 % 1_000);
        let visitor = made.visitor.map(|visitor| visitor.wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let sequence = number + 1;
        let event_id = event_id(made.edge_id, made.epoch, sequence, clicked_at);
        batch.push(&ClickFacts { event_id, sequence, clicked_at, visitor, ..*made });
        if batch.clicks() == options.per_batch || sequence == options.clicks {
            collecting += mark.elapsed();
            memory = memory.max(batch.memory_bytes());
            mark = Instant::now();
            store.ingest(std::mem::take(&mut batch)).await?;
            storing += mark.elapsed();
            mark = Instant::now();
            if sequence % 1_000_000 == 0 || sequence == options.clicks {
                let took = began.elapsed();
                println!(
                    "{sequence} clicks in {:.2} s: {:.0} clicks/s ({:.2} us of CPU each); \
                     each {:.2} us to collect, {:.2} us to store; batch {} MB",
                    took.as_secs_f64(),
                    sequence as f64 / took.as_secs_f64(),
                    (cpu_seconds() - cpu_began) * 1e6 / sequence as f64,
                    collecting.as_secs_f64() * 1e6 / sequence as f64,
                    storing.as_secs_f64() * 1e6 / sequence as f64,
                    memory / 1_000_000
                );
            }
        }
    }
    Ok(())
}

/// What all threads have used of the processor, where the system tells.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().skip(11).take(2);
    // In hundredths, on every system that has the file.
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[allow(clippy::print_stdout)]
async fn sizes(file: &std::path::Path, clicks: u64) -> Outcome<()> {
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?;
    for (what, sql) in [
        ("raw clicks", "SELECT sum(length(body)) FROM click_blocks"),
        ("day roll-ups", "SELECT sum(length(rollup)) FROM click_days"),
        ("link roll-ups", "SELECT sum(length(rollup)) FROM click_link_days"),
    ] {
        let bytes: i64 = sqlx::query(sql).fetch_one(&mut connection).await?.get(0);
        println!("{what}: {:.1} bytes per click", bytes as f64 / clicks as f64);
    }
    println!("file: {:.0} MB", std::fs::metadata(file)?.len() as f64 / 1e6);
    Ok(connection.close().await?)
}

#[allow(clippy::print_stdout)]
async fn reports(store: &ClickStore, world: &ClickWorld, options: &Options) -> Outcome<()> {
    let first = &world.links()[0];
    let account: AccountId = first.account_id.parse()?;
    let starts_at = ClickWorldOptions::default().starts_at;
    let query = |scope, group_by, interval| ReportQuery {
        scope,
        from: starts_at,
        to: Timestamp::from_micros(starts_at.as_micros() + options.days as i64 * DAY_US),
        interval,
        time_zone: jiff::tz::TimeZone::UTC,
        classes: Vec::new(),
        filters: Vec::new(),
        group_by,
        groups_max: 100,
    };
    let link = Scope::Link(account.clone(), first.link_id.parse()?);
    for (name, scope) in [("account", Scope::Account(account.clone())), ("link", link)] {
        for group_by in [None, Some(Dimension::Country), Some(Dimension::ReferrerHost), Some(Dimension::Link)] {
            if group_by == Some(Dimension::Link) && name == "link" {
                continue;
            }
            let query = query(scope.clone(), group_by, Interval::Day);
            let mut best = Duration::MAX;
            let mut clicks = 0;
            for _ in 0..5 {
                let began = Instant::now();
                clicks = store.report(&query).await?.clicks;
                best = best.min(began.elapsed());
            }
            println!("report on {name} by {group_by:?}: {:.1} ms, {clicks} clicks", best.as_secs_f64() * 1e3);
        }
    }
    // How often at all: from the days, then from the total that is made after that.
    let from = Timestamp::from_micros(starts_at.as_micros() - 400 * DAY_US);
    let ever =
        ReportQuery { from, ..query(Scope::Link(account.clone(), first.link_id.parse()?), None, Interval::None) };
    for what in ["days", "the total"] {
        let mut best = Duration::MAX;
        let mut clicks = 0;
        for _ in 0..5 {
            let began = Instant::now();
            clicks = store.report(&ever).await?.clicks;
            best = best.min(began.elapsed());
        }
        println!("all-time total of a link from {what}: {:.2} ms, {clicks} clicks", best.as_secs_f64() * 1e3);
        store.make_totals().await?;
    }
    let began = Instant::now();
    let mut raw = RawQuery { account_id: account, link_id: None, from: None, to: None, limit: 10_000, cursor: None };
    let mut seen = 0;
    loop {
        let page = store.raw_clicks(&raw).await?;
        seen += page.events.len();
        raw.cursor = page.next;
        if raw.cursor.is_none() {
            break;
        }
    }
    println!("{seen} raw clicks exported in {:.2} s", began.elapsed().as_secs_f64());
    Ok(())
}
