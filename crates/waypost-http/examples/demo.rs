//! Serves the control plane alone on a free port, over data in a temporary folder: for looking at the pages.
//!
//! Takes `--closed` to switch anonymous links off. Prints its address, and makes a few links to look at.

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt as _;
use waypost_clicks::ClickStore;
use waypost_control::{App, ControlSettings, PublicUrl};
use waypost_http::{HttpSettings, Principal, router};
use waypost_ingest::{ClickSettings, Clicks};
use waypost_store::{Store, StoreOptions};
use waypost_table::{Table, TableOptions};

const LINKS: [&str; 4] = [
    r#"{"destination_url": "https://www.example.com/catalogue/2026/spring?section=maps&sort=newest", "slug": "spring"}"#,
    r#"{"destination_url": "https://bücher.example/straße", "slug": "books",
        "geo_rules": [{"country_code": "AT", "destination_url": "https://example.at/"}]}"#,
    r#"{"destination_url": "https://example.com/hidden", "slug": "secret", "password": "open"}"#,
    r#"{"destination_url": "https://example.com/", "slug": "over", "expires_at": "2020-01-01T00:00:00Z"}"#,
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&folder.path().join("waypost.db").display().to_string(), StoreOptions::default()).await?;
    let table = Table::open(&folder.path().join("table"), TableOptions::default())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let public_url = PublicUrl::parse(&format!("http://{}", listener.local_addr()?))?;
    println!("{}", public_url.origin());
    let mut settings = ControlSettings::new(public_url, Arc::new(|_| "wp_unlock_demo=1; Path=/".to_owned()));
    settings.anonymous_links = !std::env::args().any(|argument| argument == "--closed");
    let address = folder.path().join("clicks.db").display().to_string();
    let clicks = ClickStore::open(&address, StoreOptions::default()).await?;
    let clicks = Clicks::start(clicks, None, ClickSettings::default());
    let app = App::start(store, Arc::new(table), clicks, settings).await?;
    let router = router(Arc::clone(&app), HttpSettings::default());
    for link in LINKS {
        let request = Request::post("/api/v1/links").header("content-type", "application/json");
        let request = request.extension(Principal::Operator).body(Body::from(link))?;
        router.clone().oneshot(request).await?;
    }
    axum::serve(listener, router).await?;
    Ok(())
}
