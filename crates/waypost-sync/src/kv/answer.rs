//! What a response of Cloudflare's REST API means. Pure: from status, headers and body to success or a kind of failure.
//!
//! What is done about a failure is decided in `outbox/policy.rs`.

use jiff::fmt::rfc2822;
use serde::Deserialize;
use waypost_core::Timestamp;

/// What a message that is shown may have, in characters.
const MESSAGE_CHARS_MAX: usize = 300;
/// The free plan's writes of the day are used up.
const QUOTA: u64 = 10_048;
/// There is no such key.
const KEY_MISSING: u64 = 10_009;
/// Codes for which a person must change the configuration: authentication (6003, 9109, 10000), path of the account
/// (7000, 7003), namespace (10011, 10012, 10013, 10018), permission (10037).
const CONFIGURATION: [u64; 10] = [6_003, 7_000, 7_003, 9_109, 10_000, 10_011, 10_012, 10_013, 10_018, 10_037];

/// Why a call did not do what it should. The messages are fit to be shown: they hold neither the token nor the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvFault {
    /// What was sent is refused, and will be again.
    #[error("Cloudflare refused it: {message}")]
    Refused {
        /// What it says.
        message: String,
    },
    /// Too much was sent at once.
    #[error("Cloudflare finds it too large: {message}")]
    TooLarge {
        /// What it says.
        message: String,
    },
    /// There is no such key.
    #[error("Cloudflare has no such key: {message}")]
    Missing {
        /// What it says.
        message: String,
    },
    /// The token, the account or the namespace is wrong: a person must act.
    #[error("Cloudflare refuses the token, the account or the namespace: {message}")]
    Configuration {
        /// What it says.
        message: String,
    },
    /// There were too many calls.
    #[error("Cloudflare asks for fewer calls: {message}")]
    RateLimited {
        /// What it says.
        message: String,
        /// When to call again, where it says so.
        retry_after: Option<RetryAfter>,
    },
    /// The day's writes are used up.
    #[error("the day's writes at Cloudflare are used up: {message}")]
    Quota {
        /// What it says.
        message: String,
    },
    /// It cannot be reached, fails, or speaks something else. Whether what was sent took effect is unknown.
    #[error("Cloudflare could not be reached or failed: {message}")]
    Unavailable {
        /// What was met.
        message: String,
    },
}

/// When to call again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this many seconds.
    Seconds(u64),
    /// At this instant.
    At(Timestamp),
}

/// An answer, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawAnswer {
    pub(super) status: u16,
    /// The header's value.
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What the body of every answer looks like.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<R> {
    success: bool,
    #[serde(default = "Vec::new")]
    errors: Vec<ErrorEntry>,
    #[serde(default = "none")]
    pub(super) result: Option<R>,
    #[serde(default)]
    pub(super) result_info: Option<ResultInfo>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ResultInfo {
    #[serde(default)]
    pub(super) cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    message: String,
}

/// The parts of the body that every answer has, whatever its result looks like.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    success: bool,
    #[serde(default)]
    errors: Option<Vec<ErrorEntry>>,
}

const fn none<R>() -> Option<R> {
    None
}

/// What the answer means.
pub(super) fn read_answer<R: for<'de> Deserialize<'de>>(answer: &RawAnswer) -> Result<Envelope<R>, KvFault> {
    let is_success = (200..300).contains(&answer.status);
    if is_success && let Ok(envelope) = serde_json::from_slice::<Envelope<R>>(&answer.body) {
        if envelope.success {
            return Ok(envelope);
        }
        return Err(fault_of(answer, &envelope.errors, true));
    }
    match serde_json::from_slice::<Head>(&answer.body) {
        Ok(head) if !(is_success && head.success) => Err(fault_of(answer, &head.errors.unwrap_or_default(), true)),
        Ok(_) | Err(_) => Err(fault_of(answer, &[], false)),
    }
}

