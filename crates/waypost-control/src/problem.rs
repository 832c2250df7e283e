//! Why a use case refuses or fails. What the client reads (`detail`, `errors`) is separate from the cause, which only
//! the log gets.

use waypost_api::{FieldError, Invalid, ProblemCode, ProblemDocument};
use waypost_clicks::ClicksError;
use waypost_jobs::Chain;
use waypost_store::{SqlError, StoreError};

/// Why something was not done, for the one who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    invalid: Invalid,
    retry_after_s: Option<u32>,
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self { invalid, retry_after_s: None }
    }
}

impl Problem {
    /// A problem of this kind; `detail` says what happened this time.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Invalid::new(code, detail).into()
    }

    /// A problem with fields. It has the code of the first; `errors` must not be empty.
    pub fn of_fields(errors: Vec<FieldError>) -> Self {
        Invalid::of_fields(errors).into()
    }

    /// The same problem, with these fields named.
    #[must_use]
    pub fn with_errors(self, errors: Vec<FieldError>) -> Self {
        Self { invalid: self.invalid.with_errors(errors), ..self }
    }

    /// Tells the caller to come back after this many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// 503 where the database could not be reached any longer after something may have been changed.
    fn unavailable_after(what: &str) -> Self {
        let detail = format!(
            "the connection to the database was lost, and {what}: check first, or send a POST again with the same Idempotency-Key"
        );
        Self::new(ProblemCode::Unavailable, detail).retry_after(1)
    }

    /// This problem where a part of what was asked for is committed already.
    pub(crate) fn after_change(self) -> Self {
        match self.code() {
            ProblemCode::Unavailable => Self::unavailable_after("the request was carried out at least in part"),
            _ => self,
        }
    }

    /// 429: come back after this many seconds.
    pub fn rate_limited(seconds: u32) -> Self {
        let detail = format!("too many requests; try again in {seconds} s");
        Self::new(ProblemCode::RateLimited, detail).retry_after(seconds)
    }

    /// 404 for a thing of the API.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("there is no such {what}"))
    }

    /// 500: the cause goes to the log.
    pub fn internal(doing: &'static str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "{doing} failed");
        Self::new(ProblemCode::Internal, "the request failed because of an internal error")
    }

    /// Which problem it is.
    pub const fn code(&self) -> ProblemCode {
        self.invalid.code
    }

    /// What happened this time.
    pub fn detail(&self) -> &str {
        &self.invalid.detail
    }

    /// When to come back, in seconds.
    pub const fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }

    /// As the API answers it.
    pub fn document(&self) -> ProblemDocument {
        let Invalid { code, detail, errors } = self.invalid.clone();
        ProblemDocument::new(code, detail, errors)
    }
}

/// What a failure of the store means to the caller. What is nobody's mistake but ours is logged here, with its chain.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Sql(error) => error.into(),
            StoreError::NotFound { what } => Self::not_found(what),
            StoreError::VersionConflict { current } => {
                Self::new(ProblemCode::StaleVersion, format!("the link is now at version {current}"))
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
            StoreError::KeyIdTaken | StoreError::OutboxGap { .. } => {
                Self::internal("a request to the database", &Chain(&error))
            }
        }
    }
}

/// What a failure of the clicks database means to the caller.
impl From<ClicksError> for Problem {
    fn from(error: ClicksError) -> Self {
        match &error {
            ClicksError::Sql(error) => error.into(),
            ClicksError::TooMany { .. } => Self::new(ProblemCode::InvalidField, error.to_string()),
            ClicksError::CursorInvalid => Self::new(ProblemCode::BadRequest, error.to_string()),
            ClicksError::ClicksMoved { .. } => Self::internal("a request to the database", &Chain(&error)),
        }
    }
}

/// What a failure of a database means to the caller.
impl From<&SqlError> for Problem {
    fn from(error: &SqlError) -> Self {
        match error {
            SqlError::Unavailable { .. } | SqlError::Conflict { .. } => {
                tracing::error!(error = %Chain(error), "the database is not available");
                Self::new(ProblemCode::Unavailable, "the database cannot be reached just now; nothing was changed")
                    .retry_after(1)
            }
            SqlError::Withheld { .. } => {
                tracing::error!(error = %Chain(error), "the database needs a person: it refuses what the request takes");
                let detail = "the database refuses what the request takes, until its administrator changes that; nothing was changed";
                Self::new(ProblemCode::Unavailable, detail).retry_after(30)
            }
            SqlError::CommitUnknown { .. } => {
                tracing::error!(error = %Chain(error), "a change may have been made or not");
                Self::unavailable_after("it is not known whether the change was made")
            }
            SqlError::Address { .. }
            | SqlError::Refused { .. }
            | SqlError::NewerSchema { .. }
            | SqlError::Migration { .. }
            | SqlError::Database { .. }
            | SqlError::Corrupt { .. } => Self::internal("a request to the database", &Chain(error)),
        }
    }
}
