//! The text of an API key: `wp_` (`wpp_` where it is publishable), 8 characters to look it up by, `_`, 43 characters of secret and 6 of checksum, all of
//! `0-9A-Za-z`.
//!
//! The secret has 256 bits. The checksum lets scanners for leaked secrets recognise a key, and lets a mistyped key be
//! refused without a query. Only a SHA-256 digest of the whole text is stored.

use std::fmt;

use sha2::{Digest as _, Sha256};
use waypost_core::slug::ALPHABET;
use waypost_store::KEY_ID_CHARS;

const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;

/// What a key begins with, so that people and scanners for secrets see what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPrefix {
    /// `wp_`: must stay secret.
    Secret,
    /// `wpp_`: stands in the source of pages.
    Publishable,
}

impl KeyPrefix {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "wp_",
            Self::Publishable => "wpp_",
        }
    }

    /// The prefix of this text, and what comes after it.
    fn split(text: &str) -> Option<(Self, &str)> {
        [Self::Secret, Self::Publishable]
            .into_iter()
            .find_map(|prefix| text.strip_prefix(prefix.as_str()).map(|rest| (prefix, rest)))
    }
}

/// A key as its holder has it. Does not show itself in debug output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKeyText(String);

impl ApiKeyText {
    /// A new key from secure randomness.
    pub(crate) fn generate(prefix: KeyPrefix) -> Result<Self, getrandom::Error> {
        let id = random_chars(KEY_ID_CHARS)?;
        let secret = random_chars(SECRET_CHARS)?;
        let body = format!("{}{id}_{secret}", prefix.as_str());
        let checksum = checksum(&body);
        Ok(Self(body + &checksum))
    }

    /// Reads a key; `None` where the text cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (_, rest) = KeyPrefix::split(text)?;
        let (id, rest) = rest.split_at_checked(KEY_ID_CHARS)?;
        let tail = rest.strip_prefix('_')?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if tail.len() != SECRET_CHARS + CHECKSUM_CHARS || !is_plain(id) || !is_plain(tail) {
            return None;
        }
        let (body, given) = text.split_at(text.len() - CHECKSUM_CHARS);
        (checksum(body) == given).then(|| Self(text.to_owned()))
    }

    /// The part that finds the key.
    pub(crate) fn key_id(&self) -> &str {
        let end = self.0.len() - CHECKSUM_CHARS - SECRET_CHARS - 1;
        &self.0[end - KEY_ID_CHARS..end]
    }

    /// What is stored of it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The whole key, to be shown once.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyText({}_***)", self.key_id())
    }
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    digest.iter().take(CHECKSUM_CHARS).map(|byte| char::from(ALPHABET[usize::from(byte % 62)])).collect()
}

/// Characters of the alphabet, each equally likely: bytes from 248 on are drawn again.
fn random_chars(count: usize) -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let mut random = [0; 64];
        getrandom::fill(&mut random)?;
        let usable = random.iter().filter(|byte| **byte < 248).take(count - text.len());
        text.extend(usable.map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_mistypes_are_seen() {
        let key = ApiKeyText::generate(KeyPrefix::Secret).expect("randomness");
        let text = key.reveal().to_owned();
        assert_eq!(text.len(), 3 + 8 + 1 + 43 + 6);
        assert_eq!(ApiKeyText::parse(&text).as_ref(), Some(&key));
        assert_ne!(ApiKeyText::generate(KeyPrefix::Secret).expect("randomness"), key);
        assert!(!format!("{key:?}").contains(&text[12..]), "the secret is not shown");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let mistyped = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(ApiKeyText::parse(&mistyped), None, "{mistyped}");
        }
        let publishable = ApiKeyText::generate(KeyPrefix::Publishable).expect("randomness");
        assert!(publishable.reveal().starts_with(&format!("wpp_{}_", publishable.key_id())));
        assert_eq!(ApiKeyText::parse(publishable.reveal()), Some(publishable));
        for bad in ["", "wp_", "wp_ä", "wp_12345678", &text[1..], &format!("{text}0"), &"x".repeat(61)] {
            assert_eq!(ApiKeyText::parse(bad), None, "{bad}");
        }
    }
}
