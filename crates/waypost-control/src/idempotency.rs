//! A request that is sent twice with one key is done once and answered twice.
//!
//! A change looks up the key, does the work and stores the response in one transaction, so there is no state in
//! between. Only successful responses are stored: a refused request changed nothing, and may be sent again with its
//! key. Keys belong to an account, and stand for one whole request.

use serde::Serialize;
use serde::de::DeserializeOwned;
use waypost_api::ProblemCode;
use waypost_core::id::AccountId;
use waypost_store::{Idempotency, Tx};

use crate::access::caller::Caller;
use crate::app::App;
use crate::problem::Problem;

/// What rows of remembered answers say of their HTTP status, which is the handler's business.
const STATUS: u16 = 200;

/// A request that may come again.
#[derive(Clone, Debug)]
pub struct Repeatable {
    account_id: AccountId,
    /// The key and the digest of the whole request; `None` where it has no key.
    key: Option<(String, [u8; 32])>,
}

/// What a request has brought about: now, or when it came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done<T> {
    /// What it is answered with.
    pub value: T,
    /// Whether it was done before.
    pub is_replayed: bool,
}

impl<T> Done<T> {
    /// Done for the first time.
    pub const fn now(value: T) -> Self {
        Self { value, is_replayed: false }
    }
}

impl Repeatable {
    /// A request of this caller; `key` is its key with the digest of the whole request, where it has one.
    pub fn new(caller: &Caller, key: Option<(String, [u8; 32])>) -> Self {
        Self { account_id: caller.account_id.clone(), key }
    }

    /// A request that nobody would repeat: each time it is another one.
    pub fn once(caller: &Caller) -> Self {
        Self::new(caller, None)
    }

    /// Whether the request has a key, so that its work needs a transaction of its own.
    pub(crate) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// What this request was answered before. To be asked first in the transaction that does the work.
    ///
    /// # Errors
    /// 409 where the key stands for another request.
    pub(crate) async fn answered<T: DeserializeOwned>(&self, tx: &mut Tx) -> Result<Option<Done<T>>, Problem> {
        let Some((key, digest)) = &self.key else { return Ok(None) };
        match tx.begin_idempotent(&self.account_id, key, digest).await? {
            Idempotency::Fresh => Ok(None),
            Idempotency::Replay { body, .. } => {
                let body = if body.is_empty() { b"null".as_slice() } else { &body };
                let value = serde_json::from_slice(body)
                    .map_err(|error| Problem::internal("reading a remembered answer", &error))?;
                Ok(Some(Done { value, is_replayed: true }))
            }
            Idempotency::Mismatch => {
                let detail = "the Idempotency-Key was used for another request in the last 24 hours";
                Err(Problem::new(ProblemCode::IdempotencyMismatch, detail))
            }
        }
    }

    /// Remembers the answer, in the transaction that did the work.
    pub(crate) async fn remember<T: Serialize>(&self, tx: &mut Tx, value: &T) -> Result<(), Problem> {
        let Some((key, digest)) = &self.key else { return Ok(()) };
        let body = serde_json::to_vec(value).map_err(|error| Problem::internal("remembering an answer", &error))?;
        Ok(tx.finish_idempotent(&self.account_id, key, digest, (STATUS, &body)).await?)
    }
}

impl App {
    /// Answers a request that changes nothing, or whose repetition changes nothing: once with the work, then from
    /// memory.
    ///
    /// # Errors
    /// Those of the work; 409 where the key stands for another request.
    pub async fn answer_once<T: Serialize + DeserializeOwned>(
        &self,
        request: &Repeatable,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Done<T>, Problem> {
        if !request.has_key() {
            return work.await.map(Done::now);
        }
        let mut tx = self.store.begin("look_up_answer").await?;
        let answered = request.answered(&mut tx).await?;
        drop(tx);
        if let Some(answered) = answered {
            return Ok(answered);
        }
        let value = work.await?;
        let remembered = async {
            let mut tx = self.store.begin("remember_answer").await?;
            request.remember(&mut tx, &value).await?;
            Ok(tx.commit().await?)
        };
        remembered.await.map_err(Problem::after_change)?;
        Ok(Done::now(value))
    }

    /// Ties a key to a request whose answer is too long to be remembered, and whose repetition changes nothing.
    ///
    /// # Errors
    /// 409 where the key stands for another request.
    pub async fn claim_key(&self, request: &Repeatable) -> Result<(), Problem> {
        self.answer_once(request, async { Ok(()) }).await.map(drop)
    }
}
