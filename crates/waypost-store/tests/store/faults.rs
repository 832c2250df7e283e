//! Every single call to the disk fails once, and every message to PostgreSQL is cut once: what failed says that it may be tried
//! again, the next transaction succeeds, and nothing is there by half or counted twice.
//!
//! "Every" means: the first, the second, and so on, until a transaction comes through without meeting the fault.

use std::process::Command;
use std::time::{Duration, Instant};

use waypost_store::{SqlError, Store, StoreError, StoreOptions};
use waypost_testkit::faults::{Calls, Failure, Fault, Faults};
use waypost_testkit::postgres::{Cut, Proxy};

use crate::testbed::Testbed;

/// More calls than any transaction of these tests makes.
const CALLS_MAX: u64 = 500;
/// Walks over all messages until one meets what it is for.
const WALKS_MAX: u32 = 20;

/// Longer than a close takes, and an opening with short limits, whatever the network does.
const CLOSE_MAX: Duration = Duration::from_secs(8);

/// What fails on a disk while something is written. A count of 1 is a single fault, more is a disk that stays full or broken until
/// the order is taken back.
const WRITE_FAULTS: [(Calls, Failure, u64); 6] = [
    (Calls::AnyWrite, Failure::Io, 1),
    (Calls::AnyWrite, Failure::NoSpace, 1),
    (Calls::AnyWrite, Failure::NoSpace, u64::MAX),
    (Calls::Lock, Failure::Io, 1),
    (Calls::Lock, Failure::Again, 1),
    (Calls::Read, Failure::Io, 1),
];

#[test]
fn a_disk_that_fails_once() {
    let faults = Faults::new().unwrap();
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::victim", "--nocapture"])
        .envs(faults.environment())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&victim.stdout);
    assert!(victim.status.success(), "{said}\n{}", String::from_utf8_lossy(&victim.stderr));
    assert!(said.contains("all faults were met"), "{said}");
}

/// Not a test of its own: the process whose calls fail.
#[test]
#[allow(clippy::print_stdout)] // How it says that it did something.
fn victim() {
    let Some(faults) = Faults::of_this_process().unwrap() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        links_on_a_failing_disk(&faults).await;
        reads_on_a_failing_disk(&faults).await;
        openings_on_a_full_disk(&faults).await;
        links_without_memory().await;
    });
    println!("all faults were met");
}

/// Writes with this fault at the first call, the second, and so on; `write` gives whether it succeeded. Gives how many were met.
async fn with_each_call_failing(
    faults: &Faults,
    (calls, failure, count): (Calls, Failure, u64),
    mut write: impl AsyncFnMut(u64) -> Result<(), StoreError>,
) -> u64 {
    for first in 1..CALLS_MAX {
        faults.arm(Fault { calls, failure, path: ".db", first, count }).unwrap();
        let outcome = write(first).await;
        let failed = faults.failed().unwrap();
        faults.disarm().unwrap();
        match outcome {
            Ok(()) => {}
            Err(error) => {
                assert!(failed > 0 && error.is_unavailable(), "{calls:?} {failure:?} at call {first}: {error:?}");
            }
        }
        if failed == 0 {
            return first - 1;
        }
    }
    panic!("{calls:?} {failure:?}: no end");
}

async fn links_on_a_failing_disk(faults: &Faults) {
    let testbed = Testbed::sqlite().await;
    let mut acknowledged = Vec::new();
    for (case, fault) in WRITE_FAULTS.into_iter().enumerate() {
        let met = with_each_call_failing(faults, fault, async |first| {
            let slug = format!("c{case}n{first}");
            let made = testbed.create(&slug, "https://example.com/").await.map(drop);
            faults.disarm().unwrap();
            match &made {
                Ok(()) => acknowledged.push(slug.clone()),
                Err(error) => drop(assert_known(&testbed, &slug, error).await),
            }
            // The very next one, on a disk that is well.
            let after = format!("{slug}after");
            testbed
                .create(&after, "https://example.com/")
                .await
                .unwrap_or_else(|error| panic!("{fault:?} {after}: {error:?}"));
            acknowledged.push(after);
            assert!(testbed.store.is_writable().await);
            made
        })
        .await;
        assert!(met > 0 || fault.0 == Calls::Lock || fault.0 == Calls::Read, "{fault:?} was never met");
    }
    nothing_is_lost_or_there_by_half(&testbed, &acknowledged).await;
    assert_eq!(testbed.db_execute("PRAGMA integrity_check").await, "ok");
}

