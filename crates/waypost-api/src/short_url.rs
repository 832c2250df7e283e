//! Short URLs that anyone may create, without an API key.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::{FieldError, Invalid, ProblemCode};

/// What `POST /api/url` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShortUrl {
    /// The slug.
    pub url_key: String,
    /// Where visitors find it.
    pub short_url: String,
    /// As it was sent.
    pub original_url: String,
}

/// Takes `originalUrl` out of a body; what else is in it means nothing here.
///
/// # Errors
/// `url_invalid`, where it is missing or no text.
pub fn original_url(mut object: Map<String, Value>) -> Result<String, Invalid> {
    match object.remove("originalUrl") {
        Some(Value::String(url)) => Ok(url),
        Some(_) => Err(bad_url(ProblemCode::InvalidField, "originalUrl must be a string".to_owned())),
        None => Err(bad_url(ProblemCode::InvalidField, "originalUrl is missing".to_owned())),
    }
}

/// `url_invalid`, for this reason.
pub fn bad_url(code: ProblemCode, detail: String) -> Invalid {
    let error = FieldError { field: "originalUrl".to_owned(), code, detail: detail.clone() };
    Invalid::new(ProblemCode::UrlInvalid, detail).with_errors(vec![error])
}
