//! Who is asking: the local operator, the holder of an API key, or nobody known.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use axum::http::request::Parts;
use waypost_core::id::AccountId;
use waypost_store::StoreError;

use crate::api_key::ApiKeyText;
use crate::app::{App, monotonic_now};
use crate::problem::{Problem, ProblemCode};
use crate::throttle::AddressKey;

/// The address a request came from, set by the binary as a request extension. Where it is absent all requests share one
/// allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Who the transport vouches for, set by the binary as a request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Whoever runs the instance: came by the local socket, or calls in the same process. May do everything.
    Operator,
}

/// The request header by which the operator says whose links are meant: `default` or `anonymous`. An API key always means
/// its own account.
pub const ACCOUNT_HEADER: HeaderName = HeaderName::from_static("waypost-account");

/// Who is asking, as far as the API is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The account whose things are asked for.
    pub(crate) account_id: AccountId,
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
    /// Whether a key that did open still does.
    pub(crate) async fn opens(&self, proof: &KeyProof) -> Result<bool, StoreError> {
        let mut tx = self.store.read("look_at_key").await?;
        Ok(tx.authenticate_api_key(&proof.key_id, &proof.digest).await?.is_some())
    }
}

impl Caller {
    /// Refuses all but the operator.
    pub(crate) fn require_operator(&self) -> Result<(), Problem> {
        if self.is_operator {
            return Ok(());
        }
        let detail = "no API key may do this, only the operator of the instance: run the command `waypost` on the server's machine, \
                      without --server (or ask the local socket `control.sock` of the data folder)";
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }

    /// Refuses those who have no business with the instance as a whole: all but the operator and the default account.
    pub(crate) fn require_instance(&self, app: &App) -> Result<(), Problem> {
        if self.is_operator || self.account_id == app.setup.default_account.account_id {
            return Ok(());
        }
        let detail = "this takes the operator of the instance, or an API key of its default account";
        Err(Problem::new(ProblemCode::Forbidden, detail))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match parts.extensions.get::<Principal>() {
            Some(Principal::Operator) => Ok(Self {
                account_id: operators_choice(parts, app)?,
                changed_by: "operator".to_owned(),
                is_operator: true,
                proof: None,
            }),
            None => holder_of_key(parts, app).await,
        }
    }
}

/// The account that the operator means.
fn operators_choice(parts: &Parts, app: &App) -> Result<AccountId, Problem> {
    let account = match parts.headers.get(ACCOUNT_HEADER).map(HeaderValue::as_bytes) {
        None | Some(b"default") => &app.setup.default_account,
        Some(b"anonymous") => &app.setup.anonymous_account,
        Some(_) => {
            let detail = format!("the header {ACCOUNT_HEADER} is `default` or `anonymous`");
            return Err(Problem::new(ProblemCode::BadRequest, detail));
        }
    };
    Ok(account.account_id.clone())
}

async fn holder_of_key(parts: &Parts, app: &App) -> Result<Caller, Problem> {
    let refused = || Problem::new(ProblemCode::Unauthorized, "the API key is unknown, mistyped, expired or revoked");
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let say = |detail: &str| Problem::new(ProblemCode::Unauthorized, detail);
    let header = match (headers.next(), headers.next()) {
        (Some(header), None) => header,
        (None, _) => return Err(say("there is no API key: send the header `Authorization: Bearer KEY`")),
        (Some(_), Some(_)) => return Err(say("the header Authorization stands more than once")),
    };
    let Some(token) = header.to_str().ok().and_then(bearer) else {
        return Err(say("the header Authorization does not begin with `Bearer `: send `Authorization: Bearer KEY`"));
    };
    let key = ApiKeyText::parse(token).ok_or_else(refused)?;
    let mut tx = app.store.read("authenticate").await?;
    let found = tx.authenticate_api_key(key.key_id(), &key.digest()).await?.ok_or_else(refused)?;
    let now = tx.now();
    drop(tx);
    app.note_use(&found, now).await;
    if let Some(throttle) = &app.api_throttle {
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

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What requests of nobody known are counted against.
impl FromRequestParts<Arc<App>> for AddressKey {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts.extensions.get::<ClientAddress>().map(|address| address.0)))
    }
}
