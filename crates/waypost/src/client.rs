//! The one way in which commands reach an instance: its API. With `--server` over HTTP; otherwise over the local socket
//! of the server that runs on the data folder; if none runs, by the same routes within this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use serde::Serialize;
use tower::ServiceExt as _;
use url::Url;
use waypost_control::App;
use waypost_core::Quoted;
use waypost_http::{ACCOUNT_HEADER, Principal};
use waypost_store::StoreError;

use crate::cli::ClientArgs;
use crate::config::Config;
use crate::config::load::load;
use crate::config::types::is_this_machine;
use crate::data_dir::{DataDir, DataDirError, SocketPath};
use crate::instance::{Instance, http_settings};
use crate::print;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::serve::default_public_url;

/// The most bytes of a response: a page of 1,000 large links fits.
const RESPONSE_BYTES_MAX: usize = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// The limit for streams. An export may take hours; nobody follows clicks for longer than this.
const STREAM_TIMEOUT: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// How long a command waits until another command has released the data folder, or a starting server has opened it.
const FOLDER_WAIT: Duration = Duration::from_secs(5);
const FOLDER_PAUSE: Duration = Duration::from_millis(50);
/// How long a command waits for the link table before it works on it.
const READY_WAIT: Duration = Duration::from_secs(600);
/// How often a request is sent at most if the server answers 429.
const PATIENCE_TRIES_MAX: u32 = 20;
const PATIENCE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Reaches an instance's API.
pub(crate) struct Client {
    transport: Transport,
    /// Whether requests are about the anonymous links.
    anonymous: bool,
}

enum Transport {
    Http(HttpTransport),
    InProcess(Box<InProcess>),
}

struct HttpTransport {
    client: reqwest::Client,
    /// Scheme and authority, without `/` at the end.
    origin: String,
    authorization: Option<HeaderValue>,
    /// Kept because the path of the socket may go through its open descriptor of the data folder.
    socket: Option<SocketPath>,
}

struct InProcess {
    router: Router,
    app: Arc<App>,
    instance: Instance,
}

/// One request to the API.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    /// Path and query.
    target: String,
    if_version: Option<u64>,
    body: Option<Bytes>,
    media_type: &'static str,
    /// About the anonymous links, whatever the client is for.
    anonymous: bool,
}

impl Call {
    /// A request with this method, path and query.
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            if_version: None,
            body: None,
            media_type: "application/json",
            anonymous: false,
        }
    }

    /// Succeeds only if the link has this version.
    pub(crate) fn if_version(self, version: Option<u64>) -> Self {
        Self { if_version: version, ..self }
    }

    /// With this body.
    pub(crate) fn body(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a request body is JSON");
        Self { body: Some(body.into()), ..self }
    }

    /// With this body, which is of another type than JSON.
    pub(crate) fn file(self, media_type: &'static str, body: Vec<u8>) -> Self {
        Self { body: Some(body.into()), media_type, ..self }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(version) = self.if_version {
            let tag = HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes are a header value");
            headers.insert(IF_MATCH, tag);
        }
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        headers
    }
}

/// A response that has been read to its end.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Bytes,
}

/// What to do if the data folder does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    Refuse,
    Create,
}

/// Status and `Retry-After` of a response, and its body, which is still to be read.
type OpenAnswer = (StatusCode, Option<Duration>, AnswerBody);
type AnswerBody = UnsyncBoxBody<Bytes, anyhow::Error>;

/// A response that is read piece by piece.
#[derive(Debug)]
pub(crate) struct AnswerStream {
    body: AnswerBody,
}

impl Client {
    /// Connects to the instance that these arguments name. Creates no data folder: one that does not exist has nothing
    /// to show or to change, so its name is probably misspelled.
    ///
    /// # Errors
    /// If the configuration has errors, there is no instance, or the data folder can neither be locked nor its server
    /// be reached.
    pub(crate) async fn connect(args: &ClientArgs) -> anyhow::Result<Self> {
        Self::connect_with(args, Absent::Refuse).await
    }

