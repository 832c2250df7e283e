//! API keys.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waypost_core::Timestamp;
use waypost_core::id::ApiKeyId;

use crate::problem::{FieldError, Invalid};
use crate::read::Fields;

/// Bytes of a key's name.
const NAME_BYTES_MAX: usize = 200;

/// An API key as it is shown; the secret only once, right after it was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names it for good.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// The part of the key that is no secret, as it stands behind `wp_`.
    pub key_id: String,
    /// The key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// The keys of the caller's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyList {
    /// The newest first.
    pub keys: Vec<ApiKey>,
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CreateApiKey {
    /// What people call it; empty where nothing is said.
    pub name: String,
    /// From when on it opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl CreateApiKey {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>, now: Timestamp) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        let name = fields.text("name").unwrap_or_default().trim().to_owned();
        if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            fields.refuse(FieldError::invalid("name", "at most 200 bytes long, without control characters"));
        }
        let expires_at = fields.time("expires_at");
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            let wanted = format!("in the future, or the key would never open anything; it is {now}");
            fields.refuse(FieldError::invalid("expires_at", &wanted));
        }
        fields.finish().map(|()| Self { name, expires_at })
    }
}
