//! Measures how many links per second a fresh SQLite database takes: `bulk [LINKS] [ADDRESS]`.
//!
//! With an address the links go there instead (a PostgreSQL test database, say). Prints one line of figures.

use std::time::Instant;

use waypost_core::{Hostname, LinkRecord, Slug};
use waypost_store::{CreateOutcome, LINKS_PER_CALL_MAX, NewLink, SlugChoice, Store, StoreError, StoreOptions};

#[tokio::main]
#[allow(clippy::print_stdout)] // The figures are what the program is for.
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let links: usize = arguments.next().map_or(Ok(200_000), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bulk.db");
    let address = arguments.next().unwrap_or_else(|| file.display().to_string());
    let store = Store::open(&address, StoreOptions::default()).await?;
    let host = Hostname::parse("go.example")?;
    let setup = store.write("init", async |tx| tx.init(&host).await).await?;

    let began = Instant::now();
    let mut created = 0;
    for first in (0..links).step_by(LINKS_PER_CALL_MAX) {
        let count = LINKS_PER_CALL_MAX.min(links - first);
        let new_links = (first..first + count)
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
            .collect::<Result<Vec<_>, waypost_core::slug::SlugError>>()?;
        let outcomes = create(&store, &new_links).await?;
        created += outcomes.iter().filter(|outcome| matches!(outcome, CreateOutcome::Created { .. })).count();
    }
    let took = began.elapsed();
    let per_second = created as f64 / took.as_secs_f64();
    let size_mb = std::fs::metadata(&file).map_or(0.0, |metadata| metadata.len() as f64 / 1e6);
    println!("{created} links in {:.2} s: {per_second:.0} links/s, file {size_mb:.0} MB", took.as_secs_f64());
    store.close().await;
    Ok(())
}

async fn create(store: &Store, new_links: &[NewLink<'_>]) -> Result<Vec<CreateOutcome>, StoreError> {
    let mut tx = store.begin("import_links").await?;
    let outcomes = tx.create_links(new_links, Some("import")).await?;
    tx.commit().await?;
    Ok(outcomes)
}

/// Eight characters that do not come in order, as random slugs do not.
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
