//! CORS: which pages of other sites may call the API from a browser and read its responses.
//!
//! `POST /api/url` is open to every page. `/api/v1` is open to pages of the configured origins; their requests carry an
//! API key, never a cookie. Nothing else is open to other sites.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::settings::HttpSettings;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, x-api-key";
const ANSWER_HEADERS: &str = "etag, idempotency-replayed, location, retry-after";
/// How long a browser may remember that it may, in seconds.
const MAX_AGE_S: &str = "3600";

/// Who may read an answer.
enum Readers {
    /// Pages of every origin.
    All,
    /// Pages of this origin, as its browser writes it.
    Origin(HeaderValue),
    /// Pages of some origins, and this is none of them.
    Others,
}

/// Answers preflights, and says on every answer who may read it.
pub(crate) async fn cross_origin(State(settings): State<Arc<HttpSettings>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let readers = match path {
        "/api/url" => Readers::All,
        _ if path.starts_with("/api/v1/") => named_reader(&settings, request.headers()),
        _ => return next.run(request).await,
    };
    let is_preflight = *request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (is_preflight, &readers) {
        (true, Readers::All | Readers::Origin(_)) => preflight(),
        (true, Readers::Others) | (false, _) => next.run(request).await,
    };
    let headers = response.headers_mut();
    match readers {
        Readers::All => put(headers, ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        Readers::Origin(origin) => {
            headers.append(VARY, HeaderValue::from_static("origin"));
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        Readers::Others => {
            headers.append(VARY, HeaderValue::from_static("origin"));
            return response;
        }
    }
    put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
    response
}

fn named_reader(settings: &HttpSettings, headers: &HeaderMap) -> Readers {
    let origin = headers
        .get(ORIGIN)
        .filter(|origin| settings.cors_origins.iter().any(|named| named.as_bytes() == origin.as_bytes()));
    origin.map_or(Readers::Others, |origin| Readers::Origin(origin.clone()))
}

fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    put(headers, ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    put(headers, ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    put(headers, ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    response
}

fn put(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
