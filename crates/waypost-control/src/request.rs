//! Reading requests at the rim: bodies within their limits of bytes and weight, JSON objects, forms, preconditions, query parameters.

use std::convert::Infallible;

use axum::body::HttpBody as _;
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};
use waypost_core::quoted::Quoted;

use crate::json_weight::{Unweighed, json_weight};
use crate::link_list::{ListQuery, PAGE_LINKS};
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::request_memory::{BodyOf, HeldMemory};

/// What a body that anyone may send, or that is one thing of the API, may weigh as a tree, in bytes.
const TREE_BYTES_MAX: usize = 16 << 20;
/// How much heavier than its tree a thing gets while it is worked on.
const WORK_PER_TREE: usize = 2;
/// Fields of a request that are listed as unknown. More say nothing new, and would make a large answer of a small request.
pub(crate) const UNKNOWN_LISTED_MAX: usize = 20;

/// A request's body, read to its end within its limit, and charged to the memory of requests as it comes.
pub(crate) async fn read_body(request: Request, body_of: BodyOf, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let held = held_memory(&request)?;
    let body = request.into_body();
    let too_large = || Problem::new(ProblemCode::BodyTooLarge, format!("a body here has at most {bytes_max} bytes"));
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut body = Limited::new(body, bytes_max);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                // Trailers are no data, and mean nothing here.
                let Ok(data) = frame.into_data() else { continue };
                held.charge_body(body_of, data.len())?;
                bytes.extend_from_slice(&data);
            }
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => {
                tracing::debug!(%error, "a request's body ended early");
                return Err(Problem::new(ProblemCode::BadRequest, "the body ended before its end"));
            }
        }
    }
    Ok(bytes)
}

/// The account of this request with the memory of requests.
pub(crate) fn held_memory(request: &Request) -> Result<HeldMemory, Problem> {
    let held = request.extensions().get::<HeldMemory>().cloned();
    held.ok_or_else(|| Problem::internal("reading a body", &"the request has no account of memory"))
}

/// Reads the JSON object that a request of the API carries. Without a `Content-Type` it is taken for JSON; other types are
/// refused.
pub(crate) async fn read_json(request: Request, bytes_max: usize) -> Result<Map<String, Value>, Problem> {
    check_json_type(request.headers())?;
    let held = held_memory(&request)?;
    let body = read_body(request, BodyOf::Caller, bytes_max).await?;
    let weight = weigh(&body, TREE_BYTES_MAX)?;
    held.reserve_work(weight.saturating_mul(WORK_PER_TREE)).await?;
    parse_object(&body)
}

/// As [`read_json`], of somebody who has shown no key, and whatever the body calls itself.
pub(crate) async fn read_anyones_json(request: Request, bytes_max: usize) -> Result<Map<String, Value>, Problem> {
    let body = read_body(request, BodyOf::Anyone, bytes_max).await?;
    weigh(&body, TREE_BYTES_MAX)?;
    parse_object(&body)
}

/// What this JSON text weighs as a tree. What is no JSON weighs nothing: whoever parses it says what is wrong. An object that has a
/// name twice is refused.
pub(crate) fn weigh(text: &[u8], bytes_max: usize) -> Result<usize, Problem> {
    match json_weight(text, bytes_max) {
        Ok(weight) => Ok(weight),
        Err(Unweighed::TooHeavy) => {
            let detail = format!("the body has so many parts that they take more than {} MB", bytes_max >> 20);
            Err(Problem::new(ProblemCode::BodyTooLarge, detail))
        }
        Err(Unweighed::Repeated(name)) => Err(repeated(&name)),
        Err(Unweighed::NotJson) => Ok(0),
    }
}

/// Refuses an object that has this name twice.
pub(crate) fn repeated(name: &str) -> Problem {
    let detail = format!("{} comes twice in one object: send each name once", Quoted(name));
    Problem::new(ProblemCode::BadJson, detail)
}

/// Refuses a body that calls itself something else than JSON, saying what is expected.
pub(crate) fn check_json_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(media_type) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let media_type = media_type.to_str().unwrap_or_default();
    if is_json(media_type) {
        return Ok(());
    }
    let detail = match essence(media_type).to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" | "multipart/form-data" => {
            "the body is called a form, and a JSON object is expected: send Content-Type: application/json and a body such \
             as {\"destination_url\": \"https://example.com/\"}"
        }
        _ => "the body must be JSON: send Content-Type: application/json",
    };
    Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
}

fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    ["application/json", "application/merge-patch+json"].iter().any(|json| essence.eq_ignore_ascii_case(json))
}

/// Reads a JSON object. Whether a name comes twice is found by [`weigh`].
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
    /// Reads `If-Match`: absent, `*`, or a list of entity tags. A weak tag matches nothing, as the standard demands, and so does a
    /// tag that this API never gives.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut lines = headers.get_all(IF_MATCH).iter().map(HeaderValue::as_bytes);
        let Some(first) = lines.next() else { return Ok(Self::None) };
        let list = lines.fold(first.to_vec(), |list, line| [&list, line].join(&b','));
        if list.trim_ascii() == b"*" {
            return Ok(Self::None);
        }
        let versions = versions_of_tags(&list).ok_or_else(|| {
            let detail = "If-Match must be the link's ETag, such as \"7\" with its quotes, a list of such, or *";
            Problem::new(ProblemCode::BadRequest, detail)
        })?;
        Ok(Self::OneOf(versions))
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

/// The versions that a list of entity tags names; `None` where it is no such list, or one without a member.
fn versions_of_tags(list: &[u8]) -> Option<Vec<u64>> {
    let mut versions = Vec::new();
    let mut rest = list.trim_ascii();
    let mut is_empty = true;
    while !rest.is_empty() {
        // A member may be missing: the standard has recipients take that.
        if let Some(next) = rest.strip_prefix(b",") {
            rest = next.trim_ascii_start();
            continue;
        }
        let (is_weak, tag) = rest.strip_prefix(b"W/").map_or((false, rest), |tag| (true, tag));
        let tag = tag.strip_prefix(b"\"")?;
        let (tag, next) = tag.split_at(tag.iter().position(|byte| *byte == b'"')?);
        if !tag.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)) {
            return None;
        }
        versions.extend(version_of_tag(tag).filter(|_| !is_weak));
        is_empty = false;
        rest = next[1..].trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
    (!is_empty).then_some(versions)
}

/// The version of a tag, written as this API writes it: neither `+1` nor `01`.
fn version_of_tag(tag: &[u8]) -> Option<u64> {
    let text = str::from_utf8(tag).ok()?;
    text.parse::<u64>().ok().filter(|version| version.to_string() == text)
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
    bad_parameter(&format!("there is no query parameter {} here", waypost_core::Quoted(name)))
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
    errors.extend(object.keys().take(UNKNOWN_LISTED_MAX).map(unknown));
}

pub(crate) fn invalid(field: impl Into<String>, wanted: &str) -> FieldError {
    FieldError { field: field.into(), code: ProblemCode::InvalidField, detail: format!("must be {wanted}") }
}

pub(crate) fn unknown(field: impl Into<String>) -> FieldError {
    FieldError { field: field.into(), code: ProblemCode::UnknownField, detail: "there is no such field".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preconditions() {
        #[track_caller]
        fn check(values: &[&str], expect: Option<&Precondition>) {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
            }
            assert_eq!(Precondition::read(&headers).ok().as_ref(), expect, "{values:?}");
        }
        check(&[], Some(&Precondition::None));
        check(&["*"], Some(&Precondition::None));
        check(&["\"7\""], Some(&Precondition::OneOf(vec![7])));
        check(&["\"7\", \"8\"", "\"9\""], Some(&Precondition::OneOf(vec![7, 8, 9])));
        check(&["W/\"7\""], Some(&Precondition::OneOf(vec![])));
        check(&["\"abc\""], Some(&Precondition::OneOf(vec![])));
        for none_of_ours in
            ["\"01\"", "\"+1\"", "\"-1\"", "\" 1\"", "\"\"", "\"1,7\"", "\"é\"", "\"99999999999999999999\""]
        {
            let expect = (none_of_ours != "\" 1\"").then_some(Precondition::OneOf(vec![]));
            check(&[none_of_ours], expect.as_ref());
        }
        check(&["\"x\", \"7\""], Some(&Precondition::OneOf(vec![7])));
        check(&["\"7\",W/\"8\""], Some(&Precondition::OneOf(vec![7])));
        check(&[", \"7\" ,, \"8\","], Some(&Precondition::OneOf(vec![7, 8])));
        for bad in ["7", "", ",", "\"7", "7\"", "w/\"7\"", "\"7\" \"8\"", "\"7\"8", "\"7\", *", "\"7\", 8", "**"] {
            check(&[bad], None);
        }
        check(&["*", "\"7\""], None);
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
