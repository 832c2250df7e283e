//! The control plane as a server runs it, with Workers KV behind it: changes by the API, readiness, metrics, the end,
//! and a start under another name.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use waypost_clicks::ClickStore;
use waypost_control::{App, ControlSettings, PublicUrl};
use waypost_http::{HttpSettings, Principal, router};
use waypost_ingest::{ClickSettings, Clicks};
use waypost_store::{Store, StoreOptions};
use waypost_table::{Table, TableOptions};
use waypost_testkit::kv_api::{Fault, KvApi};

use crate::kv_bench::kv_settings;

const WAIT: Duration = Duration::from_secs(20);

/// A control plane over the data in a folder.
struct Instance {
    app: Arc<App>,
    clicks: Arc<Clicks>,
    router: Router,
}

impl Instance {
    async fn start(folder: &std::path::Path, api: &KvApi, public_url: &str) -> Self {
        let address = |name: &str| folder.join(name).display().to_string();
        let store = Store::open(&address("waypost.db"), StoreOptions::default()).await.unwrap();
        let table = TableOptions { map_size_bytes: 64 << 20, ..TableOptions::default() };
        let table = Arc::new(Table::open(&folder.join("table"), table).unwrap());
        let click_store = ClickStore::open(&address("clicks.db"), StoreOptions::default()).await.unwrap();
        let clicks = Clicks::start(click_store, None, ClickSettings::default());
        let public_url = PublicUrl::parse(public_url).unwrap();
        let mut settings = ControlSettings::new(public_url, Arc::new(|_| String::new()));
        settings.kv = Some(kv_settings(api));
        settings.sync_poll_ms = 50;
        let app = App::start(store, table, Arc::clone(&clicks), settings).await.unwrap();
        assert!(app.wait_until_ready(WAIT).await);
        Self { router: router(Arc::clone(&app), HttpSettings::default()), app, clicks }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.extension(Principal::Operator).body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn create(&self, slug: &str) -> String {
        let link = json!({"destination_url": "https://example.com/", "slug": slug});
        let (status, body) = self.call("POST", "/api/v1/links", Some(link)).await;
        assert_eq!(status, 201, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned()
    }

    async fn sync_check(&self) -> Value {
        let (status, body) = self.call("GET", "/readyz", None).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["checks"]["sync"].clone()
    }

    async fn stop(self) {
        self.app.stop().await;
        self.clicks.stop().await;
    }
}

fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    tokio::task::block_in_place(|| waypost_testkit::wait_until(WAIT, what, condition)).unwrap();
}

fn host_of(api: &KvApi, key: &str) -> Option<String> {
    let record: Value = serde_json::from_str(&api.get(key)?.value).ok()?;
    record["domain"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_brings_its_links_to_kv_and_says_how_that_goes() {
    let (folder, api) = (tempfile::tempdir().unwrap(), KvApi::start().unwrap());
    let instance = Instance::start(folder.path(), &api, "https://go.example").await;
    let id = instance.create("a").await;
    instance.create("b").await;
    wait_until("the links", || api.count() == 2);
    assert_eq!(instance.call("DELETE", &format!("/api/v1/links/{id}"), None).await.0, 204);
    wait_until("the deletion", || api.count() == 1);

    api.set_fault(Some(Fault::code(403, 10_037)));
    instance.create("c").await;
    let calls = api.call_count();
    wait_until("a refusal", || api.call_count() > calls);
    let mut check = Value::Null;
    for _ in 0..1_000 {
        check = instance.sync_check().await;
        if check["rest_reason"] == "configuration" {
            break;
        }
    }
    assert_eq!((&check["ok"], &check["pending"]), (&json!(false), &json!(1)), "{check}");
    assert!(check["error"].as_str().unwrap().contains("code 10037"));
    assert!(check["pending_age_s"].as_f64().unwrap() < 60.0);
    let (status, metrics) = instance.call("GET", "/metrics", None).await;
    assert_eq!(status, 200);
    for line in [
        r#"waypost_sync_keys{target="cloudflare_kv",status="pending"} 1"#,
        r#"waypost_sync_keys{target="cloudflare_kv",status="failed"} 0"#,
        r#"waypost_sync_resting{target="cloudflare_kv",reason="configuration"} 1"#,
        r#"waypost_sync_resting{target="cloudflare_kv",reason="quota"} 0"#,
        r#"waypost_sync_faults_total{target="cloudflare_kv",reason="configuration"} 1"#,
        r#"waypost_sync_failing{target="cloudflare_kv"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains(r#"waypost_sync_pending_age_seconds{target="cloudflare_kv"} "#));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_another_name_every_record_is_pushed_anew() {
    let (folder, api) = (tempfile::tempdir().unwrap(), KvApi::start().unwrap());
    let instance = Instance::start(folder.path(), &api, "https://go.example").await;
    instance.create("a").await;
    wait_until("the link", || api.count() == 1);
    assert_eq!(host_of(&api, "a").as_deref(), Some("go.example"));
    instance.stop().await;
    let instance = Instance::start(folder.path(), &api, "https://new.example").await;
    wait_until("the other host", || host_of(&api, "a").as_deref() == Some("new.example"));
    assert_eq!(instance.sync_check().await["ok"], true);
    instance.stop().await;
}

/// A call that hangs does not hold the end up for longer than a few seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_does_not_wait_for_a_call_that_hangs() {
    let (folder, api) = (tempfile::tempdir().unwrap(), KvApi::start().unwrap());
    let instance = Instance::start(folder.path(), &api, "https://go.example").await;
    api.set_fault(Some(Fault::Hang));
    instance.create("a").await;
    wait_until("the call", || api.call_count() == 1);
    let began = std::time::Instant::now();
    instance.stop().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
