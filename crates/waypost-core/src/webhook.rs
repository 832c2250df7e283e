//! Signatures of webhooks, as the Standard Webhooks specification defines them: `v1,` and HMAC-SHA256 of
//! `id.timestamp.body` in base64. Both ends of a delivery use this: the edge that signs, and the control plane that
//! verifies.
//!
//! Several keys may be valid at once, so that a key can be changed while the other side still has only the old one: the
//! sender adds a signature with each key, the receiver accepts a signature with any. The receiver decides how old a
//! timestamp may be.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// The fewest bytes of a key, by the specification.
const KEY_BYTES_MIN: usize = 24;
/// The most bytes of a key.
const KEY_BYTES_MAX: usize = 64;
/// The most keys at once.
const KEYS_MAX: usize = 8;
/// The most signatures of one message that are verified.
const SIGNATURES_MAX: usize = 16;
const SIGNATURE_BYTES: usize = 32;

/// The valid keys, the newest first; perhaps none. Their debug output is redacted.
#[derive(Clone, Default)]
pub struct WebhookKeys {
    keys: Vec<Hmac<Sha256>>,
}

/// What a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedMessage<'a> {
    /// The header `webhook-id`.
    pub id: &'a str,
    /// The header `webhook-timestamp`, as it was sent.
    pub timestamp: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// A string that is not a list of keys. The error does not contain it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is `{PREFIX}` and the base64 of {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes; there may be {KEYS_MAX}")]
pub struct WebhookKeyError;

impl WebhookKeys {
    /// Reads keys from a configuration string, the newest first.
    ///
    /// # Errors
    /// If one has another format, or there are too many.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, WebhookKeyError> {
        let keys: Vec<_> = texts.into_iter().map(read_key).collect::<Result<_, _>>()?;
        if keys.len() > KEYS_MAX { Err(WebhookKeyError) } else { Ok(Self { keys }) }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Writes the value of `webhook-signature` to the end of `out`: a signature with each key, separated by spaces.
    pub fn sign(&self, message: SignedMessage<'_>, out: &mut Vec<u8>) {
        for (index, key) in self.keys.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(b"v1,");
            write_base64(&mac_of(key, message).finalize().into_bytes(), out);
        }
    }

    /// Whether one of these signatures (the value of `webhook-signature`) was created with one of the keys. Signatures
    /// of other versions are ignored. Every signature is compared for every key, each in constant time.
    pub fn is_signed(&self, message: SignedMessage<'_>, signatures: &str) -> bool {
        let signatures: Vec<[u8; SIGNATURE_BYTES]> =
            signatures.split(' ').take(SIGNATURES_MAX).filter_map(read_signature).collect();
        if signatures.is_empty() {
            return false;
        }
        self.keys.iter().fold(false, |is_signed, key| {
            let mac = mac_of(key, message);
            let is_by_this = |signature: &[u8; SIGNATURE_BYTES]| mac.clone().verify_slice(signature).is_ok();
            signatures.iter().fold(is_signed, |is_signed, signature| is_by_this(signature) | is_signed)
        })
    }

    /// A secret derived from the newest key and a purpose; `None` without keys.
    pub fn derive(&self, purpose: &[u8], of: &[u8]) -> Option<[u8; 32]> {
        let mut mac = self.keys.first()?.clone();
        mac.update(purpose);
        mac.update(of);
        Some(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for WebhookKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookKeys({} of them)", self.keys.len())
    }
}

fn mac_of(key: &Hmac<Sha256>, message: SignedMessage<'_>) -> Hmac<Sha256> {
    let mut mac = key.clone();
    for part in [message.id.as_bytes(), b".", message.timestamp.as_bytes(), b".", message.body] {
        mac.update(part);
    }
    mac
}

fn read_key(text: &str) -> Result<Hmac<Sha256>, WebhookKeyError> {
    let bytes = text.strip_prefix(PREFIX).and_then(read_base64).ok_or(WebhookKeyError)?;
    if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&bytes.len()) {
        return Err(WebhookKeyError);
    }
    Hmac::new_from_slice(&bytes).map_err(|_| WebhookKeyError)
}

