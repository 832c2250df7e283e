//! The client alone: what it sends, and what it makes of answers and of none.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;
use waypost_core::LinkRecord;
use waypost_sync::{KvClient, KvFault, KvSettings, Pair, Secret};
use waypost_testkit::kv_api::{CallKind, Fault, KvApi, TOKEN};

use crate::testbed::{BRIEF, HASTY, PATIENT, kv_settings};

fn pair(key: &str) -> Pair {
    let record = LinkRecord { version: 3, ..LinkRecord::from_url(format!("https://example.com/?k={key}\u{201d}")) };
    Pair::new(key.to_owned(), &record).unwrap()
}

fn client(api: &KvApi) -> KvClient {
    KvClient::with_limits(&kv_settings(api), PATIENT).unwrap()
}

#[tokio::test]
async fn every_key_that_slugs_make_is_written_listed_and_deleted() {
    let api = KvApi::start().unwrap();
    let kv = client(&api);
    let keys = ["a", "a/b", "b.example/a/b", "größe", "тест/1", "x..y", "a-b_c.d", "漢字", "[::1]/x", "a b?c#d%2F&e+f"];
    let pairs: Vec<Pair> = keys.map(pair).to_vec();
    kv.put(&pairs[0]).await.unwrap();
    kv.put(&pairs[9]).await.unwrap();
    assert_eq!(kv.put_many(&pairs[1..9]).await.unwrap(), Vec::<String>::new());
    for pair in &pairs {
        let stored = api.get(&pair.key).unwrap();
        assert_eq!(stored.value, pair.value);
        assert_eq!(stored.metadata.unwrap()["digest"], pair.metadata.digest.as_str());
    }
    api.db_put("by-hand", "https://example.com/");
    let page = kv.list(None).await.unwrap();
    assert_eq!((page.keys.len(), page.cursor), (11, None));
    for key in page.keys {
        let ours = pairs.iter().find(|pair| pair.key == key.name).map(|pair| pair.metadata.clone());
        let (version, digest) = ours.map_or((None, None), |ours| (Some(ours.version), Some(ours.digest)));
        assert_eq!((key.version, key.digest), (version, digest), "{}", key.name);
    }
    // A key takes one write a second.
    let now_ms = std::sync::atomic::AtomicU64::new(5_000);
    api.set_clock(move || now_ms.fetch_add(5_000, std::sync::atomic::Ordering::SeqCst));
    kv.delete("a b?c#d%2F&e+f").await.unwrap();
    kv.delete("a b?c#d%2F&e+f-not-there").await.unwrap();
    assert_eq!(
        kv.delete_many(&keys[..9].iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).await.unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(api.values().into_keys().collect::<Vec<_>>(), ["by-hand"]);
    api.fail_next([Fault::code(404, 10_009)]);
    kv.delete("not-there").await.unwrap();
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let api = KvApi::start().unwrap();
    let kv = client(&api);
    let keys: Vec<String> = (0..2_500).map(|number| format!("k/{number:04}")).collect();
    kv.put_many(&keys.iter().map(|key| pair(key)).collect::<Vec<_>>()).await.unwrap();
    let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = kv.list(cursor.as_deref()).await.unwrap();
        found.extend(page.keys.into_iter().map(|key| key.name));
        pages += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (keys, 3));
}

#[tokio::test]
async fn limits_hold() {
    let api = KvApi::start().unwrap();
    let kv = client(&api);
    let keys: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    assert!(matches!(kv.delete_many(&keys).await, Err(KvFault::TooLarge { .. })));
    assert_eq!(api.call_count(), 0);
    assert!(kv.delete_many(&keys[..10_000]).await.unwrap().is_empty());
    assert!(matches!(kv.put(&pair(&"x".repeat(513))).await, Err(KvFault::Refused { .. })));
    api.set_body_bytes_max(10);
    assert!(matches!(kv.put_many(&[pair("a"), pair("b")]).await, Err(KvFault::TooLarge { .. })));
    api.set_body_bytes_max(1_000_000);
    kv.put(&pair("twice")).await.unwrap();
    assert!(matches!(kv.put(&pair("twice")).await, Err(KvFault::RateLimited { retry_after: None, .. })));
}

