//! Reading a signed request: its size, its signature headers, its timestamp, its body, and then verifying the
//! signature.
//!
//! Every error of a signature gets the same response, which repeats nothing of the request and does not say which part
//! is wrong.

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use waypost_api::ProblemCode;
use waypost_control::Problem;
use waypost_core::Timestamp;
use waypost_core::webhook::SignedMessage;

use crate::answer::Refusal;
use crate::request::{is_json, read_body};
use crate::request_memory::BodyOf;
use crate::state::HttpState;

/// How far a timestamp may be from the clock here, in seconds, either way.
const AGE_S_MAX: u64 = 300;
/// The most characters of a message's id.
const ID_CHARS_MAX: usize = 256;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// The signature headers of a request.
struct SignedHead {
    id: String,
    timestamp: String,
    signatures: String,
}

/// The body of a request that is signed by somebody who may.
///
/// # Errors
/// The problem to answer; nothing of the body was looked into then.
pub(crate) async fn read_signed(state: &HttpState, request: Request, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let keys = state.app.webhook_keys();
    if keys.is_empty() {
        let detail = "no secret for webhooks is set here: nothing can be taken";
        return Err(Problem::new(ProblemCode::WebhooksOff, detail).retry_after(60).into());
    }
    if request.body().size_hint().lower() > bytes_max as u64 {
        let detail = format!("a body here has at most {bytes_max} bytes");
        return Err(Refusal::new(ProblemCode::BodyTooLarge, detail));
    }
    let head = SignedHead::read(request.headers()).ok_or_else(|| not_signed("a header is missing or malformed"))?;
    if !head.is_current(waypost_jobs::now()) {
        return Err(not_signed("the timestamp is too far from now"));
    }
    check_media(request.headers())?;
    let slow = |_| Refusal::new(ProblemCode::RequestTimeout, "the body did not come within its time");
    let body = tokio::time::timeout(state.settings.signed_body_wait, read_body(request, BodyOf::Anyone, bytes_max))
        .await
        .map_err(slow)??;
    // A megabyte under several keys takes milliseconds: not on a thread that others wait for.
    let keys = keys.clone();
    let check = move || keys.is_signed(head.message(&body), &head.signatures).then_some(body);
    let checked = tokio::task::spawn_blocking(check).await;
    let checked = checked.map_err(|error| Problem::internal("checking a signature", &error))?;
    checked.ok_or_else(|| not_signed("no signature is by a secret of this instance"))
}

impl SignedHead {
    /// `None` if a header is missing, stands twice, or has another form than it must have.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let one = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let text = values.next().and_then(|value| HeaderValue::to_str(value).ok());
            text.filter(|_| values.next().is_none()).map(str::to_owned)
        };
        let (id, timestamp) = (one("webhook-id")?, one("webhook-timestamp")?);
        // The signature covers `id.timestamp.body`: with a dot in the id, other parts could give the same string.
        let is_id = (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
        let is_timestamp = (1..=15).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        (is_id && is_timestamp).then_some(Self { id, timestamp, signatures: one("webhook-signature")? })
    }

    fn is_current(&self, now: Timestamp) -> bool {
        let now_s = now.as_micros().div_euclid(MICROS_PER_SECOND);
        self.timestamp.parse().is_ok_and(|sent_s: i64| now_s.abs_diff(sent_s) <= AGE_S_MAX)
    }

    fn message<'a>(&'a self, body: &'a [u8]) -> SignedMessage<'a> {
        SignedMessage { id: &self.id, timestamp: &self.timestamp, body }
    }
}

/// 401. The reason only goes to the debug log.
fn not_signed(reason: &str) -> Refusal {
    tracing::debug!(reason, "a webhook was refused");
    let detail = format!(
        "the delivery is not signed with a secret of this instance, or its timestamp is more than {AGE_S_MAX} s away"
    );
    Refusal::new(ProblemCode::SignatureInvalid, detail)
}

/// Only plain JSON: what is unpacked could be any size.
fn check_media(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").trim());
    let unsupported = |detail| Err(Refusal::new(ProblemCode::UnsupportedMediaType, detail));
    if text(CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return unsupported("the body must come as it is, without Content-Encoding");
    }
    if !is_json(text(CONTENT_TYPE).unwrap_or_default()) {
        return unsupported("the body must be JSON: send Content-Type: application/json");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_768_473_000_900_000);

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], expect: Option<bool>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        assert_eq!(SignedHead::read(&map).map(|head| head.is_current(NOW)), expect, "{headers:?}");
    }

    #[test]
    fn all_three_headers_once_and_now() {
        let (id, signature) = (("webhook-id", "msg_1"), ("webhook-signature", "v1,x"));
        let at = |text: &'static str| ("webhook-timestamp", text);
        for (timestamp, expect) in [
            ("1768473000", Some(true)),
            ("1768472700", Some(true)),
            ("1768472699", Some(false)),
            ("1768473300", Some(true)),
            ("1768473301", Some(false)),
            ("0", Some(false)),
            ("999999999999999", Some(false)),
            ("9999999999999999", None),
            ("", None),
            ("-1768473000", None),
            ("+1768473000", None),
            ("1768473000.5", None),
            ("0x6968c8e8", None),
            (" ", None),
        ] {
            check(&[id, at(timestamp), signature], expect);
        }
        let now = at("1768473000");
        check(&[id, now], None);
        check(&[id, signature], None);
        check(&[now, signature], None);
        check(&[id, id, now, signature], None);
        check(&[id, now, now, signature], None);
        check(&[id, now, signature, signature], None);
        let long = "x".repeat(ID_CHARS_MAX + 1);
        for bad in ["", "a.b", "a b", "é", &long] {
            check(&[("webhook-id", bad), now, signature], None);
        }
    }

    #[test]
    fn plain_json_only() {
        #[track_caller]
        fn check(headers: &[(&'static str, &'static str)], expect: bool) {
            let headers = headers.iter().map(|(name, value)| {
                (name.parse::<axum::http::HeaderName>().unwrap(), HeaderValue::from_static(value))
            });
            let headers: HeaderMap = headers.collect();
            assert_eq!(check_media(&headers).is_ok(), expect, "{headers:?}");
        }
        let json = ("content-type", "application/json; charset=utf-8");
        check(&[json], true);
        check(&[json, ("content-encoding", "Identity")], true);
        check(&[json, ("content-encoding", "gzip")], false);
        check(&[json, ("content-encoding", "identity, gzip")], false);
        check(&[("content-type", "text/plain")], false);
        check(&[], false);
    }
}