fn fault_of(answer: &RawAnswer, errors: &[ErrorEntry], is_understood: bool) -> KvFault {
    let code = |wanted: &[u64]| errors.iter().find(|error| wanted.contains(&error.code));
    let message = |entry: Option<&ErrorEntry>| describe(answer.status, entry.or(errors.first()), is_understood);
    if let Some(entry) = code(&[QUOTA]) {
        return KvFault::Quota { message: message(Some(entry)) };
    }
    if answer.status == 429 {
        let retry_after = answer.retry_after.as_deref().and_then(read_retry_after);
        return KvFault::RateLimited { message: message(None), retry_after };
    }
    if let Some(entry) = code(&CONFIGURATION) {
        return KvFault::Configuration { message: message(Some(entry)) };
    }
    if let (404, Some(entry)) = (answer.status, code(&[KEY_MISSING])) {
        return KvFault::Missing { message: message(Some(entry)) };
    }
    let message = message(None);
    match answer.status {
        // Others than the interface answer 400 as well, such as a proxy on the way; only the interface speaks of the
        // content.
        400 | 409 | 414 | 422 if is_understood => KvFault::Refused { message },
        413 => KvFault::TooLarge { message },
        400 | 408 | 409 | 414 | 422 | 425 => KvFault::Unavailable { message },
        401..=499 => KvFault::Configuration { message },
        _ => KvFault::Unavailable { message },
    }
}

fn describe(status: u16, entry: Option<&ErrorEntry>, is_understood: bool) -> String {
    let text = match entry {
        Some(ErrorEntry { code: 0, message }) => format!("status {status}, {message}"),
        Some(ErrorEntry { code, message }) => format!("status {status}, code {code}, {message}"),
        None if is_understood => format!("status {status}"),
        None => format!("status {status} with a body that is not the interface's"),
    };
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(MESSAGE_CHARS_MAX).map(shown).collect()
}

fn read_retry_after(text: &str) -> Option<RetryAfter> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(RetryAfter::Seconds(seconds));
    }
    let at = rfc2822::parse(text).ok()?;
    Some(RetryAfter::At(Timestamp::from_micros(at.timestamp().as_microsecond())))
}

impl KvFault {
    /// What is told of it.
    pub fn message(&self) -> &str {
        match self {
            Self::Refused { message }
            | Self::TooLarge { message }
            | Self::Missing { message }
            | Self::Configuration { message }
            | Self::RateLimited { message, .. }
            | Self::Quota { message }
            | Self::Unavailable { message } => message,
        }
    }

