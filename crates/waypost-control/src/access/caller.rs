//! Who sends a request, and what they may do: the local operator, or the holder of an API key.

use std::fmt;
use std::net::IpAddr;

use waypost_api::ProblemCode;
use waypost_core::access::{Role, Scope, Scopes};
use waypost_core::id::{AccountId, DomainId};
use waypost_store::{ApiKeyLimits, StoreError};

use crate::access::author::Author;
use crate::access::key_text::ApiKeyText;
use crate::access::operation::{Operation, Reach};
use crate::app::{App, monotonic_now};
use crate::problem::Problem;

/// Whose things the operator means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperatorsAccount {
    /// Those of the instance's own account.
    #[default]
    Default,
    /// Those that were created without a key.
    Anonymous,
}

/// Who is asking, as far as the API is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account whose things are asked for.
    pub account_id: AccountId,
    /// What the versions of links and the audit log say of who made a change.
    pub(crate) author: Author,
    grant: Grant,
    /// Whether the account is the instance's own.
    is_default_account: bool,
    /// By which a key is looked up again; the operator needs none.
    pub(crate) proof: Option<KeyProof>,
}

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Grant {
    /// Everything.
    Operator,
    /// What a role may do.
    #[allow(dead_code, reason = "people sign in with the next change")]
    Role(Role),
    /// What an API key is for.
    Key(KeyGrant),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyGrant {
    scopes: Scopes,
    /// The domains whose links it may use; `None` for all.
    domain_ids: Option<Vec<DomainId>>,
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
            author: Author { id: "operator".to_owned(), name: None, address: None },
            grant: Grant::Operator,
            is_default_account: self.is_default_account(&account.account_id),
            proof: None,
        }
    }

    /// The holder of this API key, whose request comes from this address.
    ///
    /// # Errors
    /// Where the key opens nothing, has made too many requests, or the database fails.
    pub async fn holder_of_key(&self, key: &str, address: Option<IpAddr>) -> Result<Caller, Problem> {
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
        let ApiKeyLimits { kind: _, scopes, domain_ids, origins: _ } = found.limits;
        let address = address.and_then(|address| self.settings.address_policy.kept(address));
        Ok(Caller {
            author: Author {
                id: found.api_key_id.as_str().to_owned(),
                name: Some(found.name).filter(|name| !name.is_empty()),
                address: address.map(|address| address.to_string()),
            },
            grant: Grant::Key(KeyGrant { scopes, domain_ids }),
            is_default_account: self.is_default_account(&found.account_id),
            account_id: found.account_id,
            proof: Some(KeyProof { key_id: found.key_id, digest: key.digest() }),
        })
    }

    /// Whether a key that did open still does.
    pub(crate) async fn opens(&self, proof: &KeyProof) -> Result<bool, StoreError> {
        let mut tx = self.store.read("look_at_key").await?;
        Ok(tx.authenticate_api_key(&proof.key_id, &proof.digest).await?.is_some())
    }

    fn is_default_account(&self, account_id: &AccountId) -> bool {
        *account_id == self.setup.default_account.account_id
    }
}

impl Caller {
    /// Refuses an operation that the caller may not do. Every use case asks this first.
    ///
    /// # Errors
    /// `forbidden`, which says what it takes.
    pub fn may(&self, operation: Operation) -> Result<(), Problem> {
        let takes = operation.requirement();
        let is_reached = match takes.reach {
            Reach::Account => true,
            Reach::Instance => self.is_default_account,
            Reach::Operator => false,
        };
        match &self.grant {
            Grant::Operator => Ok(()),
            Grant::Role(_) | Grant::Key(_) if !is_reached => Err(forbidden(not_reached(takes.reach))),
            Grant::Role(role) if *role < takes.role => {
                Err(forbidden(format!("this takes the role {}, and yours is {}", takes.role.name(), role.name())))
            }
            Grant::Key(grant) if !grant.scopes.allows(takes.scope) => {
                Err(forbidden(missing_scope(takes.scope, grant.scopes)))
            }
            Grant::Role(_) | Grant::Key(_) => Ok(()),
        }
    }

    /// Whether the caller may use links of this domain.
    pub(crate) fn reaches_domain(&self, domain_id: &DomainId) -> bool {
        self.domain_limit().is_none_or(|domain_ids| domain_ids.contains(domain_id))
    }

    /// The domains whose links the caller may use; `None` for all of the account.
    pub(crate) fn domain_limit(&self) -> Option<&[DomainId]> {
        match &self.grant {
            Grant::Key(grant) => grant.domain_ids.as_deref(),
            Grant::Operator | Grant::Role(_) => None,
        }
    }

    /// Refuses those who may use a part of the account only.
    ///
    /// # Errors
    /// `forbidden`.
    pub(crate) fn require_whole_account(&self) -> Result<(), Problem> {
        match self.domain_limit() {
            None => Ok(()),
            Some(_) => {
                let detail = "this concerns the whole account, and the API key is limited to some of its domains: name one of \
                              these or a link there, or use another key";
                Err(forbidden(detail))
            }
        }
    }
}

fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::Forbidden, detail)
}

fn not_reached(reach: Reach) -> &'static str {
    match reach {
        Reach::Account => "this is of another account",
        Reach::Instance => "this takes the operator of the instance, or an API key of its default account",
        Reach::Operator => {
            "no API key may do this, only the operator of the instance: run the command `waypost` on the server's machine, \
             without --server (or ask the local socket `control.sock` of the data folder)"
        }
    }
}

fn missing_scope(scope: Scope, scopes: Scopes) -> String {
    let has: Vec<&str> = scopes.iter().map(Scope::name).collect();
    format!(
        "this takes an API key with the scope {}, and this one has {}: create another key",
        scope.name(),
        has.join(", ")
    )
}

/// 401: nobody is told what is wrong with a key.
fn key_refused() -> Problem {
    Problem::new(ProblemCode::Unauthorized, "the API key is unknown, mistyped, expired or revoked")
}
