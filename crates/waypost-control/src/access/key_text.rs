//! The text of an API key: `wp_`, 8 characters to look it up by, `_`, 43 characters of secret and 6 of checksum, all of
//! `0-9A-Za-z`.
//!
//! The secret has 256 bits. The checksum lets scanners for leaked secrets recognise a key, and lets a mistyped key be
//! refused without a query. Only a SHA-256 digest of the whole text is stored.

use std::fmt;

use sha2::{Digest as _, Sha256};
use waypost_core::slug::ALPHABET;
use waypost_store::KEY_ID_CHARS;

const PREFIX: &str = "wp_";
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;

/// A key as its holder has it. Does not show itself in debug output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKeyText(String);

impl ApiKeyText {
    /// A new key from secure randomness.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let id = random_chars(KEY_ID_CHARS)?;
        let secret = random_chars(SECRET_CHARS)?;
        let body = format!("{PREFIX}{id}_{secret}");
        let checksum = checksum(&body);
        Ok(Self(body + &checksum))
    }

    /// Reads a key; `None` where the text cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_at_checked(KEY_ID_CHARS)?;
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
        &self.0[PREFIX.len()..PREFIX.len() + KEY_ID_CHARS]
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
        write!(f, "ApiKeyText({PREFIX}{}_***)", self.key_id())
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
        let key = ApiKeyText::generate().expect("randomness");
        let text = key.reveal().to_owned();
        assert_eq!(text.len(), 3 + 8 + 1 + 43 + 6);
        assert_eq!(ApiKeyText::parse(&text).as_ref(), Some(&key));
        assert_ne!(ApiKeyText::generate().expect("randomness"), key);
        assert!(!format!("{key:?}").contains(&text[12..]), "the secret is not shown");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let mistyped = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(ApiKeyText::parse(&mistyped), None, "{mistyped}");
        }
        for bad in ["", "wp_", "wp_ä", "wp_12345678", &text[1..], &format!("{text}0"), &"x".repeat(61)] {
            assert_eq!(ApiKeyText::parse(bad), None, "{bad}");
        }
    }
}
