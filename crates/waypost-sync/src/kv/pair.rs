//! What Workers KV stores for one slug: the key, the value, and the metadata that identify the value.
//!
//! If the key is taken by another slug, or is not a valid key, there is no pair.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use waypost_core::LinkRecord;
use waypost_core::id::DomainId;
use waypost_core::record::RECORD_BYTES_MAX;
use waypost_store::Domain;
use xxhash_rust::xxh3::xxh3_64;

/// The most bytes of a key.
const KEY_BYTES_MAX: usize = 512;

/// A key with its value, in the form in which the bulk interface takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The record's JSON.
    pub value: String,
    /// What is kept beside the value, so that a list of keys tells whether a value is right.
    pub metadata: Metadata,
}

/// What is kept beside a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The record's version.
    pub version: u64,
    /// The xxh3-64 hash of the value's bytes, as 16 digits in hex.
    pub digest: String,
}

/// Why there can be no pair for a slug. It stays so until the slug, the record or the domains change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairFault {
    /// The key is that of a link on another domain.
    #[error(
        "the key {} would be that of a link on the domain {host}: the Worker cannot tell the two apart",
        waypost_core::Quoted(key)
    )]
    Ambiguous {
        /// The key.
        key: String,
        /// The other domain.
        host: String,
    },
    /// The key is longer than keys may be.
    #[error("the key has {bytes} bytes, at most {KEY_BYTES_MAX} are possible")]
    KeyTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Cloudflare takes no such key.
    #[error("the key {} is not possible", waypost_core::Quoted(key))]
    KeyForbidden {
        /// The key.
        key: String,
    },
    /// The Worker reads no value as large as this one.
    #[error("the record has {bytes} bytes, at most {RECORD_BYTES_MAX} are read")]
    ValueTooLarge {
        /// How large it is.
        bytes: usize,
    },
}

impl Pair {
    /// The pair of a record under its key.
    ///
    /// # Errors
    /// [`PairFault::ValueTooLarge`].
    pub fn new(key: String, record: &LinkRecord) -> Result<Self, PairFault> {
        let value = serde_json::to_string(record).expect("a record can be written as JSON");
        if value.len() > RECORD_BYTES_MAX {
            return Err(PairFault::ValueTooLarge { bytes: value.len() });
        }
        let digest = format!("{:016x}", xxh3_64(value.as_bytes()));
        Ok(Self { key, value, metadata: Metadata { version: record.version, digest } })
    }

    /// What it adds to a call, in bytes, about.
    pub fn size_bytes(&self) -> usize {
        self.key.len() + self.value.len() + 96
    }
}

/// The domains of the instance, as far as keys depend on them.
#[derive(Clone, Debug, Default)]
pub struct KvKeys {
    /// By the name under which edges keep a domain: empty for the default domain, else the host.
    domains: HashMap<String, DomainId>,
}

impl KvKeys {
    /// What keys look like where these are all domains.
    pub fn new(domains: &[Domain]) -> Self {
        Self { domains: domains.iter().map(|domain| (domain.key().to_owned(), domain.domain_id.clone())).collect() }
    }

    /// The domain that edges keep under this name.
    pub fn domain_id(&self, domain_key: &str) -> Option<&DomainId> {
        self.domains.get(domain_key)
    }

    /// The key of a slug: the slug itself on the default domain, `host/slug` on any other.
    ///
    /// # Errors
    /// Where it has no key of its own, or none that is possible.
    pub fn key(&self, domain_key: &str, slug: &str) -> Result<String, PairFault> {
        if domain_key.is_empty() {
            if let Some((host, _)) = slug.split_once('/')
                && self.domains.contains_key(host)
                && !host.is_empty()
            {
                return Err(PairFault::Ambiguous { key: slug.to_owned(), host: host.to_owned() });
            }
            return possible(slug.to_owned());
        }
        possible(format!("{domain_key}/{slug}"))
    }
}

fn possible(key: String) -> Result<String, PairFault> {
    match key.as_str() {
        "" | "." | ".." => Err(PairFault::KeyForbidden { key }),
        _ if key.len() > KEY_BYTES_MAX => Err(PairFault::KeyTooLong { bytes: key.len() }),
        _ => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use waypost_core::{Hostname, Timestamp};

    use super::*;

    fn domain(number: u8, host: &str, is_default: bool) -> Domain {
        Domain {
            domain_id: DomainId::from_uuid_bytes([number; 16]),
            account_id: None,
            host: Hostname::parse(host).unwrap(),
            is_default,
            case_insensitive: false,
            root_url: None,
            created_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn keys() {
        let keys = KvKeys::new(&[domain(1, "go.example", true), domain(2, "b.example", false)]);
        assert_eq!(keys.domain_id(""), Some(&DomainId::from_uuid_bytes([1; 16])));
        assert_eq!(keys.domain_id("b.example"), Some(&DomainId::from_uuid_bytes([2; 16])));
        assert_eq!(keys.domain_id("go.example"), None);
        let key = |domain_key, slug| keys.key(domain_key, slug).map_err(|fault| fault.to_string());
        for (domain_key, slug, expect) in [
            ("", "a", "a"),
            ("", "a/b", "a/b"),
            ("", "größe", "größe"),
            ("", "b.example", "b.example"),
            ("", "B.example/x", "B.example/x"),
            ("", "c.example/x", "c.example/x"),
            // Nothing else has this key: the default domain's links have bare slugs.
            ("", "go.example/x", "go.example/x"),
            ("b.example", "x", "b.example/x"),
            ("b.example", "b.example/x", "b.example/b.example/x"),
        ] {
            assert_eq!(key(domain_key, slug).as_deref(), Ok(expect));
        }
        assert!(matches!(keys.key("", "b.example/x"), Err(PairFault::Ambiguous { host, .. }) if host == "b.example"));
        assert!(matches!(keys.key("", ".."), Err(PairFault::KeyForbidden { .. })));
        assert_eq!(keys.key("", &"x".repeat(512)).unwrap().len(), 512);
        assert_eq!(keys.key("", &"x".repeat(513)), Err(PairFault::KeyTooLong { bytes: 513 }));
    }

    #[test]
    fn a_pair_tells_what_its_value_is() {
        let record = LinkRecord { version: 7, ..LinkRecord::from_url("https://example.com/") };
        let pair = Pair::new("a".to_owned(), &record).unwrap();
        assert_eq!(serde_json::from_str::<LinkRecord>(&pair.value).unwrap(), record);
        assert_eq!(pair.metadata.version, 7);
        assert_eq!(pair.metadata.digest, format!("{:016x}", xxh3_64(pair.value.as_bytes())));
        let json = serde_json::to_value(&pair).unwrap();
        assert_eq!(json["metadata"]["version"], 7);
        assert_eq!(json["value"].as_str(), Some(pair.value.as_str()));
        let large = LinkRecord::from_url("x".repeat(RECORD_BYTES_MAX));
        assert!(matches!(Pair::new("a".to_owned(), &large), Err(PairFault::ValueTooLarge { .. })));
    }
}
