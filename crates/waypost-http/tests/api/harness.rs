//! A running control plane for one test, and requests to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;
use waypost_clicks::ClickStore;
use waypost_control::{App, ControlSettings, PublicUrl};
use waypost_core::CompactLink;
use waypost_core::id::AccountId;
use waypost_http::{ClientAddress, HttpSettings, Principal, router};
use waypost_ingest::{ClickSettings, Clicks};
use waypost_store::{AccountKind, ReadTx, Store, StoreOptions};
use waypost_table::{Table, TableOptions};
use waypost_testkit::postgres::TestDatabase;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A control plane over data of its own.
pub(crate) struct TestApp {
    pub(crate) app: Arc<App>,
    pub(crate) store: Store,
    pub(crate) table: Arc<Table>,
    pub(crate) clicks: Arc<Clicks>,
    pub(crate) router: Router,
    pub(crate) data: Data,
}

/// Where a control plane keeps its data.
pub(crate) struct Data {
    pub(crate) folder: tempfile::TempDir,
    /// Where the truth is on PostgreSQL.
    database: Option<TestDatabase>,
}

impl Data {
    pub(crate) fn embedded() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None }
    }

    /// With the truth on PostgreSQL; `None` where tests on it are switched off.
    pub(crate) async fn on_postgres() -> Option<Self> {
        let database = tokio::task::spawn_blocking(waypost_testkit::postgres::test_database).await.unwrap()?;
        Some(Self { database: Some(database), ..Self::embedded() })
    }

    /// Runs SQL text on PostgreSQL past the store.
    pub(crate) fn db_execute(&self, sql: &str) {
        self.database.as_ref().unwrap().execute(sql).unwrap();
    }

    /// As [`Data::db_execute`], and gives what it answers.
    pub(crate) fn db_query(&self, sql: &str) -> String {
        self.database.as_ref().unwrap().execute(sql).unwrap()
    }

    pub(crate) fn database_address(&self) -> String {
        match &self.database {
            Some(database) => database.url().to_owned(),
            None => self.folder.path().join("waypost.db").display().to_string(),
        }
    }

    /// Counts clicks that tests bring themselves: there is no spool.
    pub(crate) async fn start_clicks(&self) -> Arc<Clicks> {
        let address = match &self.database {
            Some(database) => database.url().to_owned(),
            None => self.folder.path().join("clicks.db").display().to_string(),
        };
        let store = ClickStore::open(&address, StoreOptions::default()).await.unwrap();
        Clicks::start(store, None, ClickSettings::default())
    }
}

/// Runs each of these functions, which take a fresh [`TestApp`], as a test on either database.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::harness::TestApp::new().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(app) = crate::harness::TestApp::on_postgres().await {
                    super::$name(&app).await;
                    app.stop().await;
                }
            })+
        }
    };
}
pub(crate) use on_both_databases;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A request being put together.
pub(crate) struct Call<'a> {
    app: &'a TestApp,
    request: Request<Body>,
}

pub(crate) fn table_options() -> TableOptions {
    TableOptions { map_size_bytes: 64 << 20, ..TableOptions::default() }
}

