//! Passes requests from the edge's threads to the control plane: each becomes a task on the control runtime, and the
//! edge only waits for its response.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use waypost_api::health::{Ready, StartingChecks, StartingReadiness, StoreCheck};
use waypost_api::{ProblemCode, ProblemDocument};
use waypost_edge::{BoxError, ClientFacts, ControlBody, ControlHandler};
use waypost_http::{ClientAddress, Principal};
use waypost_table::Table;

/// The most requests that the control plane works on at once; more are answered 503. Requests with a body have a limit
/// of their own, of the same size, so that clients that send bodies slowly do not block other requests.
const REQUESTS_MAX: usize = 1_024;

/// The error until the control plane has started.
const NOT_OPEN: &str = "the server is waiting for its database";

/// The most bytes of a body without meaning that are read so that its connection can be used again.
const IGNORED_BYTES_MAX: usize = 64 * 1024;

/// Accepts requests from the edge, and answers them even before the control plane has started.
#[derive(Clone)]
pub(crate) struct Bridge {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Handle,
    /// Empty until the control plane has started.
    router: OnceLock<Router>,
    /// The link table, from which links redirect meanwhile.
    table: Arc<Table>,
    room: Arc<Semaphore>,
    room_for_bodies: Arc<Semaphore>,
}

impl Bridge {
    /// A bridge to the control plane on this runtime.
    pub(crate) fn new(runtime: Handle, table: Arc<Table>) -> Self {
        let room = || Arc::new(Semaphore::new(REQUESTS_MAX));
        let (room, room_for_bodies) = (room(), room());
        Self { shared: Arc::new(Shared { runtime, router: OnceLock::new(), table, room, room_for_bodies }) }
    }

    /// Passes requests to this router from now on.
    pub(crate) fn open(&self, router: Router) {
        // There is only one start, so this is the first router.
        let _ = self.shared.router.set(router);
    }

    /// Whether the control plane has started.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.router.get().is_some()
    }

    /// The same as a router, for requests that do not come through the edge. It has every path.
    pub(crate) fn router(&self) -> Router {
        let shared = Arc::clone(&self.shared);
        Router::new().fallback(move |request: Request<Body>| async move {
            match shared.router.get().cloned() {
                Some(router) => router.oneshot(request).await,
                None => Ok(answer_before_start(&shared, &request).map(Body::new)),
            }
        })
    }

    /// The handler that the edge calls.
    pub(crate) fn handler(&self) -> ControlHandler {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |request, client| {
            let shared = Arc::clone(&shared);
            Box::pin(async move { answer(&shared, request.map(Body::new), &client).await })
        })
    }
}

async fn answer(shared: &Shared, mut request: Request<Body>, client: &ClientFacts) -> Response<ControlBody> {
    let Some(router) = shared.router.get() else { return answer_before_start(shared, &request) };
    let room = if request.body().is_end_stream() { &shared.room } else { &shared.room_for_bodies };
    let Ok(place) = Arc::clone(room).try_acquire_owned() else {
        return unavailable(ProblemCode::Busy, "the server works on as many requests as it can; nothing was changed");
    };
    request.extensions_mut().insert(ClientAddress(client.address));
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS) {
        ignore_body(request.body_mut()).await;
    }
    let router = router.clone();
    // The task continues if the client closes the connection: a commit must not be interrupted.
    let work = shared.runtime.spawn(async move {
        let answered: Result<Response<Body>, Infallible> = router.oneshot(request).await;
        drop(place);
        answered
    });
    match work.await {
        Ok(Ok(response)) => response.map(|body| body.map_err(BoxError::from).boxed_unsync()),
        Ok(Err(never)) => match never {},
        Err(error) => {
            tracing::error!(%error, "a request of the control plane ended unexpectedly");
            problem(ProblemCode::Internal, "the request failed because of an internal error")
        }
    }
}

/// Reads and drops the body of a request whose method gives it no meaning. A body above the limit is not read to its
/// end, which closes the connection.
async fn ignore_body(body: &mut Body) {
    let mut ignored = std::mem::replace(body, Body::empty());
    let mut bytes_left = IGNORED_BYTES_MAX;
    while let Some(Ok(frame)) = ignored.frame().await {
        let Some(left) = bytes_left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        bytes_left = left;
    }
}

/// The response until the control plane has started: it may be waiting for its database while links redirect.
fn answer_before_start(shared: &Shared, request: &Request<Body>) -> Response<ControlBody> {
    match request.uri().path() {
        "/healthz" => plain(StatusCode::OK, "text/plain; charset=utf-8", "ok".to_owned()),
        "/readyz" => {
            let ready = shared.table.knows_all();
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            // Only for the local socket, which needs no key: keys cannot be looked up yet.
            if request.extensions().get::<Principal>().is_some() {
                let store = StoreCheck { ok: false, writable: false, error: Some(NOT_OPEN.to_owned()) };
                json(status, &StartingReadiness { ready, degraded: true, checks: StartingChecks { store } })
            } else {
                json(status, &Ready { ready })
            }
        }
        _ => unavailable(ProblemCode::Unavailable, &format!("{NOT_OPEN}; nothing was changed")),
    }
}

/// A problem after which the client can send its request again.
fn unavailable(code: ProblemCode, detail: &str) -> Response<ControlBody> {
    let mut response = problem(code, detail);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn problem(code: ProblemCode, detail: &str) -> Response<ControlBody> {
    let status = StatusCode::from_u16(code.status()).expect("the catalogue holds HTTP statuses");
    let document = ProblemDocument::new(code, detail.to_owned(), Vec::new());
    plain(status, "application/problem+json", to_json(&document))
}

fn json(status: StatusCode, document: &impl Serialize) -> Response<ControlBody> {
    plain(status, "application/json", to_json(document))
}

fn to_json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("fields with strings, numbers and flags are JSON")
}

fn plain(status: StatusCode, media_type: &'static str, text: String) -> Response<ControlBody> {
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
