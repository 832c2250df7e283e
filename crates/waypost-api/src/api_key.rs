//! API keys.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;
use waypost_core::access::{Scope, Scopes};
use waypost_core::id::ApiKeyId;
use waypost_core::{Quoted, Timestamp};

use crate::problem::{FieldError, Invalid};
use crate::read::Fields;

/// Bytes of a key's name.
const NAME_BYTES_MAX: usize = 200;
/// The domains that a key may be limited to.
pub const KEY_DOMAINS_MAX: usize = 16;
/// The origins of a publishable key.
const ORIGINS_MAX: usize = 16;

/// An API key as it is shown; the secret only once, right after it was created.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Whether it stands in the source of pages, and only sends conversions from `origins`.
    #[serde(default)]
    pub publishable: bool,
    /// What it may be used for.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// The hosts of the domains whose links it may use; `null` for all of the account.
    #[serde(default)]
    pub domains: Option<Vec<String>>,
    /// The origins of pages that may use a publishable key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// When it was created.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApiKeyList {
    /// The newest first.
    pub keys: Vec<ApiKey>,
}

/// A key to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateApiKey {
    /// What people call it; empty where nothing is said.
    pub name: String,
    /// From when on it opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it is to stand in the source of pages.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub publishable: bool,
    /// What it may be used for; `None` where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The hosts of the domains whose links it may use; `None` for all of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    /// The origins of pages that may use it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
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
        let asked = Self {
            name,
            expires_at,
            publishable: fields.flag("publishable").unwrap_or_default(),
            scopes: fields.strings("scopes", Scope::ALL.len()),
            domains: fields.strings("domains", KEY_DOMAINS_MAX),
            origins: fields.strings("origins", ORIGINS_MAX).unwrap_or_default(),
        };
        asked.check(&mut fields);
        let origins = asked.origins.iter().filter_map(|origin| origin_of(origin)).collect();
        fields.finish().map(|()| Self { origins, ..asked })
    }

    /// The scopes of the key: where nothing is said those of its kind, all of which a secret key may be used for.
    pub fn scope_set(&self) -> Scopes {
        let named = self.scopes.iter().flatten().filter_map(|name| Scope::from_name(name));
        match (&self.scopes, self.publishable) {
            (Some(_), _) => named.collect(),
            (None, true) => Scopes::default().with(Scope::ConversionsWrite),
            (None, false) if self.domains.is_some() => {
                Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin && *scope != Scope::SyncRead).collect()
            }
            (None, false) => Scopes::default().with(Scope::Admin),
        }
    }

    fn check(&self, fields: &mut Fields) {
        for (place, name) in self.scopes.iter().flatten().enumerate() {
            if Scope::from_name(name).is_none() {
                let names = Scope::NAMES.map(|(name, _)| name).join(", ");
                let wanted = format!("one of {names}; {} is none", Quoted(&waypost_core::quoted::kept(name)));
                fields.refuse(FieldError::invalid(format!("scopes[{place}]"), &wanted));
            }
        }
        if self.scopes.as_ref().is_some_and(Vec::is_empty) {
            fields.refuse(FieldError::invalid("scopes", "at least one scope, or the key could do nothing"));
        }
        if self.domains.as_ref().is_some_and(Vec::is_empty) {
            fields.refuse(FieldError::invalid("domains", "at least one host, or null for all domains of the account"));
        }
        let scopes = self.scope_set();
        if self.domains.is_some() && (scopes.contains(Scope::Admin) || scopes.contains(Scope::SyncRead)) {
            let wanted =
                "without admin and sync:read where the key is limited to domains: these concern the whole account";
            fields.refuse(FieldError::invalid("scopes", wanted));
        }
        for (place, origin) in self.origins.iter().enumerate() {
            if origin_of(origin).is_none() {
                let wanted = "an origin such as https://shop.example, without a path";
                fields.refuse(FieldError::invalid(format!("origins[{place}]"), wanted));
            }
        }
        if self.publishable {
            if self.origins.is_empty() {
                let wanted = "the origins of the pages that use a publishable key, such as https://shop.example";
                fields.refuse(FieldError::invalid("origins", wanted));
            }
            if scopes.iter().any(|scope| scope != Scope::ConversionsWrite) {
                let wanted = "conversions:write alone where the key is publishable: anyone can read it";
                fields.refuse(FieldError::invalid("scopes", wanted));
            }
        } else if !self.origins.is_empty() {
            fields.refuse(FieldError::invalid("origins", "absent where the key is not publishable"));
        }
    }
}

/// The origin, as browsers write it.
fn origin_of(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    is_bare.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: serde_json::Value) -> Result<CreateApiKey, Vec<String>> {
        let Value::Object(object) = body else { panic!("an object") };
        let read = CreateApiKey::read(object, Timestamp::from_micros(0));
        read.map_err(|invalid| invalid.errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn what_a_key_may_be_used_for() {
        let scopes = |body| read(body).expect("a request").scope_set().to_string();
        assert_eq!(scopes(serde_json::json!({})), "admin");
        assert_eq!(scopes(serde_json::json!({"scopes": ["stats:read", "links:read"]})), "links:read stats:read");
        assert_eq!(
            scopes(serde_json::json!({"domains": ["a.example"]})),
            "links:read links:write stats:read conversions:write"
        );
        let page = read(serde_json::json!({"publishable": true, "origins": ["HTTPS://Shop.example:443/"]}))
            .expect("a request");
        assert_eq!(
            (page.scope_set().to_string().as_str(), page.origins.as_slice()),
            ("conversions:write", &["https://shop.example".to_owned()][..])
        );
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        let fields = |body| read(body).expect_err("refused");
        assert_eq!(fields(serde_json::json!({"scopes": ["links:reed"]})), ["scopes[0]"]);
        assert_eq!(fields(serde_json::json!({"scopes": []})), ["scopes"]);
        assert_eq!(fields(serde_json::json!({"scopes": "links:read"})), ["scopes"]);
        assert_eq!(fields(serde_json::json!({"scopes": ["links:read", 1]})), ["scopes[1]"]);
        assert_eq!(fields(serde_json::json!({"domains": []})), ["domains"]);
        assert_eq!(fields(serde_json::json!({"domains": ["a.example"], "scopes": ["admin"]})), ["scopes"]);
        assert_eq!(fields(serde_json::json!({"publishable": true})), ["origins"]);
        assert_eq!(
            fields(serde_json::json!({"publishable": true, "origins": ["https://a.example/x"]})),
            ["origins[0]"]
        );
        assert_eq!(
            fields(
                serde_json::json!({"publishable": true, "origins": ["https://a.example"], "scopes": ["links:read"]})
            ),
            ["scopes"]
        );
        assert_eq!(fields(serde_json::json!({"origins": ["https://a.example"]})), ["origins"]);
        assert_eq!(fields(serde_json::json!({"domains": vec!["a.example"; 17]})), ["domains"]);
    }
}
