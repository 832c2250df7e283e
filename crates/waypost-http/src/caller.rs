//! Who sends a request: the local operator, the holder of an API key, or an anonymous client.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use axum::http::request::Parts;
use waypost_api::ProblemCode;
use waypost_control::{AddressKey, Caller, OperatorsAccount};

use crate::answer::Refusal;
use crate::state::HttpState;

/// The address a request came from, set by the binary as a request extension. Where it is absent all requests share one
/// allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Who the transport vouches for, set by the binary as a request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The operator: on the local socket, or in the same process. May do everything.
    Operator,
}

/// The request header by which the operator says whose links are meant: `default` or `anonymous`. An API key always
/// means its own account.
pub const ACCOUNT_HEADER: HeaderName = HeaderName::from_static("waypost-account");

/// Another header for an API key: the key alone.
const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

impl FromRequestParts<HttpState> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Refusal> {
        match parts.extensions.get::<Principal>() {
            Some(Principal::Operator) => Ok(state.app.operator(operators_choice(parts)?)),
            None => Ok(state.app.holder_of_key(key_of(parts)?, address_of(parts)).await?),
        }
    }
}

fn address_of(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddress>().map(|address| address.0)
}

/// The account that the operator means.
fn operators_choice(parts: &Parts) -> Result<OperatorsAccount, Refusal> {
    match parts.headers.get(ACCOUNT_HEADER).map(HeaderValue::as_bytes) {
        None | Some(b"default") => Ok(OperatorsAccount::Default),
        Some(b"anonymous") => Ok(OperatorsAccount::Anonymous),
        Some(_) => {
            let detail = format!("the header {ACCOUNT_HEADER} is `default` or `anonymous`");
            Err(Refusal::new(ProblemCode::BadRequest, detail))
        }
    }
}

/// The text of the API key that a request carries.
fn key_of(parts: &Parts) -> Result<&str, Refusal> {
    let refuse = |detail: &str| Refusal::new(ProblemCode::Unauthorized, detail);
    let once = |name: &HeaderName| {
        let mut headers = parts.headers.get_all(name).iter();
        match (headers.next(), headers.next()) {
            (header, None) => Ok(header),
            (_, Some(_)) => Err(refuse(&format!("the header {name} occurs more than once"))),
        }
    };
    let header = match (once(&AUTHORIZATION)?, once(&API_KEY_HEADER)?) {
        (Some(header), None) => header,
        (None, Some(header)) => {
            return header.to_str().map_err(|_| refuse("the header X-Api-Key has no API key in it"));
        }
        (None, None) => return Err(refuse("there is no API key: send the header `Authorization: Bearer KEY`")),
        (Some(_), Some(_)) => return Err(refuse("send the API key in Authorization or in X-Api-Key, not in both")),
    };
    header.to_str().ok().and_then(bearer).ok_or_else(|| {
        refuse("the header Authorization does not begin with `Bearer `: send `Authorization: Bearer KEY`")
    })
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What requests of unknown clients are counted against.
impl FromRequestParts<HttpState> for AddressKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, Infallible> {
        Ok(Self::of(address_of(parts)))
    }
}
