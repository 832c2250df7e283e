//! Ids: a prefix for the kind of thing, then letters and digits. Ids built from a UUIDv7 sort by creation.
//!
//! The caller generates the UUID, because that needs a clock and randomness.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes an id may have, prefix included.
pub const ID_BYTES_MAX: usize = 64;

/// A string that is not an id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not an id of the form {prefix}_ and letters or digits", crate::Quoted(text))]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

fn check(text: &str, prefix: &'static str) -> Result<(), IdError> {
    let rest = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    match rest {
        Some(rest)
            if !rest.is_empty() && text.len() <= ID_BYTES_MAX && rest.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            Ok(())
        }
        _ => Err(IdError { text: crate::quoted::kept(text), prefix }),
    }
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id whose text is the prefix and these 16 bytes (a UUIDv7, so that ids sort by creation) in hex.
            pub fn from_uuid_bytes(bytes: [u8; 16]) -> Self {
                let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
                let mut text = String::with_capacity($prefix.len() + 33);
                text.push_str(concat!($prefix, "_"));
                text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
                Self(text)
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text, $prefix)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check(&text, $prefix)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let pattern = concat!("^", $prefix, "_[0-9A-Za-z]+$");
                schemars::json_schema!({ "type": "string", "pattern": pattern, "maxLength": ID_BYTES_MAX })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Identifies a link for ever. A slug may be used again for another link, an id never is.
    LinkId, "link");
id!(
    /// Names an account (a tenant).
    AccountId, "acc");
id!(
    /// Names a member: one person in one account.
    MemberId, "mem");
id!(
    /// Identifies an API key; reveals nothing of its secret.
    ApiKeyId, "key");
id!(
    /// Names a domain that links live on.
    DomainId, "dom");
id!(
    /// Names a UTM template of an account.
    UtmTemplateId, "utm");
id!(
    /// Names a person, who may be a member of several accounts.
    PersonId, "per");
id!(
    /// Names an entry of the audit log.
    AuditEntryId, "aud");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_prefix_and_their_order() {
        let first = LinkId::from_uuid_bytes([1; 16]);
        let second = LinkId::from_uuid_bytes([2; 16]);
        assert!(first < second);
        let mixed = [0, 1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xf0, 0x0f, 0xff, 16, 32, 64, 128];
        assert_eq!(LinkId::from_uuid_bytes(mixed).as_str(), "link_000123456789abcdeff00fff10204080");
        assert_eq!(first.as_str().parse::<LinkId>(), Ok(first.clone()));
        assert!("link_abc123xyz".parse::<LinkId>().is_ok());
        for bad in ["", "link_", "link", "acc_1", "link_a b", "link_a\u{0}", &format!("link_{}", "a".repeat(60))] {
            assert!(bad.parse::<LinkId>().is_err(), "{bad:?}");
        }
    }
}
