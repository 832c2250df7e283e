//! Reading requests at the rim: bodies within their limit, JSON objects, forms, preconditions, query parameters.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};

use crate::link_list::{ListQuery, PAGE_LINKS};
use crate::problem::{FieldError, Problem, ProblemCode};

/// The largest body that is read of a request, in bytes; what comes after is not read.
pub(crate) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ProblemCode::BodyTooLarge, format!("a body here has at most {bytes_max} bytes"));
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => {
            tracing::debug!(%error, "a request's body ended early");
            Err(Problem::new(ProblemCode::BadRequest, "the body ended before its end"))
        }
    }
}

/// Reads the JSON object that a request of the API carries, and refuses bodies of other types.
pub(crate) async fn read_json(request: Request, bytes_max: usize) -> Result<Map<String, Value>, Problem> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(media_type) {
        let detail = "the body must be JSON: send Content-Type: application/json";
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    }
    parse_object(&read_body(request.into_body(), bytes_max).await?)
}

pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    ["application/json", "application/merge-patch+json"].iter().any(|json| essence.eq_ignore_ascii_case(json))
}

/// Reads a JSON object. Of a name that comes twice the last counts.
pub(crate) fn parse_object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let bad = |detail: String| Problem::new(ProblemCode::BadJson, detail);
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad("the body must be a JSON object".to_owned())),
        Err(_) if body.trim_ascii().is_empty() => Err(bad("the body is empty; it must be a JSON object".to_owned())),
        Err(error) => Err(bad(format!("the body is not JSON: {error}"))),
    }
}

/// What `If-Match` demands of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Any version will do.
    None,
    /// One of these.
    OneOf(Vec<u64>),
}

impl Precondition {
    /// Reads `If-Match`: absent, `*`, or entity tags as this API gives them. A weak tag matches nothing, as the
    /// standard demands.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut versions = Vec::new();
        let mut is_present = false;
        for value in headers.get_all(IF_MATCH) {
            is_present = true;
            let text = value.to_str().unwrap_or("?");
            if text.trim() == "*" {
                return Ok(Self::None);
            }
            for tag in text.split(',').map(str::trim) {
                let version =
                    tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                let Some(version) = version else {
                    let detail = "If-Match must be the link's ETag, such as \"7\" with its quotes, or *";
                    return Err(Problem::new(ProblemCode::BadRequest, detail));
                };
                // A tag that is no version of ours is a tag that does not match.
                if let (false, Ok(version)) = (tag.starts_with("W/"), version.parse()) {
                    versions.push(version);
                }
            }
        }
        Ok(if is_present { Self::OneOf(versions) } else { Self::None })
    }

    pub(crate) fn check(&self, version: u64) -> Result<(), Problem> {
        match self {
            Self::OneOf(versions) if !versions.contains(&version) => {
                Err(Problem::new(ProblemCode::StaleVersion, format!("the link is at version {version} by now")))
            }
            Self::OneOf(_) | Self::None => Ok(()),
        }
    }
}

/// The `Idempotency-Key` of a request: 1 to 255 visible ASCII characters.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(key.to_owned()))
        }
        Ok(_) | Err(_) => {
            let detail = "Idempotency-Key must have 1 to 255 visible ASCII characters";
            Err(Problem::new(ProblemCode::BadRequest, detail))
        }
    }
}

/// A field of an urlencoded form. Bytes that are no UTF-8 read as replacement characters, which match nothing.
pub(crate) fn form_field(body: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(body).find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
}

/// The parameters of a query, in their order. What none of the takers knows is refused.
#[derive(Debug)]
pub(crate) struct QueryPairs(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for QueryPairs {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of_query(parts.uri.query().unwrap_or_default()))
    }
}

/// The id in the path of a request, percent-decoded. One that cannot be decoded names nothing.
#[derive(Debug)]
pub(crate) struct PathId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|_| Problem::not_found("address"))
    }
}