    /// As [`Client::connect`], for commands that create something: they create the data folder, too.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub(crate) async fn connect_to_create(args: &ClientArgs) -> anyhow::Result<Self> {
        Self::connect_with(args, Absent::Create).await
    }

    async fn connect_with(args: &ClientArgs, absent: Absent) -> anyhow::Result<Self> {
        if let Some(server) = &args.server {
            let transport = Transport::Http(HttpTransport::to_server(server, args.key.as_deref())?);
            return Ok(Self { transport, anonymous: false });
        }
        anyhow::ensure!(args.key.is_none(), "--key needs --server (or WAYPOST_SERVER)");
        let config = load(&args.settings.0, std::env::vars_os())?.config;
        Ok(Self { transport: Transport::open_folder(&config, absent).await?, anonymous: args.anonymous })
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    /// A [`Problem`] if the instance refuses, another error if it cannot be reached or does not speak the API.
    pub(crate) async fn call(&self, call: Call) -> anyhow::Result<Reply> {
        let answer = self.send(&call).await?;
        read_answer(answer)
    }

    /// As [`Client::call`], but if the instance answers 429, waits and sends the request again.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub(crate) async fn call_patiently(&self, call: Call) -> anyhow::Result<Reply> {
        for _ in 1..PATIENCE_TRIES_MAX {
            let answer = self.send(&call).await?;
            // Only 429 says that nothing was done; after a 503 that is not certain.
            if answer.status != StatusCode::TOO_MANY_REQUESTS {
                return read_answer(answer);
            }
            let wait = answer.retry_after.unwrap_or(Duration::from_secs(1));
            tokio::time::sleep(wait.min(PATIENCE_WAIT_MAX)).await;
        }
        self.call(call).await
    }

    /// Waits until an instance within this process has finished its work.
    pub(crate) async fn close(self) {
        match self.transport {
            Transport::Http(_) => {}
            Transport::InProcess(in_process) => {
                in_process.app.stop().await;
                in_process.instance.close().await;
            }
        }
    }

    /// Sends a request and returns its response as a stream, however long that takes.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub(crate) async fn stream(&self, call: Call) -> anyhow::Result<AnswerStream> {
        let (status, retry_after, body) = self.open(&call, STREAM_TIMEOUT).await?;
        if status.is_success() {
            return Ok(AnswerStream { body });
        }
        let body =
            Limited::new(body, RESPONSE_BYTES_MAX).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
        read_answer(Answer { status, retry_after, body }).and_then(|_| anyhow::bail!("the response is not a stream"))
    }

    /// Makes a call and takes its answer as bytes of whatever type.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub(crate) async fn bytes(&self, call: Call) -> anyhow::Result<Bytes> {
        let answer = self.send(&call).await?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        read_answer(answer).and_then(|_| anyhow::bail!("the response is not what was asked for"))
    }

    /// Whether requests are the operator's, who also sees the anonymous links.
    pub(crate) const fn is_operator(&self) -> bool {
        match &self.transport {
            Transport::Http(http) => http.socket.is_some(),
            Transport::InProcess(_) => true,
        }
    }

    /// Whether requests are about the anonymous links only.
    pub(crate) const fn is_anonymous(&self) -> bool {
        self.anonymous
    }

    /// As [`Client::call_patiently`], about the anonymous links.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub(crate) async fn call_as_anonymous(&self, call: Call) -> anyhow::Result<Reply> {
        self.call_patiently(Call { anonymous: true, ..call }).await
    }

    /// Whether the instance is within this process: no server runs, so nothing redirects.
    pub(crate) const fn is_in_process(&self) -> bool {
        matches!(self.transport, Transport::InProcess(_))
    }

    async fn send(&self, call: &Call) -> anyhow::Result<Answer> {
        let (status, retry_after, body) = self.open(call, CALL_TIMEOUT).await?;
        let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed).context("the response is incomplete or too large")?;
        Ok(Answer { status, retry_after, body: body.to_bytes() })
    }

    /// Sends a request; the body of its response is still to be read.
    async fn open(&self, call: &Call, timeout: Duration) -> anyhow::Result<OpenAnswer> {
        let mut headers = call.headers();
        if self.anonymous || call.anonymous {
            headers.insert(ACCOUNT_HEADER, HeaderValue::from_static("anonymous"));
        }
        match &self.transport {
            Transport::Http(http) => http.open(call, headers, timeout).await,
            Transport::InProcess(in_process) => in_process.open(call, headers).await,
        }
    }
}

impl AnswerStream {
    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// If the response is truncated.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.context("the response is incomplete")?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}

impl Transport {
    async fn open_folder(config: &Config, absent: Absent) -> anyhow::Result<Self> {
        let path = config.data_dir()?;
        // If the links are in a database elsewhere, the folder only has what is built from them.
        let may_create = absent == Absent::Create || config.database_url.is_some();
        if !DataDir::is_in(path)? {
            anyhow::ensure!(
                may_create,
                "{} is not the data folder of an instance, and nothing was created there: check --data-dir, or give --server",
                path.display()
            );
            print::note(&format!("There is no data folder yet: creating {}", path.display()));
        }
        let data_dir = DataDir::create(path)?;
        let deadline = Instant::now() + FOLDER_WAIT;
        loop {
            let in_use = match data_dir.lock() {
                Ok(lock) => {
                    let instance = Instance::open(config, &data_dir, lock).await?;
                    let in_process = Box::new(InProcess::start(config, instance).await?);
                    return Ok(Self::InProcess(in_process));
                }
                Err(error @ DataDirError::InUse { .. }) => error,
                Err(error) => return Err(error.into()),
            };
            if let Some(transport) = HttpTransport::to_socket(&data_dir).await? {
                return Ok(Self::Http(transport));
            }
            if Instant::now() >= deadline {
                return Err(anyhow::Error::new(in_use).context("its local socket does not answer"));
            }
            tokio::time::sleep(FOLDER_PAUSE).await;
        }
    }
}

fn read_answer(answer: Answer) -> anyhow::Result<Reply> {
    if !answer.status.is_success() {
        return Err(Problem::read(answer.status, &answer.body).into());
    }
    Reply::of(answer.body)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

impl HttpTransport {
    fn to_server(server: &str, key: Option<&str>) -> anyhow::Result<Self> {
        let origin = read_server(server)?;
        if key.is_some() && is_open_to_all(&origin) {
            print::note(&format!("The key is sent to {origin} without encryption: anyone on the network can read it."));
        }
        // Fails only if a provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = client_builder().build().context("cannot prepare the HTTP client")?;
        let authorization = key.map(|key| {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))?;
            value.set_sensitive(true);
            anyhow::Ok(value)
        });
        let authorization =
            authorization.transpose().context("the API key has characters that are not allowed in a key")?;
        Ok(Self { client, origin, authorization, socket: None })
    }