/// Expects that the error says so where a link may have been made in spite of it. Gives whether it was made.
async fn assert_known(testbed: &Testbed, slug: &str, error: &StoreError) -> bool {
    let mut tx = testbed.store.read("t").await.unwrap();
    let is_there = tx.get_link_by_slug(testbed.domain(), slug).await.unwrap().is_some();
    assert!(
        !is_there || matches!(error, StoreError::Sql(SqlError::CommitUnknown { .. })),
        "{slug} is there after {error:?}"
    );
    is_there
}

async fn nothing_is_lost_or_there_by_half(testbed: &Testbed, acknowledged: &[String]) {
    assert!(acknowledged.len() > 10, "{acknowledged:?}");
    let mut tx = testbed.store.read("t").await.unwrap();
    for slug in acknowledged {
        assert!(tx.get_link_by_slug(testbed.domain(), slug).await.unwrap().is_some(), "{slug} was lost");
    }
    let by_half = testbed.db_execute(
        "SELECT count(*) FROM links AS l
         WHERE NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.link_id = l.id AND o.version = l.version)",
    );
    assert_eq!(by_half.await.trim(), "0");
    let counts = testbed.db_execute("SELECT (SELECT count(*) FROM links) - (SELECT count(*) FROM outbox)").await;
    assert_eq!(counts.trim(), "0");
}

/// Also pages that read as zeros: a connection must not keep them in its memory.
async fn reads_on_a_failing_disk(faults: &Faults) {
    let testbed = Testbed::sqlite().await;
    for (case, failure) in [Failure::Io, Failure::Zeros].into_iter().enumerate() {
        for first in 1..CALLS_MAX {
            let slug = format!("c{case}n{first}");
            // What connections have read before is out of date after this.
            testbed.create(&slug, "https://example.com/").await.unwrap();
            faults.arm(Fault { calls: Calls::Read, failure, path: ".db", first, count: 1 }).unwrap();
            let found = read(&testbed, &slug).await;
            let failed = faults.failed().unwrap();
            faults.disarm().unwrap();
            assert!(!matches!(found, Ok(false)), "{failure:?} at call {first}: a link that is there was not found");
            if let Err(error) = found {
                assert!(failed > 0 && error.is_unavailable(), "{failure:?} at call {first}: {error:?}");
            }
            assert!(read(&testbed, &slug).await.unwrap(), "{failure:?} at call {first}");
            if failed == 0 {
                assert!(first > 1, "{failure:?} was never met");
                break;
            }
        }
    }
}

async fn read(testbed: &Testbed, slug: &str) -> Result<bool, StoreError> {
    let mut tx = testbed.store.read("t").await?;
    Ok(tx.get_link_by_slug(testbed.domain(), slug).await?.is_some())
}

