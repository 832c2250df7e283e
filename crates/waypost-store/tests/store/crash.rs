//! A writer that is killed: whatever it was told is written is there afterwards, and nothing is there by half.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use waypost_core::{Hostname, LinkRecord, Slug};
use waypost_store::{NewLink, SlugChoice, Store, StoreOptions};

use crate::testbed::{Testbed, on_both_engines};

/// Makes this test binary a writer on the database at this address.
const WRITER_VARIABLE: &str = "WAYPOST_TEST_CRASH_WRITER";
const ROUNDS: usize = 5;

on_both_engines! { acknowledged_links_survive, }

async fn acknowledged_links_survive(testbed: Testbed) {
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        acknowledged.extend(kill_a_writer(&testbed.address, 3 + round * 7));
    }
    assert!(acknowledged.len() >= ROUNDS * 3);
    let store = testbed.second_store().await.unwrap();
    let mut tx = store.read("t").await.unwrap();
    for slug in &acknowledged {
        assert!(tx.get_link_by_slug(testbed.domain(), slug).await.unwrap().is_some(), "{slug} was lost");
    }
    let entries = tx.outbox_after(0, 10_000).await.unwrap();
    assert!(entries.iter().map(|entry| entry.sequence).eq(1..=entries.len() as u64));
    let by_half = testbed.db_execute(
        "SELECT count(*) FROM links AS l
         WHERE NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.link_id = l.id AND o.version = l.version)",
    );
    assert_eq!(by_half.await.trim(), "0");
    let links = testbed.db_execute("SELECT count(*) FROM links").await;
    assert_eq!(links.trim().parse::<usize>().unwrap(), entries.len());
}

/// Runs a writer until it has acknowledged so many links, kills it, and gives all that it acknowledged.
fn kill_a_writer(address: &str, links: usize) -> Vec<String> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writer", "--nocapture"])
        .env(WRITER_VARIABLE, address)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        let Some(slug) = line.unwrap().strip_prefix("made ").map(str::to_owned) else { continue };
        acknowledged.push(slug);
        // What it says between this and its death counts too: the pipe is read to its end.
        if acknowledged.len() == links {
            writer.kill().unwrap();
        }
    }
    writer.wait().unwrap();
    acknowledged
}

/// Not a test of its own: the process that [`kill_a_writer`] starts.
#[test]
fn writer() {
    let Ok(address) = std::env::var(WRITER_VARIABLE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(write_for_ever(&address));
}

#[allow(clippy::print_stdout)] // How it acknowledges.
async fn write_for_ever(address: &str) {
    let store = Store::open(address, StoreOptions::default()).await.unwrap();
    let host = Hostname::parse("go.example").unwrap();
    let setup = store.write("init", async |tx| tx.init(&host).await).await.unwrap();
    for number in 0.. {
        let slug = format!("p{}n{number}", std::process::id());
        let new = NewLink {
            account_id: setup.default_account.account_id.clone(),
            domain_id: setup.default_domain.domain_id.clone(),
            slug: SlugChoice::Chosen(Slug::parse(&slug).unwrap()),
            record: LinkRecord::from_url("https://example.com/"),
            dedupe_key: None,
            created_at: None,
        };
        store.write("create_link", async |tx| tx.create_link(&new, None).await).await.unwrap();
        println!("made {slug}");
    }
}
