//! An edge with a table of its own, and a control plane made of test doubles.
#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use waypost_core::compact::compile;
use waypost_core::record::LinkRecord;
use waypost_core::{DomainSettings, SchemePolicy};
use waypost_edge::grant::GrantKey;
use waypost_edge::{ControlBody, ControlHandler, Edge, EdgeConfig, Limits, start};
use waypost_table::{Change, Table, TableOptions};
use waypost_testkit::http::{Connection, Response as Reply};

pub const KEY: GrantKey = GrantKey::new([1; 32]);

/// A running edge; stops when dropped.
pub struct TestEdge {
    pub edge: Option<Edge>,
    pub table: Arc<Table>,
    _dir: tempfile::TempDir,
}

/// An edge to be.
pub struct Setup {
    pub config: EdgeConfig,
    pub control: ControlHandler,
    changes: Vec<(String, String, Vec<u8>)>,
    domains: Vec<DomainSettings>,
}

impl Setup {
    pub fn new() -> Self {
        let mut config = EdgeConfig::new(vec![SocketAddr::from(([127, 0, 0, 1], 0))], Arc::new(KEY.into()));
        config.threads = NonZeroUsize::MIN;
        // Tests ask for what is not there as often as they like.
        config.limits.miss_rate = None;
        Self { config, control: echo(), changes: Vec::new(), domains: Vec::new() }
    }

    /// A link on the default domain, from the fields that matter.
    pub fn link(self, slug: &str, record: &str) -> Self {
        self.link_on("", slug, record)
    }

    pub fn link_on(self, domain: &str, slug: &str, record: &str) -> Self {
        let record: LinkRecord = serde_json::from_str(record).unwrap();
        self.bytes_on(domain, slug, compile(&record, &SchemePolicy::default()).unwrap())
    }

    /// A link that leads to `https://example.com/SLUG`.
    pub fn plain_link(self, slug: &str) -> Self {
        let record = format!(r#"{{"link_id": "link_{slug}", "destination_url": "https://example.com/{slug}"}}"#);
        self.link(slug, &record)
    }

    pub fn bytes_on(mut self, domain: &str, slug: &str, bytes: Vec<u8>) -> Self {
        self.changes.push((domain.to_owned(), slug.to_owned(), bytes));
        self
    }

    pub fn domain(mut self, json: &str) -> Self {
        self.domains.push(serde_json::from_str(json).unwrap());
        self
    }

    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.config.limits);
        self
    }

    pub fn config(mut self, change: impl FnOnce(&mut EdgeConfig)) -> Self {
        change(&mut self.config);
        self
    }

    pub fn control(mut self, control: ControlHandler) -> Self {
        self.control = control;
        self
    }

    pub fn start(self) -> TestEdge {
        let dir = tempfile::tempdir().unwrap();
        let table = open_table(dir.path());
        let changes: Vec<Change<'_>> = self
            .changes
            .iter()
            .map(|(domain, slug, bytes)| Change { domain, slug, version: 1, record: Some(bytes) })
            .collect();
        table.apply(&changes, 1).unwrap();
        table.set_domains(&self.domains).unwrap();
        let edge = start(self.config, table.clone(), self.control).unwrap();
        TestEdge { edge: Some(edge), table, _dir: dir }
    }
}

pub fn open_table(dir: &Path) -> Arc<Table> {
    let table = Table::open(dir, TableOptions { map_size_bytes: 1 << 24, ..TableOptions::default() }).unwrap();
    table.confirm().unwrap();
    Arc::new(table)
}

impl TestEdge {
    pub fn address(&self) -> SocketAddr {
        self.edge.as_ref().unwrap().local_addrs()[0]
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.address()).unwrap()
    }

    /// One request with `Host: go.example` on a connection of its own.
    #[track_caller]
    pub fn ask(&self, method_and_target: &str, headers: &[(&str, &str)]) -> Reply {
        let mut text = format!("{method_and_target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str("Host: go.example\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut connection = self.connect();
        connection.send(text.as_bytes()).unwrap();
        if method_and_target.starts_with("HEAD ") {
            connection.read_head().unwrap()
        } else {
            connection.read_response().unwrap()
        }
    }

    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        self.ask(&format!("GET {target}"), &[])
    }

    /// Sends these bytes and gives everything that comes until the edge closes.
    #[track_caller]
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut connection = self.connect();
        connection.send(bytes).unwrap();
        String::from_utf8(connection.read_to_close().unwrap()).unwrap()
    }

    pub fn shutdown(&mut self, deadline: Duration) -> waypost_edge::DrainReport {
        self.edge.take().unwrap().shutdown(deadline)
    }
}

/// A control plane that says what it was asked, and gives the body back.
pub fn echo() -> ControlHandler {
    Arc::new(|request, client| {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Response::builder()
                .header("x-asked", format!("{} {}", parts.method, parts.uri))
                .header("x-address", client.address.to_string())
                .header("x-country", client.country.unwrap_or_default())
                .header("x-host", client.host)
                .header("x-domain", client.domain)
                .header("x-https", client.is_https.to_string())
                .body(full(body))
                .unwrap()
        })
    })
}

pub fn full(bytes: Bytes) -> ControlBody {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub fn location(reply: &Reply) -> Option<&str> {
    reply.header("location")
}