/// A database that could not be made on a full disk is made by the next start.
async fn openings_on_a_full_disk(faults: &Faults) {
    for first in 1..CALLS_MAX {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("waypost.db").display().to_string();
        let fault = Fault { calls: Calls::AnyWrite, failure: Failure::NoSpace, path: "waypost.db", first, count: 1 };
        faults.arm(fault).unwrap();
        let opened = Store::open(&address, StoreOptions::default()).await;
        let failed = faults.failed().unwrap();
        faults.disarm().unwrap();
        match opened {
            Ok(store) => store.close().await,
            Err(error) => {
                assert!(failed > 0, "{error:?}");
                Store::open(&address, StoreOptions::default()).await.unwrap().close().await;
            }
        }
        if failed == 0 {
            return;
        }
    }
    panic!("no end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_over_a_connection_that_is_cut() {
    let Some((testbed, proxy)) = Testbed::postgres_behind_proxy().await else { return };
    let mut acknowledged = Vec::new();
    // A connection that comes back to its pool sends messages of its own, at any time: not every walk meets every message.
    let mut unknown = 0;
    for walk in 0..WALKS_MAX {
        for cut in [Cut::Before, Cut::After] {
            unknown += walk_with_cuts(&testbed, &proxy, (walk, cut), &mut acknowledged).await;
        }
        if unknown > 0 {
            break;
        }
    }
    assert!(unknown >= 1, "no link was made by a commit whose answer was cut off");
    nothing_is_lost_or_there_by_half(&testbed, &acknowledged).await;
}

/// Cuts the connection at the first message of a creation, then at the second of another one, until nothing is left to cut. Gives
/// how many links were made although nobody was told so.
async fn walk_with_cuts(
    testbed: &Testbed,
    proxy: &Proxy,
    (walk, cut): (u32, Cut),
    acknowledged: &mut Vec<String>,
) -> u64 {
    let (mut message, mut unknown) = (0, 0);
    loop {
        message += 1;
        assert!(message < CALLS_MAX, "no end");
        proxy.cut_at(message, cut);
        let slug = format!("{cut:?}{walk}at{message}").to_lowercase();
        let made = testbed.create(&slug, "https://example.com/").await;
        let has_cut = proxy.has_cut();
        proxy.cut_nothing();
        match made {
            Ok(_) => acknowledged.push(slug.clone()),
            Err(error) => {
                assert!(has_cut && error.is_unavailable(), "{cut:?} at message {message}: {error:?}");
                unknown += u64::from(assert_known(testbed, &slug, &error).await);
            }
        }
        let after = format!("{slug}after");
        testbed.create(&after, "https://example.com/").await.unwrap_or_else(|error| panic!("{after}: {error:?}"));
        acknowledged.push(after);
        if !has_cut {
            break;
        }
    }
    assert!(message > 10, "{message}");
    unknown
}

/// As of a server that hangs, or a network that swallows: the messages of a transaction, from the first to the commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_over_a_connection_that_falls_silent() {
    let Some((testbed, proxy)) = Testbed::postgres_behind_proxy().await else { return };
    let limits = StoreOptions { wait_ms: 1_000, statement_ms_max: 700, ..StoreOptions::default() };
    let store = Store::open(&testbed.address, limits).await.unwrap();
    let (mut message, mut step, mut refused, mut tries) = (1, 4, 0, 0);
    loop {
        tries += 1;
        assert!(tries < CALLS_MAX, "no end");
        proxy.cut_at(message, Cut::Silence);
        let new = testbed.new_link(&format!("silence{tries}"), "https://example.com/");
        let begun = Instant::now();
        let made = store.write("create_link", async |tx| tx.create_link(&new, Some("test")).await).await;
        let (has_cut, took) = (proxy.has_cut(), begun.elapsed());
        proxy.cut_nothing();
        if let Err(error) = &made {
            assert!(error.is_unavailable(), "message {message}: {error:?}");
            refused += 1;
        }
        assert!(took < Duration::from_secs(15), "message {message}: {took:?}");
        let after = testbed.new_link(&format!("after{tries}"), "https://example.com/");
        let mut next = store.write("create_link", async |tx| tx.create_link(&after, Some("test")).await).await;
        // On a busy machine such short limits end others, too.
        while begun.elapsed() < Duration::from_secs(30) && next.as_ref().is_err_and(StoreError::is_unavailable) {
            next = store.write("create_link", async |tx| tx.create_link(&after, Some("test")).await).await;
        }
        next.unwrap();
        // Every fourth message, as each takes its time, and the last ones, of which the commit is one.
        match (has_cut, made.is_ok(), step) {
            (true, ..) => message += step,
            (false, true, 1) => break,
            (false, true, _) => (message, step) = (message - 3, 1),
            // A busy machine took so long by itself: once more.
            (false, false, _) => {}
        }
    }
    assert!(message > 10 && refused > 3, "{message} {refused}");
    tokio::time::timeout(CLOSE_MAX, store.close()).await.expect("a close that ends");
}

