//! `Idempotency-Key`: what makes a request a repetition of an earlier one.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use waypost_api::ProblemCode;
use waypost_control::{Caller, Repeatable};

use crate::answer::Refusal;
use crate::state::HttpState;

/// Characters of a key.
const KEY_CHARS_MAX: usize = 255;

/// The `Idempotency-Key` of a request and what the request is addressed to. Every handler of a POST under `/api/v1`
/// takes one; a test walks the routes. A key stands for one method, path, query and body.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    key: Option<String>,
    /// A digest of method and target, to go on with.
    digest: Sha256,
}

impl RequestKey {
    /// The request, once its body is known as a JSON object.
    pub(crate) fn with_body(self, caller: &Caller, body: &Map<String, Value>) -> Repeatable {
        let written = self.key.is_some().then(|| serde_json::to_vec(body).unwrap_or_default());
        self.with_bytes(caller, written.as_deref().unwrap_or_default())
    }

    /// The request, once its body is known.
    pub(crate) fn with_bytes(mut self, caller: &Caller, body: &[u8]) -> Repeatable {
        let key = self.key.map(|key| {
            self.digest.update(body);
            (key, self.digest.finalize().into())
        });
        Repeatable::new(caller, key)
    }
}

impl FromRequestParts<HttpState> for RequestKey {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, Refusal> {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let digest = Sha256::new_with_prefix(format!("{} {target}\0", parts.method));
        Ok(Self { key: read_key(&parts.headers)?, digest })
    }
}

/// 1 to 255 visible ASCII characters, once.
fn read_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(key)
            if values.next().is_none()
                && (1..=KEY_CHARS_MAX).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(key.to_owned()))
        }
        Ok(_) | Err(_) => {
            let detail = "Idempotency-Key must be one value of 1 to 255 visible ASCII characters";
            Err(Refusal::new(ProblemCode::BadRequest, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn keys_are_one_visible_text() {
        #[track_caller]
        fn check(values: &[&str], expect: Option<Option<&str>>) {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(read_key(&headers).ok(), expect.map(|key| key.map(str::to_owned)), "{values:?}");
        }
        let long = "k".repeat(KEY_CHARS_MAX + 1);
        check(&[], Some(None));
        check(&["k"], Some(Some("k")));
        check(&[&long[1..]], Some(Some(&long[1..])));
        for bad in [&[""][..], &["a b"], &["é"], &[&long], &["a", "a"]] {
            check(bad, None);
        }
    }
}
