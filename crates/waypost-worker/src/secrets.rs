//! The secrets that this Worker shares with the control plane: what signs its clicks, and what is derived from them.
//!
//! Clicks are signed as the Standard Webhooks specification says: HMAC-SHA256 of `id.timestamp.body`, in base64 behind
//! `v1,`. With several secrets there is a signature by each, so that a secret can be changed while the other side still
//! knows only the old one. Grants and the salts of visitor keys come from the first.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use waypost_core::grant::GrantKey;
use waypost_core::visitor::Salt;

const PREFIX: &str = "whsec_";
/// The fewest bytes of a secret, as the specification has it.
const BYTES_MIN: usize = 24;
/// The most bytes of a secret.
const BYTES_MAX: usize = 64;
/// The most secrets at once.
const SECRETS_MAX: usize = 4;

/// The secrets, the newest first; perhaps none.
#[derive(Default)]
pub(crate) struct Secrets {
    keys: Vec<Hmac<Sha256>>,
}

/// A text that holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret is `whsec_` and the base64 of {BYTES_MIN} to {BYTES_MAX} bytes; there may be {SECRETS_MAX}, with spaces between"
)]
pub(crate) struct SecretError;

impl Secrets {
    /// Reads secrets with white space between them.
    ///
    /// # Errors
    /// Where one is of another form. The error does not show it.
    pub(crate) fn parse(text: &str) -> Result<Self, SecretError> {
        let keys: Vec<_> = text.split_ascii_whitespace().map(key_of).collect::<Result<_, _>>()?;
        if keys.len() > SECRETS_MAX { Err(SecretError) } else { Ok(Self { keys }) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Writes the value of `webhook-signature` to the end of `out`.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8], out: &mut Vec<u8>) {
        for (index, key) in self.keys.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            let mut mac = key.clone();
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            out.extend_from_slice(b"v1,");
            write_base64(&mac.finalize().into_bytes(), out);
        }
    }

    /// The salt of a day's visitor keys. It is the same at every place the Worker runs, and cannot be found without the
    /// secret.
    pub(crate) fn salt_of(&self, day: i64) -> Option<Salt> {
        let mac = self.derive(b"waypost visitor salt 1\0", &day.to_le_bytes())?;
        mac.first_chunk().copied()
    }

    /// The key of this Worker's unlock grants.
    pub(crate) fn grant_key(&self) -> Option<GrantKey> {
        self.derive(b"waypost worker grants 1\0", b"").map(GrantKey::new)
    }

    fn derive(&self, purpose: &[u8], of: &[u8]) -> Option<[u8; 32]> {
        let mut mac = self.keys.first()?.clone();
        mac.update(purpose);
        mac.update(of);
        Some(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} of them)", self.keys.len())
    }
}

fn key_of(text: &str) -> Result<Hmac<Sha256>, SecretError> {
    let bytes = text.strip_prefix(PREFIX).and_then(read_base64).ok_or(SecretError)?;
    if !(BYTES_MIN..=BYTES_MAX).contains(&bytes.len()) {
        return Err(SecretError);
    }
    Hmac::new_from_slice(&bytes).map_err(|_| SecretError)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let sextet = (word >> (18 - 6 * index)) & 63;
            out.push(if index <= chunk.len() { ALPHABET[sextet as usize] } else { b'=' });
        }
    }
}

/// Base64 with or without padding; `None` for anything else.
fn read_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for chunk in digits.chunks(4) {
        let mut word = 0_u32;
        for digit in chunk {
            word = word << 6 | ALPHABET.iter().position(|known| known == digit)? as u32;
        }
        word <<= 6 * (4 - chunk.len());
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signature(secrets: &str) -> String {
        let mut out = Vec::new();
        let body = br#"{"test": 2432232314}"#;
        Secrets::parse(secrets).unwrap().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn signs_as_the_specification_does() {
        // The example that libraries of the specification test themselves with.
        let expect = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(SECRET), expect);
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(signature(&format!("{other} {SECRET}")).ends_with(&format!(" {expect}")));
    }

    #[test]
    fn secrets_of_other_forms_are_refused() {
        assert!(Secrets::parse(" ").unwrap().is_empty());
        for bad in
            ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS*"]
        {
            assert_eq!(Secrets::parse(bad).unwrap_err(), SecretError, "{bad}");
        }
        assert!(Secrets::parse(&[SECRET; 5].join(" ")).is_err());
        assert_eq!(format!("{:?}", Secrets::parse(SECRET).unwrap()), "Secrets(1 of them)");
    }

    #[test]
    fn what_is_derived_differs_by_purpose_and_day() {
        let secrets = Secrets::parse(SECRET).unwrap();
        assert_eq!(secrets.salt_of(20_000), secrets.salt_of(20_000));
        assert_ne!(secrets.salt_of(20_000), secrets.salt_of(20_001));
        assert_eq!(Secrets::default().salt_of(1), None);
        assert!(Secrets::default().grant_key().is_none());
    }

    #[test]
    fn base64_goes_both_ways() {
        for length in 0..40_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            let mut text = Vec::new();
            write_base64(&bytes, &mut text);
            assert_eq!(read_base64(str::from_utf8(&text).unwrap()), Some(bytes));
        }
        assert_eq!(read_base64("A"), None);
        assert_eq!(read_base64("AA==="), None);
    }
}
