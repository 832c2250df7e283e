//! Measures how fast links are made through the router, each answer including that the link is at the edge: one at a
//! time, 64 at once, and in bulk; beside what one fsync of the same disk costs.
//!
//! Takes the number of bulk requests of 1,000 links (default 100). Data goes to a temporary folder.

#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use tower::ServiceExt as _;
use waypost_control::{App, ClickSettings, Clicks, ControlSettings, Principal, PublicUrl, router};
use waypost_store::{ClickStore, Store, StoreOptions};
use waypost_table::{Table, TableOptions};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let bulk_requests = std::env::args().nth(1).map_or(Ok(100), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    println!("one fsync: {:?}", fsync_cost(folder.path())?);
    let store = Store::open(&folder.path().join("waypost.db").display().to_string(), StoreOptions::default()).await?;
    let table = Arc::new(Table::open(&folder.path().join("table"), TableOptions::default())?);
    let settings = ControlSettings::new(PublicUrl::parse("https://go.example")?, Arc::new(|_| String::new()));
    let address = folder.path().join("clicks.db").display().to_string();
    let clicks = ClickStore::open(&address, StoreOptions::default()).await?;
    let clicks = Clicks::start(clicks, None, ClickSettings::default());
    let app = App::start(store, Arc::clone(&table), clicks, settings).await?;
    app.wait_until_ready(Duration::from_secs(10)).await;
    let router = router(Arc::clone(&app));

    report("one at a time", 500, post_all(&router, "/api/v1/links", 500, 1, |_| link()).await?);
    report("64 at once", 5_000, post_all(&router, "/api/v1/links", 5_000, 64, |_| link()).await?);
    let body = |_| format!("{{\"links\": [{}]}}", vec![link(); 1_000].join(","));
    let took = post_all(&router, "/api/v1/links/bulk", bulk_requests, 4, body).await?;
    report("bulk, 4 requests at once", bulk_requests * 1_000, took);
    println!("links in the table: {}", table.stats()?.links);
    app.stop().await;
    Ok(())
}

fn link() -> String {
    r#"{"destination_url": "https://www.example.com/catalogue/2026/spring?section=maps&sort=newest"}"#.to_owned()
}

async fn post_all(
    router: &Router,
    path: &str,
    count: usize,
    at_once: usize,
    body: impl Fn(usize) -> String,
) -> Result<Duration, Failure> {
    let began = Instant::now();
    let posts = iter(0..count).map(|index| {
        let request = Request::post(path).header("content-type", "application/json").extension(Principal::Operator);
        let request = request.body(Body::from(body(index)));
        let router = router.clone();
        tokio::spawn(async move {
            let response = router.oneshot(request.map_err(|error| error.to_string())?).await;
            let response = response.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = to_bytes(response.into_body(), 1 << 24).await.map_err(|error| error.to_string())?;
            if status.is_success() { Ok(()) } else { Err(String::from_utf8_lossy(&body).into_owned()) }
        })
    });
    let mut posts = posts.buffer_unordered(at_once);
    while let Some(done) = posts.next().await {
        done??;
    }
    Ok(began.elapsed())
}

fn report(what: &str, links: usize, took: Duration) {
    let per_second = links as f64 / took.as_secs_f64();
    println!("{what}: {links} links in {took:.2?}, {per_second:.0}/s, {:.0} us each", 1e6 / per_second);
}

fn fsync_cost(folder: &std::path::Path) -> Result<Duration, Failure> {
    let mut file = std::fs::File::create(folder.join("fsync"))?;
    let began = Instant::now();
    for _ in 0..100 {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(began.elapsed() / 100)
}