    /// The server on the local socket of this data folder, if one answers.
    async fn to_socket(data_dir: &DataDir) -> anyhow::Result<Option<Self>> {
        let socket = SocketPath::of(data_dir)?;
        if tokio::net::UnixStream::connect(socket.path()).await.is_err() {
            return Ok(None);
        }
        // There is no TLS on the socket, but the client cannot be built without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = client_builder().unix_socket(socket.path()).build().context("cannot prepare the HTTP client")?;
        let origin = "http://localhost".to_owned();
        Ok(Some(Self { client, origin, authorization: None, socket: Some(socket) }))
    }

    async fn open(&self, call: &Call, headers: HeaderMap, timeout: Duration) -> anyhow::Result<OpenAnswer> {
        let mut request = self.client.request(call.method.clone(), format!("{}{}", self.origin, call.target));
        request = request.headers(headers).timeout(timeout);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.with_context(|| format!("cannot reach {}", self.origin))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        Ok((status, retry_after, reqwest::Body::from(response).map_err(anyhow::Error::new).boxed_unsync()))
    }
}

fn client_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("waypost/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // Live feeds send something at least every 15 seconds.
        .read_timeout(CALL_TIMEOUT)
        // The key must not be sent to another server, so redirects are not followed.
        .redirect(reqwest::redirect::Policy::none())
}

fn read_server(server: &str) -> anyhow::Result<String> {
    let url = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url =
        url.with_context(|| format!("{} is not the URL of a server such as https://go.example", Quoted(server)))?;
    anyhow::ensure!(url.path() == "/" && url.query().is_none(), "give only scheme, host and port of the server");
    Ok(url.origin().ascii_serialization())
}

/// Whether others on the network can read what is sent there: plain HTTP to another machine.
fn is_open_to_all(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return true };
    url.scheme() != "https" && !is_this_machine(&url)
}

/// Whether the public URL has the host of a domain beside the default one.
fn is_taken(error: &anyhow::Error) -> bool {
    let is_taken = |error: &StoreError| matches!(error, StoreError::PublicUrlTaken { .. });
    error.chain().any(|cause| cause.downcast_ref::<StoreError>().is_some_and(is_taken))
}

impl InProcess {
    async fn start(config: &Config, instance: Instance) -> anyhow::Result<Self> {
        let public_url = match &config.public_url {
            Some(url) => url.clone(),
            None => match instance.last_public_url().await? {
                Some(url) => url,
                None => default_public_url(&config.listen)?,
            },
        };
        let app = match instance.start_app(config, public_url).await {
            Ok(app) => app,
            Err(error) if is_taken(&error) => {
                // Commands are the way to repair that.
                let last = instance.last_public_url().await?.ok_or(error)?;
                instance.start_app(config, last).await?
            }
            Err(error) => return Err(error),
        };
        anyhow::ensure!(app.wait_until_ready(READY_WAIT).await, "the link table does not catch up with the database");
        let router = waypost_http::router(Arc::clone(&app), http_settings(config));
        Ok(Self { router, app, instance })
    }

    async fn open(&self, call: &Call, headers: HeaderMap) -> anyhow::Result<OpenAnswer> {
        let body = call.body.clone().map_or_else(Body::empty, Body::from);
        let mut request = Request::builder().method(call.method.clone()).uri(&call.target).body(body)?;
        request.headers_mut().extend(headers);
        request.extensions_mut().insert(Principal::Operator);
        let response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        Ok((status, retry_after, response.into_body().map_err(anyhow::Error::new).boxed_unsync()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        #[track_caller]
        fn check(text: &str, expect: Option<&str>) {
            assert_eq!(read_server(text).ok().as_deref(), expect, "{text}");
        }
        check("https://go.example", Some("https://go.example"));
        check("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080"));
        for (origin, expect) in [
            ("https://go.example", false),
            ("http://localhost:8080", false),
            ("http://[::1]:8080", false),
            ("http://127.0.0.1", false),
            ("http://go.example", true),
        ] {
            assert_eq!(is_open_to_all(origin), expect, "{origin}");
        }
        for bad in ["", "go.example", "ftp://go.example", "https://go.example/app", "unix:/x", "https://a?b"] {
            check(bad, None);
        }
    }
}
