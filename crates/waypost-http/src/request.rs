//! Reading requests: bodies within their limits of bytes and memory, JSON objects, forms, preconditions, query
//! parameters.

use std::convert::Infallible;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};
use waypost_api::ProblemCode;
use waypost_api::read::{QueryPairs, Unweighed, json_weight, parse_object, repeated, too_heavy};
use waypost_control::{Precondition, Problem};

use crate::answer::Refusal;
use crate::request_memory::{BodyOf, HeldMemory};
use crate::state::HttpState;

/// What a body that anyone may send, or that is one thing of the API, may weigh as a tree, in bytes.
const TREE_BYTES_MAX: usize = 16 << 20;
/// How much heavier than its tree a thing gets while it is worked on.
const WORK_PER_TREE: usize = 2;

/// A request's body, read to its end within its limit, and charged to the memory of requests as it comes.
pub(crate) async fn read_body(request: Request, body_of: BodyOf, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let held = held_memory(&request)?;
    let body = request.into_body();
    let too_large = || Refusal::new(ProblemCode::BodyTooLarge, format!("a body here has at most {bytes_max} bytes"));
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut body = Limited::new(body, bytes_max);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                // Trailers are not data, and are ignored.
                let Ok(data) = frame.into_data() else { continue };
                held.charge_body(body_of, data.len())?;
                bytes.extend_from_slice(&data);
            }
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => {
                tracing::debug!(%error, "a request's body ended early");
                return Err(Refusal::new(ProblemCode::BadRequest, "the body is incomplete"));
            }
        }
    }
    Ok(bytes)
}

/// The account of this request with the memory of requests.
pub(crate) fn held_memory(request: &Request) -> Result<HeldMemory, Refusal> {
    let held = request.extensions().get::<HeldMemory>().cloned();
    held.ok_or_else(|| Problem::internal("reading a body", &"the request has no account of memory").into())
}

/// Reads the JSON object that a request of the API carries. Without a `Content-Type` it is treated as JSON; other types
/// are refused.
pub(crate) async fn read_json(request: Request, bytes_max: usize) -> Result<Map<String, Value>, Refusal> {
    check_json_type(request.headers())?;
    let held = held_memory(&request)?;
    let body = read_body(request, BodyOf::Caller, bytes_max).await?;
    let weight = weigh(&body, TREE_BYTES_MAX)?;
    held.reserve_work(weight.saturating_mul(WORK_PER_TREE)).await?;
    Ok(parse_object(&body)?)
}

/// The JSON object in the body of an API request: [`read_json`] as an extractor. Handlers that check something before
/// they read the body call the function instead.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Map<String, Value>);

impl FromRequest<HttpState> for JsonBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, Refusal> {
        read_json(request, state.settings.body_bytes_max).await.map(Self)
    }
}

/// As [`read_json`], for a client without a key, and for any `Content-Type`.
pub(crate) async fn read_anyones_json(request: Request, bytes_max: usize) -> Result<Map<String, Value>, Refusal> {
    let body = read_body(request, BodyOf::Anyone, bytes_max).await?;
    weigh(&body, TREE_BYTES_MAX)?;
    Ok(parse_object(&body)?)
}

/// What this JSON text weighs as a tree. What is not JSON weighs nothing: the parser reports the error. An
/// object that has a name twice is refused.
fn weigh(text: &[u8], bytes_max: usize) -> Result<usize, Refusal> {
    match json_weight(text, bytes_max) {
        Ok(weight) => Ok(weight),
        Err(Unweighed::TooHeavy) => Err(too_heavy(bytes_max).into()),
        Err(Unweighed::Repeated(name)) => Err(repeated(&name).into()),
        Err(Unweighed::NotJson) => Ok(0),
    }
}

/// Refuses a body that calls itself something else than JSON, saying what is expected.
pub(crate) fn check_json_type(headers: &HeaderMap) -> Result<(), Refusal> {
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
    Err(Refusal::new(ProblemCode::UnsupportedMediaType, detail))
}

fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    ["application/json", "application/merge-patch+json"].iter().any(|json| essence.eq_ignore_ascii_case(json))
}

/// Reads `If-Match`: absent, `*`, or a list of entity tags. A weak tag matches nothing, as the standard demands, and so
/// does a tag that this API never gives.
pub(crate) fn read_precondition(headers: &HeaderMap) -> Result<Precondition, Refusal> {
    let mut lines = headers.get_all(IF_MATCH).iter().map(HeaderValue::as_bytes);
    let Some(first) = lines.next() else { return Ok(Precondition::None) };
    let list = lines.fold(first.to_vec(), |list, line| [&list, line].join(&b','));
    if list.trim_ascii() == b"*" {
        return Ok(Precondition::None);
    }
    let versions = versions_of_tags(&list).ok_or_else(|| {
        let detail = "If-Match must be the link's ETag, such as \"7\" with its quotes, a list of such, or *";
        Refusal::new(ProblemCode::BadRequest, detail)
    })?;
    Ok(Precondition::OneOf(versions))
}

/// The versions that a list of entity tags names; `None` if it is no such list, or one without a member.
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

/// The parameters of a query. What none of the takers knows is refused.
impl FromRequestParts<HttpState> for QueryPairs {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, Infallible> {
        Ok(Self::of_query(parts.uri.query().unwrap_or_default()))
    }
}

/// The id in the path of a request, percent-decoded. One that cannot be decoded names nothing.
#[derive(Debug)]
pub(crate) struct PathId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|_| Refusal::not_found("address"))
    }
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
            assert_eq!(read_precondition(&headers).ok().as_ref(), expect, "{values:?}");
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
    }
}
