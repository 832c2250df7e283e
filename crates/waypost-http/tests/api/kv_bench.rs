//! A control plane that pushes to a stand-in for Workers KV, on a clock that can be put forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use waypost_core::Timestamp;
use waypost_store::{Clock, StoreOptions};
use waypost_sync::{KvClient, KvSettings, Metadata, Pair, Secret};
use waypost_testkit::kv_api::{ACCOUNT, KvApi, NAMESPACE, TOKEN};

use crate::harness::{Data, Reply, TestApp};

const DEADLINE: Duration = Duration::from_secs(30);

/// The control plane and the stand-in.
pub(crate) struct KvBench {
    pub(crate) app: TestApp,
    pub(crate) api: KvApi,
    /// By how much the clocks are ahead, in microseconds.
    ahead: Arc<AtomicI64>,
}

/// Runs each of these functions, which take a fresh [`KvBench`], as a test on either database.
macro_rules! with_kv_on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                let bench = crate::kv_bench::KvBench::over(crate::harness::Data::embedded()).await;
                super::$name(&bench).await;
                bench.app.stop().await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(data) = crate::harness::Data::on_postgres().await {
                    let bench = crate::kv_bench::KvBench::over(data).await;
                    super::$name(&bench).await;
                    bench.app.stop().await;
                }
            })+
        }
    };
}
pub(crate) use with_kv_on_both_databases;

pub(crate) fn kv_settings(api: &KvApi) -> KvSettings {
    KvSettings {
        api_url: api.url(),
        account_id: ACCOUNT.to_owned(),
        namespace_id: NAMESPACE.to_owned(),
        api_token: Secret::new(TOKEN.to_owned()),
    }
}

impl KvBench {
    pub(crate) async fn over(data: Data) -> Self {
        let (api, ahead) = (KvApi::start().unwrap(), Arc::new(AtomicI64::new(0)));
        let of_store = Arc::clone(&ahead);
        let clock = Clock::new(move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
            Timestamp::from_micros(i64::try_from(now).unwrap() + of_store.load(Ordering::SeqCst))
        });
        let (of_api, began) = (Arc::clone(&ahead), Instant::now());
        api.set_clock(move || {
            u64::try_from(began.elapsed().as_millis()).unwrap()
                + u64::try_from(of_api.load(Ordering::SeqCst)).unwrap() / 1_000
        });
        let options = StoreOptions { clock, ..StoreOptions::default() };
        let kv = kv_settings(&api);
        let app = TestApp::opened(data, options, |settings| {
            settings.kv = Some(kv);
            settings.sync_poll_ms = 20;
        });
        Self { app: app.await, api, ahead }
    }

    /// Puts the clocks forward.
    pub(crate) fn advance_s(&self, seconds: i64) {
        self.ahead.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// Makes a link that leads to `https://example.com/{slug}`.
    pub(crate) async fn create(&self, slug: &str) -> Value {
        self.app.create_link(json!({"destination_url": format!("https://example.com/{slug}"), "slug": slug})).await
    }

    /// Makes links `{prefix}-{number}` with five digits.
    pub(crate) async fn create_many(&self, prefix: &str, count: usize) {
        let link = |number: &usize| {
            let slug = format!("{prefix}-{number:05}");
            json!({"destination_url": format!("https://example.com/{slug}"), "slug": slug})
        };
        let numbers: Vec<usize> = (0..count).collect();
        for numbers in numbers.chunks(1_000) {
            let links: Vec<Value> = numbers.iter().map(link).collect();
            let reply = self.app.operator("POST", "/api/v1/links/bulk").json(&json!({ "links": links })).await;
            assert_eq!(reply.json()["created"], numbers.len(), "{}", reply.text());
        }
    }

    pub(crate) async fn overview(&self) -> Value {
        let overview = self.app.operator("GET", "/api/v1/sync?synced=true").send().await.json();
        overview["targets"]
            .as_array()
            .unwrap()
            .iter()
            .find(|target| target["target"] == "cloudflare_kv")
            .unwrap()
            .clone()
    }

    /// What Workers KV is said to have of a link.
    pub(crate) async fn state(&self, link: &Value) -> Value {
        let path = format!("/api/v1/links/{}/sync", link["id"].as_str().unwrap());
        self.app.operator("GET", &path).send().await.json()["targets"][1].clone()
    }

    /// Waits until nothing is to be pushed any more.
    pub(crate) async fn until_pushed(&self) {
        let is_pushed =
            |view: &Value| view["behind"] == false && view["counts"]["pending"] == 0 && view["counts"]["syncing"] == 0;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let view = self.overview().await;
            if is_pushed(&view) {
                return;
            }
            assert!(Instant::now() < deadline, "still to be pushed: {view}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until what is said of a link fits.
    pub(crate) async fn until_state(&self, link: &Value, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let state = self.state(link).await;
            if fits(&state) {
                return state;
            }
            assert!(Instant::now() < deadline, "it is still so: {state}");
            tokio::task::yield_now().await;
        }
    }

    /// Everything is pushed, and long ago.
    pub(crate) async fn settle(&self) {
        self.until_pushed().await;
        self.advance_s(300);
    }

    /// Stores a value as an older or other instance of ours would have.
    pub(crate) async fn write(&self, key: &str, version: u64) {
        let client = KvClient::new(&kv_settings(&self.api)).unwrap();
        let metadata = Metadata { version, digest: "0123456789abcdef".to_owned() };
        let value = "{\"destination_url\":\"https://example.com/other\"}".to_owned();
        client.put(&Pair { key: key.to_owned(), value, metadata }).await.unwrap();
        // The next write of the key is not taken within a second.
        self.advance_s(2);
    }

    /// Compares, and gives the lines.
    pub(crate) async fn verify(&self, options: Value) -> Vec<Value> {
        let reply = self.app.operator("POST", "/api/v1/sync/verify").json(&options).await;
        lines(&reply)
    }
}

/// The lines of a comparison.
pub(crate) fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert!(!reply.text().contains(TOKEN));
    reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last line of a comparison, which must be its summary.
#[track_caller]
pub(crate) fn summary(lines: &[Value]) -> Value {
    let last = lines.last().unwrap();
    assert!(last["summary"].is_object(), "{last}");
    last["summary"].clone()
}

/// Kind, key, version and version in KV of each difference, by key.
pub(crate) fn differences(lines: &[Value]) -> Vec<(String, String, Option<u64>, Option<u64>)> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let found = lines.iter().filter(|line| line.get("difference").is_some());
    let mut found: Vec<_> = found
        .map(|line| {
            (text(line, "difference"), text(line, "key"), line["version"].as_u64(), line["kv_version"].as_u64())
        })
        .collect();
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found
}
