//! Error responses of the API: `application/problem+json` (RFC 9457), each from the one catalogue.

mod code;

use serde::{Deserialize, Serialize};
use waypost_core::quoted::Shown;

pub use code::{ProblemCode, problems_markdown};

/// Where the catalogue is shown; a problem's `type` is its place there.
const TYPE_BASE: &str = "/docs/problems#";

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field, as a path: `rules[0].to.url`. Empty for the whole.
    pub field: String,
    /// The problem's code.
    pub code: ProblemCode,
    /// What is wrong, for people.
    pub detail: String,
}

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemDocument {
    /// Where the kind of problem is described.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Which kind of problem it is.
    pub code: ProblemCode,
    /// What happened this time.
    pub detail: String,
    /// The fields that are at fault, where some are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Why a request cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which kind of problem it is.
    pub code: ProblemCode,
    /// What is wrong, for people.
    pub detail: String,
    /// The fields that are at fault, where some are.
    pub errors: Vec<FieldError>,
}

impl FieldError {
    /// `invalid_field`: what the field must be.
    pub fn invalid(field: impl Into<String>, wanted: &str) -> Self {
        Self { field: field.into(), code: ProblemCode::InvalidField, detail: format!("must be {wanted}") }
    }

    /// `unknown_field`.
    pub fn unknown(field: impl Into<String>) -> Self {
        let detail = "there is no such field".to_owned();
        Self { field: field.into(), code: ProblemCode::UnknownField, detail }
    }

    /// The same, with a name of a field that somebody else chose cut as all such texts are.
    fn shown(self) -> Self {
        Self { field: Shown(&self.field).to_string(), ..self }
    }
}

impl ProblemDocument {
    /// A document of this kind.
    pub fn new(code: ProblemCode, detail: String, errors: Vec<FieldError>) -> Self {
        let kind = format!("{TYPE_BASE}{}", code.name());
        Self { kind, title: code.title().to_owned(), status: code.status(), code, detail, errors }
    }
}

impl Invalid {
    /// Of the request as a whole.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new() }
    }

    /// Of these fields. It has the code of the first; `errors` must not be empty.
    pub fn of_fields(errors: Vec<FieldError>) -> Self {
        let errors: Vec<FieldError> = errors.into_iter().map(FieldError::shown).collect();
        let code = errors.first().map_or(ProblemCode::InvalidField, |error| error.code);
        let detail = match errors.as_slice() {
            [one] if one.field.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.field, one.detail),
            more => format!("{} fields are not valid", more.len()),
        };
        Self { code, detail, errors }
    }

    /// The same problem, with these fields named.
    #[must_use]
    pub fn with_errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors: errors.into_iter().map(FieldError::shown).collect(), ..self }
    }
}
