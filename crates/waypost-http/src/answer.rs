//! Responses of handlers: JSON, other bodies, and problems as `application/problem+json` (RFC 9457).

use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use waypost_api::{Invalid, ProblemCode};
use waypost_control::{Done, Problem};

/// Says that an answer is a remembered one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A problem on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// The methods that the address takes, where the problem is another one.
    allow: Option<&'static str>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, allow: None }
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Problem::from(invalid).into()
    }
}

impl Refusal {
    /// A problem of this kind; `detail` says what happened this time.
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// 404 for a thing of the API.
    pub(crate) fn not_found(what: &str) -> Self {
        Problem::not_found(what).into()
    }

    /// 405: only these methods.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Problem::new(ProblemCode::MethodNotAllowed, format!("this path allows {allow}"));
        Self { problem, allow: Some(allow) }
    }
}

/// The HTTP status of a problem.
pub(crate) fn status_of(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.code().status()).expect("the catalogue holds HTTP statuses")
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = &self.problem;
        let body = serde_json::to_vec(&problem.document()).unwrap_or_default();
        let mut response = (status_of(problem), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = problem.retry_after_s() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        let challenge = match problem.code() {
            ProblemCode::SignatureInvalid => Some("StandardWebhooks"),
            ProblemCode::Unauthorized => Some("Bearer realm=\"waypost\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => typed("application/json", (status, body)),
        Err(error) => Refusal::from(Problem::internal("writing an answer", &error)).into_response(),
    }
}

/// What a request is answered that may have come before.
pub(crate) fn json_once<T: Serialize>(status: StatusCode, done: &Done<T>) -> Response {
    let mut response = json(status, &done.value);
    if done.is_replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// A body of this type.
pub(crate) fn typed(media_type: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
