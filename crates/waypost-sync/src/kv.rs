//! A client of Cloudflare's REST API for one Workers KV namespace: write, delete, both in bulk, and list.
//!
//! One method is one call: nothing is retried here, and no redirect is followed. What a response means is in
//! `answer.rs`, what is stored for a link in `pair.rs`. The outbox worker decides when to call, and what follows from a
//! failure.

mod answer;
mod pair;
mod settings;

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde::de::IgnoredAny;

pub use answer::{KvFault, RetryAfter};
pub use pair::{KvKeys, Metadata, Pair, PairFault};
pub use settings::{KvSettings, Secret};

use answer::{Envelope, RawAnswer, read_answer};

/// The most pairs or keys of one bulk call.
pub const BULK_PAIRS_MAX: usize = 10_000;
/// The most bytes of the values and keys of one bulk call. Cloudflare takes 100 MB of JSON; this is held in memory,
/// twice.
pub const BULK_BYTES_MAX: usize = 32 << 20;
/// Keys of a page of [`KvClient::list`].
const LIST_KEYS: u32 = 1_000;
/// The largest answer that is read, in bytes: 10,000 keys that were refused fit.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// What a segment of a path must escape: everything but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvLimits {
    /// Until the connection stands, in milliseconds.
    pub connect_ms: u64,
    /// In all, from the first to the last byte of the answer, in milliseconds.
    pub call_ms: u64,
}

