//! Who sends a request: the local operator, the holder of an API key, or an unknown client.

use std::fmt;

use waypost_api::ProblemCode;
use waypost_core::id::AccountId;
use waypost_store::StoreError;

use crate::access::key_text::ApiKeyText;
use crate::app::{App, monotonic_now};
use crate::problem::Problem;

/// Whose things the operator means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperatorsAccount {
    /// Those of the instance's own account.
    #[default]
    Default,
    /// Those that were made without a key.
    Anonymous,
}

/// Who is asking, as far as the API is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account whose things are asked for.
    pub account_id: AccountId,
    /// What the version rows say of who made a change.
    pub(crate) changed_by: String,
    pub(crate) is_operator: bool,
    /// By which a key is looked up again; the operator needs none.
    pub(crate) proof: Option<KeyProof>,
}

/// What says that a key still opens: the part that finds it, and the digest of all of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyProof {
    key_id: String,
    digest: [u8; 32],
}

impl KeyProof {
    /// The part of the key that is no secret.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }
}

impl fmt::Debug for KeyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyProof({})", self.key_id)
    }
}

impl App {
    /// The operator, who may do everything.
    pub fn operator(&self, account: OperatorsAccount) -> Caller {
        let account = match account {
            OperatorsAccount::Default => &self.setup.default_account,
            OperatorsAccount::Anonymous => &self.setup.anonymous_account,
        };
        Caller {
            account_id: account.account_id.clone(),
            changed_by: "operator".to_owned(),
            is_operator: true,
            proof: None,
        }
    }

    /// The holder of this API key.
    ///
    /// # Errors
    /// Where the key opens nothing, has made too many requests, or the database fails.
    pub async fn holder_of_key(&self, key: &str) -> Result<Caller, Problem> {
        let key = ApiKeyText::parse(key).ok_or_else(key_refused)?;
        let mut tx = self.store.read("authenticate").await?;
        let found = tx.authenticate_api_key(key.key_id(), &key.digest()).await?.ok_or_else(key_refused)?;
        let now = tx.now();
        drop(tx);
        self.note_use(&found, now).await;
        if let Some(throttle) = &self.api_throttle {
            let id = found.api_key_id.as_str().to_owned();
            throttle.take(id, monotonic_now()).map_err(Problem::rate_limited)?;
        }
        Ok(Caller {
            account_id: found.account_id,
            changed_by: found.api_key_id.as_str().to_owned(),
            is_operator: false,
            proof: Some(KeyProof { key_id: found.key_id, digest: key.digest() }),
        })
    }

    /// Whether a key that did open still does.
    pub(crate) async fn opens(&self, proof: &KeyProof) -> Result<bool, StoreError> {
        let mut tx = self.store.read("look_at_key").await?;
        Ok(tx.authenticate_api_key(&proof.key_id, &proof.digest).await?.is_some())
    }
}

impl Caller {
    /// Refuses all but the operator.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require_operator(&self) -> Result<(), Problem> {
        if self.is_operator {
            return Ok(());
        }
        let detail = "no API key may do this, only the operator of the instance: run the command `waypost` on the server's machine, \
                      without --server (or ask the local socket `control.sock` of the data folder)";
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }

    /// Refuses those who have no business with the instance as a whole: all but the operator and the default account.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require_instance(&self, app: &App) -> Result<(), Problem> {
        if self.is_operator || self.account_id == app.setup.default_account.account_id {
            return Ok(());
        }
        let detail = "this takes the operator of the instance, or an API key of its default account";
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }
}

/// 401: nobody is told what is wrong with a key.
fn key_refused() -> Problem {
    Problem::new(ProblemCode::Unauthorized, "the API key is unknown, mistyped, expired or revoked")
}