pub(crate) fn settings() -> ControlSettings {
    let public_url = PublicUrl::parse("https://go.example").unwrap();
    ControlSettings::new(
        public_url,
        Arc::new(|grant| format!("wp_unlock_test={}.{}; Path={}; HttpOnly", grant.link_id, grant.version, grant.path)),
    )
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ControlSettings)) -> Self {
        Self::over(Data::embedded(), change).await
    }

    /// `None` where tests on PostgreSQL are switched off.
    pub(crate) async fn on_postgres() -> Option<Self> {
        Some(Self::over(Data::on_postgres().await?, |_| {}).await)
    }

    pub(crate) async fn over(data: Data, change: impl FnOnce(&mut ControlSettings)) -> Self {
        let clicks = data.start_clicks().await;
        Self::counting_with(data, clicks, change).await
    }

    /// A control plane whose clicks are counted elsewhere than beside its links.
    pub(crate) async fn counting_with(
        data: Data,
        clicks: Arc<Clicks>,
        change: impl FnOnce(&mut ControlSettings),
    ) -> Self {
        let store = Store::open(&data.database_address(), StoreOptions::default()).await.unwrap();
        Self::start((data, store), clicks, change).await
    }

    /// A control plane whose database of links is opened with these options.
    pub(crate) async fn opened(data: Data, options: StoreOptions, change: impl FnOnce(&mut ControlSettings)) -> Self {
        let store = Store::open(&data.database_address(), options).await.unwrap();
        let clicks = data.start_clicks().await;
        Self::start((data, store), clicks, change).await
    }

    async fn start(
        (data, store): (Data, Store),
        clicks: Arc<Clicks>,
        change: impl FnOnce(&mut ControlSettings),
    ) -> Self {
        let table = Arc::new(Table::open(&data.folder.path().join("table"), table_options()).unwrap());
        let mut settings = settings();
        change(&mut settings);
        let app = App::start(store.clone(), Arc::clone(&table), Arc::clone(&clicks), settings).await.unwrap();
        assert!(app.wait_until_ready(READY_WITHIN).await);
        Self { router: router(Arc::clone(&app), HttpSettings::default()), app, store, table, clicks, data }
    }

    /// The same with other settings of HTTP.
    pub(crate) fn over_http(self, settings: HttpSettings) -> Self {
        Self { router: router(Arc::clone(&self.app), settings), ..self }
    }

    /// Ends the control plane and gives back its data.
    pub(crate) async fn stop(self) -> Data {
        self.app.stop().await;
        self.clicks.stop().await;
        self.clicks.store().close().await;
        self.store.close().await;
        self.data
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        let request = Request::builder().method(method).uri(path).header("host", "go.example");
        Call { app: self, request: request.body(Body::empty()).unwrap() }
    }

    /// A request of the local operator.
    pub(crate) fn operator(&self, method: &str, path: &str) -> Call<'_> {
        let mut call = self.call(method, path);
        call.request.extensions_mut().insert(Principal::Operator);
        call
    }

    /// A request with an API key.
    pub(crate) fn with_key(&self, key: &str, method: &str, path: &str) -> Call<'_> {
        self.call(method, path).header("authorization", &format!("Bearer {key}"))
    }

    /// Makes a link as the operator and gives it as JSON.
    pub(crate) async fn create_link(&self, link: Value) -> Value {
        let reply = self.operator("POST", "/api/v1/links").json(&link).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    /// The destination that the table holds for a slug.
    pub(crate) fn destination(&self, domain: &str, slug: &str) -> Option<String> {
        let read = |bytes: &[u8]| CompactLink::read(bytes).unwrap().destination().to_owned();
        self.table.get(domain, slug, read).unwrap()
    }
}

/// The account of the operator. Two that were created in one millisecond are listed in any order.
#[allow(dead_code, reason = "the tests of webhooks do not need it")]
pub(crate) async fn default_account(tx: &mut ReadTx) -> AccountId {
    let accounts = tx.list_accounts().await.unwrap();
    let own = accounts.into_iter().find(|account| account.kind == AccountKind::Default);
    own.unwrap().account_id
}

impl<'a> Call<'a> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    /// Adds a header beside others of its name.
    #[allow(dead_code, reason = "only the tests of webhooks need it")]
    pub(crate) fn also(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    pub(crate) fn address(mut self, address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        self.request.extensions_mut().insert(ClientAddress(address));
        self
    }

    pub(crate) fn json(self, body: &Value) -> impl Future<Output = Reply> + use<'a> {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) fn body<B: Into<Body>>(mut self, body: B) -> impl Future<Output = Reply> + use<'a, B> {
        *self.request.body_mut() = body.into();
        self.send()
    }

    /// Sends this body and gives the answer's, which is still to be read.
    pub(crate) async fn body_of(mut self, body: impl Into<Body>) -> Body {
        *self.request.body_mut() = body.into();
        self.app.router.clone().oneshot(self.request).await.unwrap().into_body()
    }

    pub(crate) async fn send(self) -> Reply {
        let response = self.app.router.clone().oneshot(self.request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that this is the problem document of `code`, with all that goes with it.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("/docs/problems#{code}"));
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()));
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }

    /// The fields and codes of a problem's errors.
    #[track_caller]
    pub(crate) fn errors(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (text(&error["field"]), text(&error["code"]))).collect()
    }
}
