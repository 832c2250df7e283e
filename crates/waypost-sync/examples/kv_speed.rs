//! How quickly changed links reach Workers KV, against a stand-in on this machine whose every answer takes some time.
//!
//! `cargo run --release -p waypost-sync --example kv_speed -- [links] [latency_ms] [database address]`: without
//! arguments 10,000 links without latency and 60,000 with 100 ms, on an SQLite file of their own. The stand-in runs in
//! the same process, so that what it takes of the processor counts as well.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use waypost_core::sync::SyncTarget;
use waypost_core::{Hostname, LinkRecord, Slug};
use waypost_store::{NewLink, SlugChoice, Store, StoreOptions};
use waypost_sync::{KvClient, KvSettings, OutboxOptions, OutboxWorker, Secret};
use waypost_testkit::kv_api::{ACCOUNT, KvApi, NAMESPACE, TOKEN};

type Failure = Box<dyn std::error::Error>;

/// Links made in one transaction.
const CHUNK: usize = 1_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let Some(links) = arguments.first() else {
        runtime.block_on(measure(10_000, 0, None))?;
        return runtime.block_on(measure(60_000, 100, None));
    };
    let latency_ms = arguments.get(1).map_or(Ok(0), |text| text.parse())?;
    runtime.block_on(measure(links.parse()?, latency_ms, arguments.get(2).cloned()))
}

async fn measure(links: usize, latency_ms: u64, address: Option<String>) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let address = address.unwrap_or_else(|| folder.path().join("waypost.db").display().to_string());
    let store = Store::open(&address, StoreOptions::default()).await?;
    let api = KvApi::start()?;
    api.set_latency(Duration::from_millis(latency_ms));
    let settings = KvSettings {
        api_url: api.url(),
        account_id: ACCOUNT.to_owned(),
        namespace_id: NAMESPACE.to_owned(),
        api_token: Secret::new(TOKEN.to_owned()),
    };
    make_links(&store, links).await?;
    let kv = Arc::new(KvClient::new(&settings)?);
    let worker = Arc::new(OutboxWorker::new(store.clone(), kv, OutboxOptions::new(1_000)));
    let began = Instant::now();
    let job = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run().await }
    });
    while !is_synced(&store).await? {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed().as_secs_f64();
    worker.stop();
    job.await?;
    let calls = api.call_count();
    println!(
        "{} links at {latency_ms} ms a call: {took:.2} s, {:.0} links/s, {calls} calls ({:.1}/s)",
        api.count(),
        links as f64 / took,
        calls as f64 / took
    );
    store.close().await;
    Ok(())
}

async fn make_links(store: &Store, links: usize) -> Result<(), Failure> {
    let mut tx = store.begin("init").await?;
    let setup = tx.init(&Hostname::parse("go.example")?).await?;
    let numbers: Vec<usize> = (0..links).collect();
    for numbers in numbers.chunks(CHUNK) {
        let mut chunk = Vec::with_capacity(CHUNK);
        for number in numbers {
            chunk.push(NewLink {
                account_id: setup.default_account.account_id.clone(),
                domain_id: setup.default_domain.domain_id.clone(),
                slug: SlugChoice::Chosen(Slug::parse(&format!("link-{number}"))?),
                record: LinkRecord::from_url(format!("https://example.com/some/page/{number}?utm_source=speed")),
                dedupe_key: None,
                created_at: None,
            });
        }
        tx.create_links(&chunk, None).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn is_synced(store: &Store) -> Result<bool, Failure> {
    let mut tx = store.read("is_synced").await?;
    let work = tx.sync_work(SyncTarget::CloudflareKv).await?;
    Ok(!work.is_behind && work.due_at.is_none())
}
