//! `Idempotency-Key`: a request that comes twice is done once and answered twice.
//!
//! Work that changes something looks the key up, does the work and remembers the answer in one transaction, so there is
//! no state in between. Only answers that say "done" are remembered: a request that was refused changed nothing, and may
//! come again under its key. Keys belong to an account, and stand for one method, path, query and body.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::HeaderName;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use waypost_core::id::AccountId;
use waypost_store::{Idempotency, Tx};

use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, ProblemCode};

/// Says that an answer is a remembered one.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key.
const KEY_CHARS_MAX: usize = 255;

/// The `Idempotency-Key` of a request and what the request is addressed to. Every handler of a POST under `/api/v1` takes
/// one; a test walks the routes.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    key: Option<String>,
    /// A digest of method and target, to go on with.
    digest: Sha256,
}

/// A request that may come again, with all that makes it what it is.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    account_id: AccountId,
    /// The key and the digest of the whole request; `None` where it has no key.
    key: Option<(String, [u8; 32])>,
}

/// An answer, given for the first time or once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    pub(crate) is_replayed: bool,
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
        Repeatable { account_id: caller.account_id.clone(), key }
    }
}

impl FromRequestParts<Arc<App>> for RequestKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let digest = Sha256::new_with_prefix(format!("{} {target}\0", parts.method));
        Ok(Self { key: read_key(&parts.headers)?, digest })
    }
}

/// 1 to 255 visible ASCII characters, once.
fn read_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
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
            Err(Problem::new(ProblemCode::BadRequest, detail))
        }
    }
}

impl Repeatable {
    /// Whether the request has a key, so that its work needs a transaction of its own.
    pub(crate) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The answer that this request was given before. To be asked first in the transaction that does the work.
    ///
    /// # Errors
    /// 409 where the key stands for another request.
    pub(crate) async fn answered(&self, tx: &mut Tx) -> Result<Option<Answer>, Problem> {
        let Some((key, digest)) = &self.key else { return Ok(None) };
        match tx.begin_idempotent(&self.account_id, key, digest).await? {
            Idempotency::Fresh => Ok(None),
            Idempotency::Replay { status, body } => {
                let status = StatusCode::from_u16(status)
                    .map_err(|error| Problem::internal("reading a remembered answer", &error))?;
                Ok(Some(Answer { status, body, is_replayed: true }))
            }
            Idempotency::Mismatch => {
                let detail = "the Idempotency-Key was used for another request in the last 24 hours";
                Err(Problem::new(ProblemCode::IdempotencyMismatch, detail))
            }
        }
    }

    /// Remembers the answer, in the transaction that did the work.
    pub(crate) async fn remember(&self, tx: &mut Tx, status: StatusCode, body: &[u8]) -> Result<(), Problem> {
        match &self.key {
            Some((key, digest)) => {
                Ok(tx.finish_idempotent(&self.account_id, key, digest, (status.as_u16(), body)).await?)
            }
            None => Ok(()),
        }
    }
}

impl Answer {
    /// An answer that is given for the first time.
    pub(crate) const fn new(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, body, is_replayed: false }
    }
}

impl App {
    /// Answers a request that changes nothing, or whose repetition changes nothing: once with the work, then from memory.
    pub(crate) async fn answer_once(
        &self,
        request: &Repeatable,
        work: impl Future<Output = Result<Answer, Problem>>,
    ) -> Result<Answer, Problem> {
        if !request.has_key() {
            return work.await;
        }
        let mut tx = self.store.begin("look_up_answer").await?;
        let answered = request.answered(&mut tx).await?;
        drop(tx);
        if let Some(answer) = answered {
            return Ok(answer);
        }
        let answer = work.await?;
        let remembered = async {
            let mut tx = self.store.begin("remember_answer").await?;
            request.remember(&mut tx, answer.status, &answer.body).await?;
            Ok(tx.commit().await?)
        };
        remembered.await.map_err(Problem::after_change)?;
        Ok(answer)
    }

    /// Ties a key to a request whose answer is too long to be remembered, and whose repetition changes nothing.
    pub(crate) async fn claim_key(&self, request: &Repeatable) -> Result<(), Problem> {
        self.answer_once(request, async { Ok(Answer::new(StatusCode::OK, Vec::new())) }).await.map(drop)
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
