//! SQLite files: made where missing, refused where foreign or damaged, never overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use waypost_store::{SqlError, Store, StoreError, StoreOptions};

use crate::testbed::{Testbed, sqlite_execute};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path.to_str().unwrap(), StoreOptions::default()).await
}

/// Expects a refusal for this reason that leaves the file as it was.
#[track_caller]
fn check_refused(path: &Path, reason: &str) {
    let before = fs::read(path).unwrap();
    let error = runtime().block_on(open(path)).expect_err("opened");
    assert!(matches!(error, StoreError::Sql(SqlError::Refused { .. })), "{error:?}");
    assert!(error.to_string().contains(reason), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(fs::read(path).unwrap(), before, "a refused file was changed");
    let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [path.file_name().unwrap()], "something was left beside it");
}

#[test]
fn foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    fs::write(&path, b"").unwrap();
    check_refused(&path, "it is empty");
    fs::write(&path, b"hello").unwrap();
    check_refused(&path, "not an SQLite database");
    fs::write(&path, vec![0xa5; 100_000]).unwrap();
    check_refused(&path, "not an SQLite database");
    fs::write(&path, b"SQLite format 3\0").unwrap();
    check_refused(&path, "not an SQLite database");
    fs::remove_file(&path).unwrap();
    runtime().block_on(sqlite_execute(&path, "CREATE TABLE links (id TEXT)"));
    check_refused(&path, "of another program");
}

/// A closed database of ours with some links in it.
fn whole_database(folder: &Path) -> Vec<u8> {
    runtime().block_on(async {
        let testbed = Testbed::sqlite().await;
        let new_links: Vec<_> =
            (0..500).map(|number| testbed.new_link(&format!("n{number}"), "https://example.com/")).collect();
        testbed.store.write("t", async |tx| tx.create_links(&new_links, None).await).await.unwrap();
        testbed.store.close().await;
        let bytes = fs::read(&testbed.address).unwrap();
        fs::write(folder.join("whole.db"), &bytes).unwrap();
        bytes
    })
}

#[test]
fn damaged_files_are_refused() {
    let made_in = tempfile::tempdir().unwrap();
    let bytes = whole_database(made_in.path());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    for cut in [bytes.len() - 1, bytes.len() / 2, 4_096, 200] {
        fs::write(&path, &bytes[..cut]).unwrap();
        check_refused(&path, "cut short");
    }
    // The schema overwritten: nothing that follows could be trusted.
    let mut damaged = bytes;
    damaged[100..4_000].fill(0xff);
    fs::write(&path, &damaged).unwrap();
    check_refused(&path, "damaged");
}

#[tokio::test]
async fn missing_file_is_made_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b%20c?.db");
    let store = open(&path).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    store.close().await;
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [path.file_name().unwrap()], "a closed store leaves one file");
    open(&path).await.unwrap().close().await;

    let error = open(&folder.path().join("none/x.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::Sql(SqlError::Refused { .. })), "{error:?}");
    let error = open(folder.path()).await.unwrap_err();
    assert!(error.to_string().contains("not a file"), "{error}");
}

/// A log left by a crash is read back, and a database whose end is still in that log is not taken for cut short.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_of_a_crash_is_read_back() {
    let testbed = Testbed::sqlite().await;
    let new_links: Vec<_> =
        (0..1_000).map(|number| testbed.new_link(&format!("n{number}"), "https://example.com/")).collect();
    testbed.store.write("t", async |tx| tx.create_links(&new_links, None).await).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    // The files as a crash leaves them: the shared memory file is rebuilt by whoever opens first.
    for suffix in ["", "-wal"] {
        fs::copy(format!("{}{suffix}", testbed.address), format!("{}{suffix}", copy.display())).unwrap();
    }
    assert!(fs::metadata(format!("{}-wal", copy.display())).unwrap().len() > 0);
    let store = open(&copy).await.unwrap();
    assert_eq!(store.read("t").await.unwrap().outbox_last().await.unwrap(), 1_000);
    store.close().await;
}
