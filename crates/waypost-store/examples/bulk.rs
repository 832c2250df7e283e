//! Measures how many links per second a fresh SQLite database takes: `bulk [LINKS] [LINKS_PER_TRANSACTION] [ADDRESS]`.
//!
//! With an address the links go there instead (a PostgreSQL test database, say). Prints one line of figures.

use std::time::Instant;

use waypost_core::{Hostname, LinkRecord, Slug};
use waypost_store::{CreateOutcome, LINKS_PER_CALL_MAX, NewLink, Setup, SlugChoice, Store, StoreOptions};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
#[allow(clippy::print_stdout)] // The figures are what the program is for.
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let links: usize = arguments.next().map_or(Ok(200_000), |count| count.parse())?;
    let per_transaction: usize = arguments.next().map_or(Ok(10_000), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bulk.db");
    let address = arguments.next().unwrap_or_else(|| file.display().to_string());
    let store = Store::open(&address, StoreOptions::default()).await?;
    let host = Hostname::parse("go.example")?;
    let setup = store.write("init", async |tx| tx.init(&host).await).await?;

    let began = Instant::now();
    let mut created = 0;
    for first in (0..links).step_by(per_transaction.max(1)) {
        let end = links.min(first + per_transaction.max(1));
        let mut tx = store.begin("import_links").await?;
        for first in (first..end).step_by(LINKS_PER_CALL_MAX) {
            let new_links = new_links(&setup, first..end.min(first + LINKS_PER_CALL_MAX))?;
            let outcomes = tx.create_links(&new_links, Some("import")).await?;
            created += outcomes.iter().filter(|outcome| matches!(outcome, CreateOutcome::Created { .. })).count();
        }
        tx.commit().await?;
    }
    let took = began.elapsed();
    let per_second = created as f64 / took.as_secs_f64();
    let size_mb = std::fs::metadata(&file).map_or(0.0, |metadata| metadata.len() as f64 / 1e6);
    println!("{created} links in {:.2} s: {per_second:.0} links/s, file {size_mb:.0} MB", took.as_secs_f64());
    store.close().await;
    Ok(())
}

fn new_links(setup: &Setup, numbers: std::ops::Range<usize>) -> Outcome<Vec<NewLink<'static>>> {
    numbers
        .map(|number| {
            Ok(NewLink {
                account_id: setup.default_account.account_id.clone(),
                domain_id: setup.default_domain.domain_id.clone(),
                slug: SlugChoice::Chosen(Slug::parse(&scattered(number))?),
                record: LinkRecord::from_url(format!("https://shop.example/catalogue/article/{number}?from=list")),
                dedupe_key: None,
                created_at: None,
            })
        })
        .collect()
}

/// Ten characters that do not come in order, as random slugs do not.
fn scattered(number: usize) -> String {
    let mut rest = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..10)
        .map(|_| {
            let character = waypost_core::slug::ALPHABET[(rest % 62) as usize];
            rest /= 62;
            char::from(character)
        })
        .collect()
}