impl Default for KvLimits {
    fn default() -> Self {
        Self { connect_ms: 5_000, call_ms: 30_000 }
    }
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KvSetupError {
    /// The token has characters that no header can carry.
    #[error("the Cloudflare API token has characters that no token has")]
    Token,
    /// No TLS, or no certificates to trust.
    #[error("the HTTP client for Cloudflare could not be prepared")]
    Client(#[source] reqwest::Error),
}

/// Calls Cloudflare about one namespace. Holds the token and never shows it.
#[derive(Debug)]
pub struct KvClient {
    http: Client,
    namespace_url: String,
    /// Marked as sensitive, so that nobody prints it.
    authorization: HeaderValue,
    token: Secret,
    limits: KvLimits,
}

/// A key that is stored, with what is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The key.
    pub name: String,
    /// The version of the record, where we wrote it.
    pub version: Option<u64>,
    /// The digest of the value, where we wrote it.
    pub digest: Option<String>,
}

/// A part of all keys, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// The keys.
    pub keys: Vec<ListedKey>,
    /// Where the next part begins; absent after the last.
    pub cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct BulkResult {
    #[serde(default)]
    unsuccessful_keys: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct ListedKeyJson {
    name: String,
    /// Anything: others may have written it.
    #[serde(default)]
    metadata: Option<serde_json::Value>,
}

impl KvClient {
    /// A client for these settings.
    ///
    /// # Errors
    /// Where the token cannot be sent, or TLS cannot be prepared.
    pub fn new(settings: &KvSettings) -> Result<Self, KvSetupError> {
        Self::with_limits(settings, KvLimits::default())
    }

    /// A client that waits for other times than usual.
    ///
    /// # Errors
    /// As [`KvClient::new`].
    pub fn with_limits(settings: &KvSettings, limits: KvLimits) -> Result<Self, KvSetupError> {
        // Fails only where a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.api_token.expose()))
            .map_err(|_| KvSetupError::Token)?;
        authorization.set_sensitive(true);
        let http = Client::builder()
            .connect_timeout(Duration::from_millis(limits.connect_ms))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("waypost/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(KvSetupError::Client)?;
        let namespace_url = format!(
            "{}/accounts/{}/storage/kv/namespaces/{}",
            settings.api_url.trim_end_matches('/'),
            segment(&settings.account_id),
            segment(&settings.namespace_id)
        );
        Ok(Self { http, namespace_url, authorization, token: settings.api_token.clone(), limits })
    }

    /// How long a call may take, in milliseconds.
    pub const fn call_ms(&self) -> u64 {
        self.limits.call_ms
    }

    /// Writes one pair.
    ///
    /// # Errors
    /// See [`KvFault`]; after [`KvFault::Unavailable`] it is unknown whether it was written.
    pub async fn put(&self, pair: &Pair) -> Result<(), KvFault> {
        let (content_type, body) = form(pair);
        let request = self.request(Method::PUT, &format!("/values/{}", segment(&pair.key)));
        let request = request.header(CONTENT_TYPE, content_type).body(body);
        self.call::<IgnoredAny>(request).await.map(drop)
    }

    /// Writes at most [`BULK_PAIRS_MAX`] pairs. Gives the keys that were not written.
    ///
    /// # Errors
    /// See [`KvFault`]; after [`KvFault::Unavailable`] it is unknown which were written.
    pub async fn put_many(&self, pairs: &[Pair]) -> Result<Vec<String>, KvFault> {
        self.bulk(self.request(Method::PUT, "/bulk"), pairs).await
    }

    /// Deletes one key. One that is not there is deleted, too.
    ///
    /// # Errors
    /// See [`KvFault`]; after [`KvFault::Unavailable`] it is unknown whether it was deleted.
    pub async fn delete(&self, key: &str) -> Result<(), KvFault> {
        let request = self.request(Method::DELETE, &format!("/values/{}", segment(key)));
        match self.call::<IgnoredAny>(request).await {
            Ok(_) | Err(KvFault::Missing { .. }) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Deletes at most [`BULK_PAIRS_MAX`] keys. Gives those that were not deleted.
    ///
    /// # Errors
    /// See [`KvFault`]; after [`KvFault::Unavailable`] it is unknown which were deleted.
    pub async fn delete_many(&self, keys: &[String]) -> Result<Vec<String>, KvFault> {
        self.bulk(self.request(Method::POST, "/bulk/delete"), keys).await
    }

    /// The first thousand keys, or those after a page's cursor. What was written within the last minute may be missing.
    ///
    /// # Errors
    /// See [`KvFault`].
    pub async fn list(&self, cursor: Option<&str>) -> Result<ListPage, KvFault> {
        let mut path = format!("/keys?limit={LIST_KEYS}");
        if let Some(cursor) = cursor {
            let _ = write!(path, "&cursor={}", segment(cursor));
        }
        let envelope = self.call::<Vec<ListedKeyJson>>(self.request(Method::GET, &path)).await?;
        let keys = envelope.result.unwrap_or_default();
        let cursor = envelope.result_info.and_then(|info| info.cursor).filter(|cursor| !cursor.is_empty());
        Ok(ListPage { keys: keys.into_iter().map(ListedKey::from).collect(), cursor })
    }

    async fn bulk<T: serde::Serialize>(&self, request: RequestBuilder, items: &[T]) -> Result<Vec<String>, KvFault> {
        if items.len() > BULK_PAIRS_MAX {
            return Err(KvFault::TooLarge { message: format!("{} keys in one call", items.len()) });
        }
        let envelope = self.call::<BulkResult>(request.json(items)).await?;
        Ok(envelope.result.and_then(|result| result.unsuccessful_keys).unwrap_or_default())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.namespace_url));
        request.header(AUTHORIZATION, self.authorization.clone())
    }

    async fn call<R: for<'de> Deserialize<'de>>(&self, request: RequestBuilder) -> Result<Envelope<R>, KvFault> {
        let deadline = Duration::from_millis(self.limits.call_ms);
        let answer = match tokio::time::timeout(deadline, answer_of(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", self.limits.call_ms)),
        };
        let read = match answer {
            Ok(answer) => read_answer(&answer),
            Err(message) => Err(KvFault::Unavailable { message }),
        };
        // Whoever answers may repeat what it was sent.
        read.map_err(|fault| fault.without(self.token.expose()))
    }
}

impl From<ListedKeyJson> for ListedKey {
    fn from(key: ListedKeyJson) -> Self {
        let metadata = key.metadata.and_then(|metadata| serde_json::from_value::<Metadata>(metadata).ok());
        let (version, digest) = metadata.map_or((None, None), |ours| (Some(ours.version), Some(ours.digest)));
        Self { name: key.name, version, digest }
    }
}

async fn answer_of(request: RequestBuilder) -> Result<RawAnswer, String> {
    let mut response = request.send().await.map_err(describe)?;
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(RawAnswer { status, retry_after, body })
}

/// The error with its causes, and without the address, which names account and namespace.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The multipart form (RFC 7578) in which a single value comes with its metadata: its content type and its body.
fn form(pair: &Pair) -> (String, Vec<u8>) {
    // A boundary must not be in what it parts. Values are JSON, in which no line break stands as itself, so none can
    // hold the line break that begins a delimiter.
    let boundary = format!("waypost-{}", pair.metadata.digest);
    let metadata = serde_json::to_string(&pair.metadata).expect("a number and a text can be written as JSON");
    let mut body = String::with_capacity(pair.value.len() + 512);
    for (name, content) in [("value", &pair.value), ("metadata", &metadata)] {
        let _ = write!(body, "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n");
    }
    let _ = write!(body, "--{boundary}--\r\n");
    (format!("multipart/form-data; boundary={boundary}"), body.into_bytes())
}