/// The pool asks a connection that comes back for a sign of life. The place of one that gives none is free again soon.
///
/// One thread, so that nothing runs between the end of a transaction and the silence.
#[tokio::test]
async fn places_of_connections_that_come_back_silent() {
    let Some((testbed, proxy)) = Testbed::postgres_behind_proxy().await else { return };
    let limits =
        StoreOptions { connections_max: 1, wait_ms: 5_000, statement_ms_max: 1_000, ..StoreOptions::default() };
    let store = Store::open(&testbed.address, limits).await.unwrap();
    let set = async |is_committed: bool| {
        let mut tx = store.begin("set").await?;
        tx.set_setting("test", "value").await?;
        if is_committed {
            tx.commit().await?;
        }
        Ok::<_, StoreError>(())
    };
    for is_committed in [true, false] {
        set(true).await.unwrap();
        set(is_committed).await.unwrap();
        proxy.set_silent(true);
        // The connection's end of silence is waited for below; what is on its way to the server is lost by then.
        tokio::time::timeout(CLOSE_MAX, store.begin("wait")).await.unwrap().map(drop).unwrap_err();
        proxy.set_silent(false);
        set(true).await.unwrap_or_else(|error| panic!("committed: {is_committed}: {error:?}"));
    }
    store.close().await;
}

/// A start on a database that has its schema, over a network that falls silent at some message of it.
#[tokio::test]
async fn openings_over_a_network_that_falls_silent() {
    let Some((testbed, proxy)) = Testbed::postgres_behind_proxy().await else { return };
    let limits = StoreOptions {
        wait_ms: 1_000,
        statement_ms_max: 700,
        migration_wait_ms: 300,
        connections_max: 1,
        ..StoreOptions::default()
    };
    let mut message = 1;
    loop {
        proxy.cut_at(message, Cut::Silence);
        let opened = tokio::time::timeout(CLOSE_MAX, Store::open(&testbed.address, limits.clone())).await;
        let opened = opened.unwrap_or_else(|_| panic!("message {message}: no end"));
        let has_cut = proxy.has_cut();
        proxy.cut_nothing();
        match opened {
            Ok(store) => store.close().await,
            Err(error) => assert!(error.is_unavailable(), "message {message}: {error:?}"),
        }
        if !has_cut {
            break;
        }
        message += 2;
    }
    assert!(message > 10, "{message}");
}

/// Idle connections, one in a transaction that goes on, and one that is coming back.
#[tokio::test]
async fn closes_over_a_network_that_falls_silent() {
    let Some((testbed, proxy)) = Testbed::postgres_behind_proxy().await else { return };
    let store = Store::open(&testbed.address, StoreOptions::default()).await.unwrap();
    let (idle, held, returned) =
        (store.read("idle").await.unwrap(), store.read("held").await.unwrap(), store.read("returned").await.unwrap());
    drop(idle);
    // Until it is idle.
    store.ping().await.unwrap();
    proxy.set_silent(true);
    drop(returned);
    tokio::time::timeout(CLOSE_MAX, store.close()).await.expect("a close that ends");
    drop(held);
}

/// The limit stays with the process, so this comes last. A larger link needs more: the statement fails earlier in its work.
async fn links_without_memory() {
    let testbed = Testbed::sqlite().await;
    testbed.create("before", "https://example.com/").await.unwrap();
    testbed.db_execute("PRAGMA hard_heap_limit = 6000000").await;
    let mut refused = 0;
    for megabytes in 1..=12 {
        let large = format!("https://example.com/{}", "x".repeat(megabytes << 20));
        match testbed.create(&format!("large{megabytes}"), &large).await {
            Ok(_) => {}
            Err(error) => {
                assert!(error.is_unavailable(), "{megabytes} MB: {error:?}");
                refused += 1;
            }
        }
        testbed.create(&format!("after{megabytes}"), "https://example.com/").await.unwrap();
    }
    assert!((3..12).contains(&refused), "{refused}");
}
