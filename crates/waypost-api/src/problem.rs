//! Error responses of the API: `application/problem+json` (RFC 9457), each from the one catalogue.

mod code;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use waypost_core::quoted::Shown;

pub use code::{ProblemCode, problems_markdown};

/// Where the catalogue is shown; a problem's `type` is its place there.
const TYPE_BASE: &str = "/docs/problems#";

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as a path: `rules[0].to.url`. Empty for the whole.
    pub field: String,
    /// The problem's code.
    pub code: ProblemCode,
    /// What is wrong, for people.
    pub detail: String,
}

/// A problem document. Whatever is missing is empty: some problems are answered by what stands before a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProblemDocument {
    /// Where the kind of problem is described.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Which kind of problem it is.
    pub code: CodeName,
    /// What happened this time.
    pub detail: String,
    /// The fields that are at fault, where some are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// What is wrong with one field, in a problem document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct FieldProblem {
    /// The field, as a path: `rules[0].to.url`. Empty for the whole.
    pub field: String,
    /// The problem's code.
    pub code: CodeName,
    /// What is wrong, for people.
    pub detail: String,
}

/// The name of a problem's code as it is written and read. A newer server may write one that is not known here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct CodeName(Cow<'static, str>);

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
        let errors = errors.into_iter().map(FieldProblem::from).collect();
        Self { kind, title: code.title().to_owned(), status: code.status(), code: code.into(), detail, errors }
    }
}

impl From<FieldError> for FieldProblem {
    fn from(error: FieldError) -> Self {
        Self { field: error.field, code: error.code.into(), detail: error.detail }
    }
}

impl From<ProblemCode> for CodeName {
    fn from(code: ProblemCode) -> Self {
        Self(Cow::Borrowed(code.name()))
    }
}

impl CodeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The code of the catalogue, where it is one that is known here.
    pub fn known(&self) -> Option<ProblemCode> {
        ProblemCode::ALL.iter().find(|code| code.name() == self.0).copied()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_other_versions_are_read() {
        let read = |text: &str| serde_json::from_str::<ProblemDocument>(text).expect("a problem document");
        let newer =
            read(r#"{"title":"T","code":"of_tomorrow","hint":1,"errors":[{"field":"a","code":"odd","detail":"d"}]}"#);
        assert_eq!((newer.code.as_str(), newer.code.known(), newer.status), ("of_tomorrow", None, 0));
        assert_eq!((newer.errors[0].field.as_str(), newer.errors[0].code.as_str()), ("a", "odd"));
        let own = ProblemDocument::new(ProblemCode::SlugTaken, "d".to_owned(), vec![FieldError::unknown("x")]);
        assert_eq!(read(&serde_json::to_string(&own).expect("is JSON")), own);
        assert_eq!(own.code.known(), Some(ProblemCode::SlugTaken));
    }
}
