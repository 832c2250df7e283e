//! Errors as HTTP answers them: `application/problem+json` (RFC 9457), each from the one catalogue.
//!
//! What the caller reads (`detail`, `errors`) is kept apart from the cause, which only ever reaches the log.

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use waypost_core::quoted::Shown;
use waypost_store::StoreError;

pub use crate::problem_catalogue::ProblemCode;

/// Where the catalogue is shown; a problem's `type` is its place there.
const TYPE_BASE: &str = "/docs/problems#";

/// An error as it is answered.
#[derive(Clone, Debug)]
pub struct Problem {
    code: ProblemCode,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u32>,
    allow: Option<&'static str>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field, as a path: `rules[0].to.url`. Empty for the whole.
    pub field: String,
    /// The problem's code.
    pub code: ProblemCode,
    /// What is wrong, for people.
    pub detail: String,
}

/// A problem document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: ProblemCode,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl FieldError {
    /// The same, with a name of a field that somebody else chose cut as all such texts are.
    fn shown(self) -> Self {
        Self { field: Shown(&self.field).to_string(), ..self }
    }
}

impl Problem {
    /// A problem of this kind; `detail` says what happened this time.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after_s: None, allow: None }
    }

    /// A problem with fields. It has the code of the first; `errors` must not be empty.
    pub(crate) fn of_fields(errors: Vec<FieldError>) -> Self {
        let errors: Vec<FieldError> = errors.into_iter().map(FieldError::shown).collect();
        let code = errors.first().map_or(ProblemCode::InvalidField, |error| error.code);
        let detail = match errors.as_slice() {
            [one] if one.field.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.field, one.detail),
            more => format!("{} fields cannot be taken as they are", more.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }

    /// The same problem, with these fields named.
    pub(crate) fn with_errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors: errors.into_iter().map(FieldError::shown).collect(), ..self }
    }

    /// Tells the caller to come back after this many seconds.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// 503 where the database could not be reached any longer after something may have been changed.
    fn unavailable_after(what: &str) -> Self {
        let detail = format!(
            "the database was lost, and {what}: look first, or send a POST again with the same Idempotency-Key"
        );
        Self::new(ProblemCode::Unavailable, detail).retry_after(1)
    }

    /// This problem where a part of what was asked for is committed already.
    pub(crate) fn after_change(self) -> Self {
        match self.code {
            ProblemCode::Unavailable => Self::unavailable_after("the request was carried out at least in part"),
            _ => self,
        }
    }

    /// 429: come back after this many seconds.
    pub(crate) fn rate_limited(seconds: u32) -> Self {
        let detail = format!("too many requests; try again in {seconds} s");
        Self::new(ProblemCode::RateLimited, detail).retry_after(seconds)
    }

    /// 405: only these methods.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this address takes {allow}");
        Self { allow: Some(allow), ..Self::new(ProblemCode::MethodNotAllowed, detail) }
    }

    /// 404 for a thing of the API.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("there is no such {what}"))
    }

    /// 500: the cause goes to the log.
    pub(crate) fn internal(doing: &'static str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "{doing} failed");
        Self::new(ProblemCode::Internal, "the request could not be answered; the fault is on this side")
    }

    /// Which problem it is.
    pub const fn code(&self) -> ProblemCode {
        self.code
    }

    /// What happened this time.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).expect("the catalogue holds HTTP statuses")
    }

    /// When to come back, in seconds.
    pub(crate) const fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }

    /// The problem as a JSON value, as it stands in the results of a bulk request.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.document()).unwrap_or_default()
    }

    fn document(&self) -> Document<'_> {
        Document {
            kind: format!("{TYPE_BASE}{}", self.code.name()),
            title: self.code.title(),
            status: self.code.status(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.code == ProblemCode::SignatureInvalid {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("StandardWebhooks"));
        }
        if self.code == ProblemCode::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"waypost\""));
        }
        response
    }
}

/// What a failure of the store means to the caller. What is nobody's mistake but ours is logged here, with its chain.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { what } => Self::not_found(what),
            StoreError::VersionConflict { current } => {
                Self::new(ProblemCode::StaleVersion, format!("the link is at version {current} by now"))
            }
            StoreError::SlugTaken { .. } => Self::new(ProblemCode::SlugTaken, error.to_string()),
            StoreError::SlugTooLong => Self::new(ProblemCode::SlugInvalid, error.to_string()),
            StoreError::DomainTaken { .. } | StoreError::PublicUrlTaken { .. } => {
                Self::new(ProblemCode::DomainTaken, error.to_string())
            }
            StoreError::DomainInUse { .. } | StoreError::DomainHasLinks { .. } => {
                Self::new(ProblemCode::DomainInUse, error.to_string())
            }
            StoreError::DomainIsDefault { .. } => Self::new(ProblemCode::DomainIsDefault, error.to_string()),
            StoreError::EmailTaken { .. } => Self::new(ProblemCode::InvalidField, error.to_string()),
            StoreError::TooMany { .. } => Self::new(ProblemCode::InvalidField, error.to_string()),
            StoreError::CursorInvalid => Self::new(ProblemCode::BadRequest, error.to_string()),
            StoreError::Unavailable { .. } | StoreError::Conflict { .. } => {
                tracing::error!(error = %Chain(&error), "the database is not available");
                Self::new(ProblemCode::Unavailable, "the database cannot be reached just now; nothing was changed")
                    .retry_after(1)
            }
            StoreError::CommitUnknown { .. } => {
                tracing::error!(error = %Chain(&error), "a change may have been made or not");
                Self::unavailable_after("it is not known whether the change was made")
            }
            StoreError::Address { .. }
            | StoreError::Refused { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Migration { .. }
            | StoreError::Database { .. }
            | StoreError::Corrupt { .. }
            | StoreError::KeyIdTaken
            | StoreError::OutboxGap { .. }
            | StoreError::ClicksMoved { .. } => Self::internal("a request to the database", &Chain(&error)),
        }
    }
}

/// An error with all its causes, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
