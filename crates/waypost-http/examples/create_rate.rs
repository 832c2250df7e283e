//! Measures how fast links are made through the router, each answer including that the link is at the edge: one at a
//! time, 64 at once, and in bulk; beside what one fsync of the same disk costs.
//!
//! `create_rate FOLDER [ONE [AT_ONCE [BULK]]]`: an empty folder on the disk to measure, and how many links are made one
//! at a time and 64 at once, and how many bulk requests of 1,000 links are sent. Prints one line of JSON. fsync is
//! measured before and after the links that are made one at a time, because disks change their minds.

#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use serde_json::json;
use tower::ServiceExt as _;
use waypost_clicks::ClickStore;
use waypost_control::{App, ControlSettings, PublicUrl};
use waypost_http::{HttpSettings, Principal, router};
use waypost_ingest::{ClickSettings, Clicks};
use waypost_store::{Store, StoreOptions};
use waypost_table::{Table, TableOptions};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("say which folder")?);
    let mut count = |default: usize| arguments.next().map_or(Ok(default), |count| count.parse());
    let (one, at_once, bulk_requests) = (count(500)?, count(5_000)?, count(100)?);
    let store = Store::open(&folder.join("waypost.db").display().to_string(), StoreOptions::default()).await?;
    let table = Arc::new(Table::open(&folder.join("table"), TableOptions::default())?);
    let settings = ControlSettings::new(PublicUrl::parse("https://go.example")?, Arc::new(|_| String::new()));
    let address = folder.join("clicks.db").display().to_string();
    let clicks = ClickStore::open(&address, StoreOptions::default()).await?;
    let clicks = Clicks::start(clicks, None, ClickSettings::default());
    let app = App::start(store, Arc::clone(&table), clicks, settings).await?;
    app.wait_until_ready(Duration::from_secs(10)).await;
    let router = router(Arc::clone(&app), HttpSettings::default());

    let fsync_before = fsync_cost(&folder)?;
    let one_took = post_all(&router, "/api/v1/links", one, 1, |_| link()).await?;
    let fsync = (fsync_before + fsync_cost(&folder)?) / 2;
    let at_once_took = post_all(&router, "/api/v1/links", at_once, 64, |_| link()).await?;
    let body = |_| format!("{{\"links\": [{}]}}", vec![link(); 1_000].join(","));
    let bulk_took = post_all(&router, "/api/v1/links/bulk", bulk_requests, 4, body).await?;
    let micros = |took: Duration, count: usize| took.as_secs_f64() * 1e6 / count as f64;
    let measured = json!({
        "fsync_us": micros(fsync, 1), "one_us": micros(one_took, one), "at_once_us": micros(at_once_took, at_once),
        "bulk_us": micros(bulk_took, bulk_requests * 1_000), "links_in_table": table.stats()?.links,
    });
    println!("{measured}");
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

fn fsync_cost(folder: &Path) -> Result<Duration, Failure> {
    let mut file = std::fs::File::create(folder.join("fsync"))?;
    let began = Instant::now();
    for _ in 0..100 {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(began.elapsed() / 100)
}