#[tokio::test]
async fn wrong_settings_are_a_configuration_fault() {
    let api = KvApi::start().unwrap();
    let right = kv_settings(&api);
    for wrong in [
        KvSettings { account_id: "other/../x".to_owned(), ..right.clone() },
        KvSettings { namespace_id: "other".to_owned(), ..right.clone() },
        KvSettings { api_token: Secret::new("other".to_owned()), ..right.clone() },
        KvSettings { api_url: format!("{}/v5", right.api_url), ..right.clone() },
    ] {
        let kv = KvClient::with_limits(&wrong, PATIENT).unwrap();
        let outcome = kv.put(&pair("a")).await;
        assert!(matches!(outcome, Err(KvFault::Configuration { .. })), "{wrong:?}: {outcome:?}");
    }
    let slash = KvSettings { api_url: format!("{}/", right.api_url), ..right.clone() };
    KvClient::with_limits(&slash, PATIENT).unwrap().put(&pair("a")).await.unwrap();
    let bad = KvSettings { api_token: Secret::new("a\nb".to_owned()), ..right };
    assert!(KvClient::new(&bad).is_err());
}

#[tokio::test]
async fn no_answer_and_half_an_answer_end_in_time() {
    let mut api = KvApi::start().unwrap();
    let kv = KvClient::with_limits(&kv_settings(&api), HASTY).unwrap();
    assert_eq!(KvClient::new(&kv_settings(&api)).unwrap().call_ms(), 30_000);
    for fault in [
        Fault::Hang,
        Fault::Drip,
        Fault::Reset,
        Fault::Truncated,
        Fault::LostAnswer,
        Fault::Page(200),
        Fault::Page(302),
        Fault::status(500),
        Fault::status(503),
    ] {
        api.set_fault(Some(fault.clone()));
        let began = Instant::now();
        let outcome = kv.put_many(&[pair("a"), pair("b")]).await;
        assert!(matches!(outcome, Err(KvFault::Unavailable { .. })), "{fault:?}: {outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{fault:?}");
    }
    // The lost answer was one to a call that was done.
    assert_eq!(api.count(), 2);
    assert_eq!(api.calls().iter().filter(|call| call.kind == CallKind::BulkPut).count(), 9);
    api.stop();
    assert!(matches!(kv.list(None).await, Err(KvFault::Unavailable { .. })));
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn nothing_that_is_said_holds_the_token() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(captured.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // One thread does everything, so that it logs everything here.
    let said = tracing_subscriber_scope(subscriber, || {
        runtime.block_on(async {
            let testbed = crate::testbed::Testbed::sqlite().await;
            let worker = testbed.worker_with(testbed.store.clone(), BRIEF);
            testbed.create_many("a", 3).await;
            let mut said = format!("{worker:?} {:?}", kv_settings(&testbed.api));
            let echo = Fault::Refuse { status: 403, code: 10_000, retry_after: None };
            for fault in [Fault::Hang, Fault::Reset, Fault::status(500), echo, Fault::status(400)] {
                testbed.api.set_fault(Some(fault));
                testbed.run_for(&worker, 65_000).await;
                said.push_str(&format!("{:?} {:?}", testbed.health().await, testbed.state("a-1").await));
                said.push_str(&format!("{:?}", worker.status()));
            }
            said
        })
    });
    let logged = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("links wait"), "{logged}");
    assert!(!said.contains(TOKEN), "{said}");
    assert!(!logged.contains(TOKEN), "the log holds the token");
}

fn tracing_subscriber_scope<T>(subscriber: impl Into<tracing::Dispatch>, work: impl FnOnce() -> T) -> T {
    tracing::dispatcher::with_default(&subscriber.into(), work)
}
