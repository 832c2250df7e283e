//! Every single call to the disk fails once, and every message to PostgreSQL is cut once: what failed says that it may
//! be tried again, the next transaction succeeds, and nothing is counted by half or twice.
//!
//! "Every" means: the first, the second, and so on, until a transaction comes through without meeting the fault.

use std::process::Command;
use std::time::Duration;

use waypost_clicks::{ClickPosition, ClickStore, ClicksError, StoreOptions};
use waypost_testkit::faults::{Calls, Failure, Fault, Faults};
use waypost_testkit::postgres::Cut;

use crate::testbed::Testbed;
use crate::{batch, click, of_account, report};

/// More calls than any transaction of these tests makes.
const CALLS_MAX: u64 = 500;
/// Longer than a close takes, whatever the network does.
const CLOSE_MAX: Duration = Duration::from_secs(8);

/// What fails on a disk while something is written. A count of 1 is a single fault, more is a disk that stays full or
/// broken until the order is taken back.
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
    runtime.block_on(clicks_on_a_failing_disk(&faults));
    println!("all faults were met");
}

/// Writes with this fault at the first call, the second, and so on; `write` gives whether it succeeded. Gives how many
/// were met.
async fn with_each_call_failing(
    faults: &Faults,
    (calls, failure, count): (Calls, Failure, u64),
    mut write: impl AsyncFnMut(u64) -> Result<(), ClicksError>,
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

async fn clicks_on_a_failing_disk(faults: &Faults) {
    let testbed = Testbed::sqlite().await;
    let store = &testbed.store;
    let mut next = 1;
    for fault in WRITE_FAULTS {
        with_each_call_failing(faults, fault, async |_| {
            let counted = count_from(store, next).await;
            if counted.is_err() {
                assert!(!store.is_writable().await, "{fault:?}: the last write failed");
            }
            faults.disarm().unwrap();
            next = go_on(store, next).await;
            assert!(store.is_writable().await, "{fault:?}");
            counted
        })
        .await;
    }
    assert_eq!(report(store, of_account(), None).await.clicks, next - 1);
}

/// Counts ten clicks from this sequence on.
async fn count_from(store: &ClickStore, first: u64) -> Result<(), ClicksError> {
    store.ingest(batch((first..first + 10).map(|sequence| click(sequence, "link_1")))).await
}

/// As the ingest does after a failure: reads where the database stands and counts from there, again where a commit that
/// was under way took place after all. Gives where it stands then.
async fn go_on(store: &ClickStore, begun_at: u64) -> u64 {
    loop {
        let positions = store.positions("edge").await.unwrap();
        let next = positions.first().map_or(1, |ClickPosition { next_sequence, .. }| *next_sequence);
        assert!(next == begun_at || next == begun_at + 10, "{begun_at} {next}");
        match count_from(store, next).await {
            Err(ClicksError::ClicksMoved { .. }) => {}
            counted => {
                counted.unwrap();
                return next + 10;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_over_a_connection_that_is_cut() {
    let Some((testbed, proxy)) = Testbed::postgres_behind_proxy().await else { return };
    let store = &testbed.store;
    let mut next = 1;
    for cut in [Cut::Before, Cut::After] {
        let mut has_cut = true;
        for message in 1..CALLS_MAX {
            proxy.cut_at(message, cut);
            let counted = count_from(store, next).await;
            has_cut = proxy.has_cut();
            proxy.cut_nothing();
            if let Err(error) = counted {
                assert!(has_cut && error.is_unavailable(), "{cut:?} at message {message}: {error:?}");
            }
            next = go_on(store, next).await;
            if !has_cut {
                break;
            }
        }
        assert!(!has_cut, "no end");
    }
    assert_eq!(report(store, of_account(), None).await.clicks, next - 1);
}

/// An idle connection, and the network has fallen silent.
#[tokio::test]
async fn closes_over_a_network_that_falls_silent() {
    let Some((testbed, proxy)) = Testbed::postgres_behind_proxy().await else { return };
    let store = ClickStore::open(&testbed.address, StoreOptions::default()).await.unwrap();
    store.ping().await.unwrap();
    proxy.set_silent(true);
    tokio::time::timeout(CLOSE_MAX, store.close()).await.expect("a close that ends");
}