fn read_signature(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    read_base64(text.strip_prefix("v1,")?)?.try_into().ok()
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

/// Base64 of at most a key's length, with or without padding; `None` for anything else.
fn read_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() > KEY_BYTES_MAX * 2 || text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
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
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    /// The example that the specification's libraries use in their tests.
    const MESSAGE: SignedMessage<'static> =
        SignedMessage { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330", body: br#"{"test": 2432232314}"# };
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn keys(texts: &[&str]) -> WebhookKeys {
        WebhookKeys::parse(texts.iter().copied()).unwrap()
    }

    fn signature(texts: &[&str]) -> String {
        let mut out = Vec::new();
        keys(texts).sign(MESSAGE, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn signs_as_the_specification_does() {
        assert_eq!(signature(&[SECRET]), SIGNATURE);
        assert!(signature(&[OTHER, SECRET]).ends_with(&format!(" {SIGNATURE}")));
        assert_eq!(signature(&[]), "");
    }

    /// Created by OpenSSL, with the key of [`OTHER`] (24 zero bytes) and a body that is not UTF-8: `printf
    /// 'msg_1.1768473000.\xff\x00' | openssl dgst -sha256 -mac HMAC -macopt hexkey:00..00 -binary | base64`
    #[test]
    fn checks_what_others_signed() {
        let message = SignedMessage { id: "msg_1", timestamp: "1768473000", body: b"\xff\0" };
        assert!(keys(&[OTHER]).is_signed(message, "v1,n/WyfBRGe2nBAIfQXVDJ/3HU2fygeRols86tgrDLPLg="));
    }

    #[test]
    fn any_key_and_any_signature_will_do() {
        #[track_caller]
        fn check(texts: &[&str], signatures: &str, expect: bool) {
            assert_eq!(keys(texts).is_signed(MESSAGE, signatures), expect, "{signatures}");
        }
        let other = signature(&[OTHER]);
        check(&[SECRET], SIGNATURE, true);
        check(&[OTHER, SECRET], SIGNATURE, true);
        check(&[SECRET, OTHER], &other, true);
        check(&[SECRET], &format!("v1a,xyz {other} v2,{} {SIGNATURE}", &SIGNATURE[3..]), true);
        check(&[SECRET], SIGNATURE.trim_end_matches('='), true);
        check(&[SECRET], &other, false);
        check(&[], SIGNATURE, false);
        for bad in ["", " ", "v1,", "v1", "v1,AAAA", &SIGNATURE[3..], "v1,*", &SIGNATURE.replace("v1", "v2")] {
            check(&[SECRET], bad, false);
        }
        check(&[SECRET], &format!("{}{SIGNATURE}", "v1,AAAA ".repeat(SIGNATURES_MAX)), false);
        check(&[SECRET], &format!("v1,{}", "A".repeat(1 << 20)), false);
    }

    #[test]
    fn every_byte_is_covered() {
        let keys = keys(&[SECRET]);
        let changed = [
            SignedMessage { id: "msg_p5jXN8AQM9LWM0D4loKWxJel", ..MESSAGE },
            SignedMessage { timestamp: "1614265331", ..MESSAGE },
            SignedMessage { body: br#"{"test": 2432232315}"#, ..MESSAGE },
            SignedMessage { body: b"", ..MESSAGE },
        ];
        assert!(changed.into_iter().all(|message| !keys.is_signed(message, SIGNATURE)));
        let digits = SIGNATURE.len() - 2;
        for at in 3..digits {
            let mut text = SIGNATURE.to_owned();
            let digit = if &text[at..=at] == "A" { "B" } else { "A" };
            text.replace_range(at..=at, digit);
            assert!(!keys.is_signed(MESSAGE, &text), "{text}");
        }
    }

    #[test]
    fn keys_of_other_forms_are_refused() {
        assert!(keys(&[]).is_empty());
        let long = format!("whsec_{}", "A".repeat(88));
        for bad in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_AAAA",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS*",
            "***",
            " whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            &long,
        ] {
            let error = WebhookKeys::parse([bad]).unwrap_err();
            assert!(bad.len() < 10 || !error.to_string().contains(bad), "{error}");
        }
        assert!(WebhookKeys::parse([SECRET; KEYS_MAX]).is_ok());
        assert!(WebhookKeys::parse([SECRET; KEYS_MAX + 1]).is_err());
        assert_eq!(format!("{:?}", keys(&[SECRET])), "WebhookKeys(1 of them)");
    }

    #[test]
    fn what_is_derived_differs_by_purpose() {
        let keys = keys(&[SECRET, OTHER]);
        assert_eq!(keys.derive(b"a", b"b"), keys.derive(b"a", b"b"));
        assert_ne!(keys.derive(b"a", b"b"), keys.derive(b"a", b"c"));
        assert_eq!(WebhookKeys::default().derive(b"a", b"b"), None);
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