    /// The same, with this text blotted out of the message.
    pub(super) fn without(mut self, secret: &str) -> Self {
        let (Self::Refused { message }
        | Self::TooLarge { message }
        | Self::Missing { message }
        | Self::Configuration { message }
        | Self::RateLimited { message, .. }
        | Self::Quota { message }
        | Self::Unavailable { message }) = &mut self;
        if !secret.is_empty() && message.contains(secret) {
            *message = message.replace(secret, "***");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::de::IgnoredAny;

    use super::*;

    fn read(status: u16, retry_after: Option<&str>, body: &str) -> Result<(), KvFault> {
        let answer = RawAnswer { status, retry_after: retry_after.map(str::to_owned), body: body.as_bytes().to_vec() };
        read_answer::<IgnoredAny>(&answer).map(drop)
    }

    fn kind(outcome: &Result<(), KvFault>) -> &'static str {
        match outcome {
            Ok(()) => "ok",
            Err(KvFault::Refused { .. }) => "refused",
            Err(KvFault::TooLarge { .. }) => "too large",
            Err(KvFault::Missing { .. }) => "missing",
            Err(KvFault::Configuration { .. }) => "configuration",
            Err(KvFault::RateLimited { .. }) => "rate limited",
            Err(KvFault::Quota { .. }) => "quota",
            Err(KvFault::Unavailable { .. }) => "unavailable",
        }
    }

    fn error(code: u64) -> String {
        format!(r#"{{"success":false,"errors":[{{"code":{code},"message":"because"}}],"messages":[],"result":null}}"#)
    }

    const OK: &str = r#"{"success":true,"errors":[],"messages":[],"result":{}}"#;
    const PAGE: &str = "<html><title>502 Bad Gateway</title></html>";

    #[test]
    fn every_kind_of_answer() {
        let check = |status, body: &str, expect| {
            let outcome = read(status, None, body);
            assert_eq!(kind(&outcome), expect, "{status} {body}: {outcome:?}");
        };
        check(200, OK, "ok");
        check(200, r#"{"success":true,"result":null}"#, "ok");
        check(200, r#"{"success":true,"errors":[],"result":{"new":[1]},"also_new":1}"#, "ok");
        check(200, &error(1), "unavailable");
        check(200, r#"{"success":false}"#, "unavailable");
        for body in ["", "{", "null", "[]", PAGE, r#"{"success":"yes"}"#] {
            check(200, body, "unavailable");
        }
        check(400, &error(10_033), "refused");
        check(400, r#"{"success":false,"errors":[]}"#, "refused");
        check(400, PAGE, "unavailable");
        check(400, &error(6_003), "configuration");
        check(400, &error(7_003), "configuration");
        check(422, &error(1), "refused");
        check(413, PAGE, "too large");
        check(413, &error(10_030), "too large");
        for status in [401, 403, 404, 405, 410] {
            check(status, &error(1), "configuration");
            check(status, PAGE, "configuration");
        }
        check(404, &error(10_009), "missing");
        check(404, &error(10_013), "configuration");
        check(403, &error(10_037), "configuration");
        check(500, &error(10_013), "configuration");
        for status in [301, 302, 307, 408, 425, 500, 502, 503, 504, 520, 599] {
            check(status, PAGE, "unavailable");
            check(status, &error(1), "unavailable");
        }
        for status in [200, 400, 403, 404, 413, 429, 500] {
            check(status, &error(10_048), "quota");
        }
        check(429, &error(10_013), "rate limited");
        check(429, PAGE, "rate limited");
    }

    #[test]
    fn when_to_call_again() {
        let check = |text: Option<&str>, expect: Option<RetryAfter>| {
            let Err(KvFault::RateLimited { retry_after, .. }) = read(429, text, PAGE) else { panic!("{text:?}") };
            assert_eq!(retry_after, expect, "{text:?}");
        };
        check(None, None);
        check(Some("17"), Some(RetryAfter::Seconds(17)));
        check(Some(" 0 "), Some(RetryAfter::Seconds(0)));
        check(Some("18446744073709551615"), Some(RetryAfter::Seconds(u64::MAX)));
        let at = "2026-01-15T10:30:00Z".parse().unwrap();
        check(Some("Thu, 15 Jan 2026 10:30:00 GMT"), Some(RetryAfter::At(at)));
        for bad in ["", "-1", "soon", "1.5", "2026-01-15T10:30:00Z", "Fri, 32 Jan 2026 10:30:00 GMT"] {
            check(Some(bad), None);
        }
    }

    #[test]
    fn messages_are_short_and_hold_no_secret() {
        let Err(fault) = read(400, None, &error(10_033)) else { panic!("it was refused") };
        assert_eq!(fault.to_string(), "Cloudflare refused it: status 400, code 10033, because");
        let body = format!(r#"{{"errors":[{{"message":"bad token s3cret\n{}"}}]}}"#, "x".repeat(10_000));
        let Err(fault) = read(400, None, &body) else { panic!("it was refused") };
        let fault = fault.without("s3cret");
        assert!(fault.message().starts_with("status 400, bad token *** xxx"), "{fault}");
        assert_eq!(fault.message().chars().count(), 300 - 3);
        assert!(!format!("{fault:?}").contains("s3cret"));
    }
}
