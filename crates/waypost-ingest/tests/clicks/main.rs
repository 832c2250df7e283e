//! Clicks from a spool on disk to a database: each once, over restarts, damage and a database that is away.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folder;

use std::sync::Arc;
use std::time::Duration;

use waypost_clicks::{ClickStore, StoreOptions};
use waypost_core::click::{Click, ClickEvent};
use waypost_core::{Source, Timestamp};
use waypost_ingest::{ClickSettings, Clicks, EventResult};
use waypost_spool::{Appended, Spool, SpoolOptions, Writer};
use waypost_testkit::postgres::{Cluster, Programs, SKIP_VARIABLE, Shutdown};

const WAIT: Duration = Duration::from_secs(20);

fn click_bytes(number: u64) -> Vec<u8> {
    let click = Click {
        clicked_at: Timestamp::from_micros(1_768_473_000_000_000 + i64::try_from(number).unwrap()),
        status: 302,
        is_head: false,
        is_scan: false,
        source: Source::Default,
        country: Some(*b"AT"),
        visitor: Some(number % 100),
        address: None,
        is_cut: false,
        link_id: format!("link_{}", number % 50).into(),
        account_id: "acc_1".into(),
        domain: "".into(),
        slug: format!("slug-{}", number % 50).into(),
        rule_id: "".into(),
        ab_test_id: "".into(),
        variant_id: "".into(),
        purpose: "".into(),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into(),
        referrer: "https://t.co/x".into(),
        accept_language: "de".into(),
        utm: "".into(),
    };
    let mut bytes = Vec::new();
    click.write(&mut bytes);
    bytes
}

fn open_spool(folder: &std::path::Path) -> Spool {
    Spool::open(&folder.join("spool"), SpoolOptions { segment_bytes: 1 << 20, ..SpoolOptions::default() }).unwrap()
}

fn append(writer: &mut Writer, bytes: &[u8]) {
    assert!(matches!(writer.append(bytes), Appended::Stored { .. }));
}

/// Stored and unreadable clicks; and that every epoch was received in one piece from its first number.
async fn audited(store: &ClickStore) -> (u64, u64) {
    let epochs = store.audit().await.unwrap();
    for epoch in &epochs {
        assert_eq!((epoch.received.len(), epoch.missing), (1, 0), "{epoch:?}");
        let (first, last) = epoch.received[0];
        let lost = epoch.lost_full + epoch.lost_damaged + epoch.lost_unreadable;
        assert_eq!((first, last), (1, epoch.stored + lost), "{epoch:?}");
    }
    let sum = |part: fn(&waypost_clicks::ClickAudit) -> u64| epochs.iter().map(part).sum();
    (sum(|epoch| epoch.stored), sum(|epoch| epoch.lost_unreadable))
}

async fn start(store: &ClickStore, spool: &Spool) -> Arc<Clicks> {
    Clicks::start(
        store.clone(),
        Some(spool.clone()),
        ClickSettings { batch_clicks_max: 700, ..ClickSettings::default() },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_restarts_each_click_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("clicks.db").display().to_string();
    let store = ClickStore::open(&address, StoreOptions::default()).await.unwrap();
    let spool = open_spool(folder.path());
    let (mut first, mut second) = (spool.writer().unwrap(), spool.writer().unwrap());
    for number in 0..1_500 {
        append(&mut first, &click_bytes(number));
        let bytes = if number == 700 { b"no click".to_vec() } else { click_bytes(number) };
        append(&mut second, &bytes);
    }
    let clicks = start(&store, &spool).await;
    assert!(clicks.wait_until_drained(WAIT).await);
    assert_eq!(audited(&store).await, (2_999, 1));

    let mut live = clicks.subscribe();
    append(&mut first, &click_bytes(7));
    let events = live.recv().await.unwrap();
    let event = &events[0];
    assert_eq!((&*event.slug, &*event.browser, &*event.language), ("slug-7", "Firefox", "de"));
    assert_eq!(event.sequence, Some(1_501));
    append(&mut first, &click_bytes(8));
    clicks.stop().await;
    assert_eq!(audited(&store).await, (3_001, 1));
    let status = clicks.status();
    assert_eq!((status.counted, status.lost, status.unreadable, status.is_failing), (3_001, 1, 1, false));
    drop((first, second));
    spool.close();
    drop((clicks, spool));

    let spool = open_spool(folder.path());
    let clicks = start(&store, &spool).await;
    assert!(clicks.wait_until_drained(WAIT).await);
    assert_eq!(audited(&store).await, (3_001, 1));
    append(&mut spool.writer().unwrap(), &click_bytes(9));
    assert!(clicks.wait_until_drained(WAIT).await);
    assert_eq!(audited(&store).await, (3_002, 1));
    clicks.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_from_elsewhere_are_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("clicks.db").display().to_string();
    let store = ClickStore::open(&address, StoreOptions::default()).await.unwrap();
    let clicks = Clicks::start(store, None, ClickSettings::default());
    let event = ClickEvent {
        event_id: "019bc134-78bb-71c8-aa0b-1ad97f9e312e".to_owned(),
        link_id: "link_1".to_owned(),
        account_id: "acc_1".to_owned(),
        clicked_at: Some(Timestamp::from_micros(1_768_473_000_123_456)),
        ..ClickEvent::default()
    };
    let without_time = ClickEvent { clicked_at: None, ..event.clone() };
    let results = clicks.ingest_events(vec![without_time.clone(), event.clone()]).await.unwrap();
    assert!(matches!(&results[0], EventResult::Rejected(reason) if reason.contains("clicked_at")));
    assert_eq!(results[1], EventResult::Counted);
    let results = clicks.ingest_events(vec![event, without_time]).await.unwrap();
    assert_eq!(results[0], EventResult::Duplicate);
    assert!(clicks.wait_until_drained(Duration::ZERO).await);
    clicks.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_wait_while_postgres_is_away() {
    if std::env::var(SKIP_VARIABLE).is_ok_and(|skip| skip == "1") {
        return;
    }
    let mut cluster = Cluster::start(&Programs::find().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = ClickStore::open(cluster.url(), StoreOptions::default()).await.unwrap();
    let spool = open_spool(folder.path());
    let mut writer = spool.writer().unwrap();
    let clicks = start(&store, &spool).await;
    append(&mut writer, &click_bytes(1));
    assert!(clicks.wait_until_drained(WAIT).await);

    cluster.stop(Shutdown::Immediate).unwrap();
    for number in 0..2_000 {
        append(&mut writer, &click_bytes(number));
    }
    assert!(!clicks.wait_until_drained(Duration::from_millis(500)).await);
    cluster.start_again().unwrap();
    assert!(clicks.wait_until_drained(WAIT).await);
    assert_eq!(audited(&store).await, (2_001, 0));
    clicks.stop().await;
    store.close().await;
}
