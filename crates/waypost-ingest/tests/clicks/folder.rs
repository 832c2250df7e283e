//! A spool's folder that lost something: what was answered is counted once or declared lost, and told at once.

use std::fs;
use std::path::Path;

use waypost_clicks::{ClickStore, StoreOptions};
use waypost_ingest::IngestStatus;
use waypost_spool::{Appended, Spool, SpoolOptions};

use super::{WAIT, append, audited, click_bytes, open_spool, start};

async fn open_store(folder: &Path) -> ClickStore {
    let address = folder.join("clicks.db").display().to_string();
    ClickStore::open(&address, StoreOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_that_lost_its_identity_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let spool = open_spool(folder.path());
    let first_edge = spool.edge_id().to_owned();
    let mut writer = spool.writer().unwrap();
    for number in 0..1_000 {
        append(&mut writer, &click_bytes(number));
    }
    let clicks = start(&store, &spool).await;
    assert!(clicks.wait_until_drained(WAIT).await);
    clicks.stop().await;
    // Its segment holds both: what is counted and what waits.
    for number in 0..700 {
        append(&mut writer, &click_bytes(number));
    }
    drop((clicks, writer));
    spool.close();
    drop(spool);
    for name in ["spool.identity", "spool.marks"] {
        fs::remove_file(folder.path().join("spool").join(name)).unwrap();
    }
    for round in 1..=2 {
        let spool = open_spool(folder.path());
        assert_ne!(spool.edge_id(), first_edge);
        let clicks = start(&store, &spool).await;
        append(&mut spool.writer().unwrap(), &click_bytes(1));
        assert!(clicks.wait_until_drained(WAIT).await);
        assert_eq!(audited(&store).await, (1_700 + round, 0));
        let audit = store.audit().await.unwrap();
        let of_first: Vec<u64> = audit.iter().filter(|row| row.edge_id == first_edge).map(|row| row.stored).collect();
        assert_eq!(of_first, [1_700]);
        clicks.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_is_gone_is_a_declared_loss() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let spool = open_spool(folder.path());
    let mut writer = spool.writer().unwrap();
    for number in 0..2_001 {
        append(&mut writer, &click_bytes(number));
    }
    spool.close();
    drop((writer, spool));
    for entry in fs::read_dir(folder.path().join("spool")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("seg-") {
            fs::remove_file(path).unwrap();
        }
    }
    let spool = open_spool(folder.path());
    let clicks = start(&store, &spool).await;
    assert!(clicks.wait_until_drained(WAIT).await);
    audited(&store).await;
    let audit = store.audit().await.unwrap();
    assert_eq!((audit.len(), audit[0].lost_damaged, audit[0].stored), (1, 2_001, 0));
    assert_eq!(clicks.status().lost_by_now(&spool.stats()), 2_001);
    clicks.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_room_is_known_before_it_is_declared() {
    let folder = tempfile::tempdir().unwrap();
    let options = SpoolOptions { segment_bytes: 65_536, bytes_max: 4 * 65_536, ..SpoolOptions::default() };
    let open = || Spool::open(&folder.path().join("spool"), options.clone()).unwrap();
    let spool = open();
    let mut writer = spool.writer().unwrap();
    let lost =
        (0..3_000).filter(|number| matches!(writer.append(&click_bytes(*number)), Appended::Lost { .. })).count();
    let lost = lost as u64;
    assert!(lost > 1_000, "{lost}");
    // Nobody has read anything of it.
    assert_eq!(IngestStatus::default().lost_by_now(&spool.stats()), lost);
    drop(writer);
    spool.close();
    drop(spool);
    let spool = open();
    assert_eq!(IngestStatus::default().lost_by_now(&spool.stats()), lost, "of an earlier run");
    let store = open_store(folder.path()).await;
    let mut writer = spool.writer().unwrap();
    let clicks = start(&store, &spool).await;
    assert!(clicks.wait_until_drained(WAIT).await);
    assert_eq!(clicks.status().lost_by_now(&spool.stats()), lost, "counted once when it is declared");
    let fill = |number| matches!(writer.append(&click_bytes(number)), Appended::Lost { .. });
    let more = (0..20_000).map(fill).filter(|is_lost| *is_lost).count() as u64;
    assert!(clicks.status().lost_by_now(&spool.stats()) >= lost + more);
    assert!(clicks.wait_until_drained(WAIT).await);
    assert_eq!(clicks.status().lost_by_now(&spool.stats()), lost + more);
    let declared: u64 = store.audit().await.unwrap().iter().map(|row| row.lost_full).sum();
    assert_eq!(declared, lost + more);
    clicks.stop().await;
}