impl QueryPairs {
    /// The parameters of this query.
    pub(crate) fn of_query(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// All of them.
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    pub(crate) fn into_list_query(self) -> Result<ListQuery, Problem> {
        let mut query = ListQuery::default();
        for (name, value) in self.0 {
            match name.as_str() {
                "limit" => query.limit = Some(limit(&value)?),
                "cursor" => query.cursor = Some(value),
                "domain" => query.domain = Some(value),
                "slug" => query.slug = Some(plain(&name, value)?),
                "slug_prefix" => query.slug_prefix = Some(plain(&name, value)?),
                _ => return Err(unknown_parameter(&name)),
            }
        }
        Ok(query)
    }

    /// `before` and `limit`.
    pub(crate) fn into_versions_query(self) -> Result<(Option<u64>, u32), Problem> {
        let (mut before, mut count) = (None, PAGE_LINKS);
        for (name, value) in self.0 {
            match name.as_str() {
                "limit" => count = limit(&value)?,
                "before" => {
                    let version = value.parse();
                    before = Some(version.map_err(|_| bad_parameter("before must be a version"))?);
                }
                _ => return Err(unknown_parameter(&name)),
            }
        }
        Ok((before, count))
    }
}

fn limit(text: &str) -> Result<u32, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=waypost_store::PAGE_LINKS_MAX).contains(limit));
    limit.ok_or_else(|| bad_parameter("limit must be a number from 1 to 1000"))
}

fn plain(name: &str, text: String) -> Result<String, Problem> {
    if text.contains('\0') {
        return Err(bad_parameter(&format!("{name} cannot contain NUL")));
    }
    Ok(text)
}

fn bad_parameter(detail: &str) -> Problem {
    Problem::new(ProblemCode::BadRequest, detail)
}

fn unknown_parameter(name: &str) -> Problem {
    let shown: String = name.chars().take(50).collect();
    bad_parameter(&format!("there is no query parameter {shown:?} here"))
}

/// Takes a text field out of an object. `null` and absence are `None`; NUL is refused, which no database takes.
pub(crate) fn take_text(object: &mut Map<String, Value>, field: &str, errors: &mut Vec<FieldError>) -> Option<String> {
    match object.remove(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if !text.contains('\0') => Some(text),
        Some(Value::String(_)) => {
            errors.push(invalid(field, "a text without NUL characters"));
            None
        }
        Some(_) => {
            errors.push(invalid(field, "a text or null"));
            None
        }
    }
}

/// Refuses what is left of an object once all known fields were taken out of it.
pub(crate) fn refuse_rest(object: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    errors.extend(object.keys().map(unknown));
}

pub(crate) fn invalid(field: impl Into<String>, wanted: &str) -> FieldError {
    FieldError { field: field.into(), code: ProblemCode::InvalidField, detail: format!("must be {wanted}") }
}

pub(crate) fn unknown(field: impl Into<String>) -> FieldError {
    FieldError { field: field.into(), code: ProblemCode::UnknownField, detail: "there is no such field".to_owned() }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn preconditions() {
        #[track_caller]
        fn check(values: &[&str], expect: Option<&Precondition>) {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, HeaderValue::from_str(value).expect("a header value"));
            }
            assert_eq!(Precondition::read(&headers).ok().as_ref(), expect, "{values:?}");
        }
        check(&[], Some(&Precondition::None));
        check(&["*"], Some(&Precondition::None));
        check(&["\"7\""], Some(&Precondition::OneOf(vec![7])));
        check(&["\"7\", \"8\"", "\"9\""], Some(&Precondition::OneOf(vec![7, 8, 9])));
        check(&["W/\"7\""], Some(&Precondition::OneOf(vec![])));
        check(&["\"abc\""], Some(&Precondition::OneOf(vec![])));
        check(&["7"], None);
        check(&[""], None);
        assert!(Precondition::OneOf(vec![7]).check(8).is_err());
        assert!(Precondition::OneOf(vec![7]).check(7).is_ok());
    }

    #[test]
    fn objects_only() {
        assert!(parse_object(br#"{"a":1}"#).is_ok());
        for bad in [&b""[..], b" ", b"[]", b"null", b"{", b"{\"a\":\xff}", b"\"x\"", b"{}{}"] {
            assert!(parse_object(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(parse_object("[".repeat(100_000).as_bytes()).is_err());
    }
}
