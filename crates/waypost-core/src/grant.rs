//! Unlock grants: the signed proof in a visitor's browser that the password of a link was entered. It is valid on every
//! edge.
//!
//! A grant is a cookie whose value is `EXPIRES.MAC`: its expiry in seconds since 1970, and in lower-case hexadecimal
//! the HMAC-SHA256, with the edge's key, of `waypost unlock 1`, a zero byte, the length of the link's subject (eight
//! bytes, little endian), the subject, the link's version and the expiry (eight bytes each). A change of the link
//! invalidates its grants. A grant contains nothing of the password.
//!
//! Checking the password is the control plane's work, or that of a Worker that runs alone.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

use crate::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// How long a grant is valid, in seconds, on every edge.
pub const GRANT_SECONDS: u32 = 24 * 60 * 60;
/// The prefix of the name of every grant's cookie.
const COOKIE_PREFIX: &str = "wp_unlock_";
/// Hexadecimal digits of the link's hash in the name of its cookie.
const COOKIE_HASH_DIGITS: usize = 16;
const MAC_DIGITS: usize = 64;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// The server's key for grants. Its debug output is redacted.
#[derive(Clone)]
pub struct GrantKey([u8; 32]);

/// The link that a grant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedLink<'a> {
    /// What identifies the link, as [`subject`] returns it.
    pub subject: &'a str,
    /// The version of its record.
    pub version: u64,
}

/// The scope of a grant's cookie.
#[derive(Clone, Copy, Debug)]
pub struct CookieScope<'a> {
    /// The requested path of the link, percent-encoded, with its leading `/`.
    pub path: &'a str,
    /// Whether visitors use HTTPS only.
    pub is_https: bool,
}

impl GrantKey {
    /// A key from 32 random bytes. Threads and processes that serve the same links share it.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The `Set-Cookie` value that grants `link` from `now` on for this many seconds.
    pub fn set_cookie(&self, link: GrantedLink<'_>, scope: CookieScope<'_>, now: Timestamp, seconds: u32) -> String {
        let expires = now.as_micros().div_euclid(MICROS_PER_SECOND) + i64::from(seconds);
        let name = cookie_name(link.subject);
        let mac = hex(&self.mac(link, expires).finalize().into_bytes());
        // No link has a path that could end the attribute. The root is the harmless choice then.
        let is_plain = scope.path.starts_with('/') && scope.path.bytes().all(|b| b.is_ascii_graphic() && b != b';');
        let path = if is_plain { scope.path } else { "/" };
        let secure = if scope.is_https { "; Secure" } else { "" };
        format!("{name}={expires}.{mac}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }

    /// Whether a `Cookie` header has a grant for `link` that is valid at `now`. Compares in constant time.
    pub fn is_granted(&self, cookie_header: &str, link: GrantedLink<'_>, now: Timestamp) -> bool {
        let name = cookie_name(link.subject);
        let pairs = cookie_header.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(key, _)| *key == name).any(|(_, value)| self.is_valid(value, link, now))
    }

    fn is_valid(&self, value: &str, link: GrantedLink<'_>, now: Timestamp) -> bool {
        let Some((expires, mac)) = value.split_once('.') else { return false };
        let Ok(expires) = expires.parse::<i64>() else { return false };
        let Some(mac) = unhex(mac) else { return false };
        let holds = now.as_micros().div_euclid(MICROS_PER_SECOND) < expires;
        self.mac(link, expires).verify_slice(&mac).is_ok() && holds
    }

    fn mac(&self, link: GrantedLink<'_>, expires: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(b"waypost unlock 1\0");
        mac.update(&(link.subject.len() as u64).to_le_bytes());
        mac.update(link.subject.as_bytes());
        mac.update(&link.version.to_le_bytes());
        mac.update(&expires.to_le_bytes());
        mac
    }
}

impl fmt::Debug for GrantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantKey(***)")
    }
}

/// What identifies a link to grants: its id, or `domain/slug` as the table stores it if the record has no id.
pub fn subject<'a>(link_id: Option<&'a str>, domain: &str, slug: &str) -> Cow<'a, str> {
    link_id.map_or_else(|| Cow::Owned(format!("{domain}/{slug}")), Cow::Borrowed)
}

/// The name of the cookie that grants a link.
pub fn cookie_name(subject: &str) -> String {
    let mut name = String::from(COOKIE_PREFIX);
    name.push_str(&hex(&Sha256::digest(subject.as_bytes())[..COOKIE_HASH_DIGITS / 2]));
    name
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

fn unhex(text: &str) -> Option<[u8; MAC_DIGITS / 2]> {
    let digits = text.as_bytes();
    let is_hex = digits.len() == MAC_DIGITS && digits.iter().all(u8::is_ascii_hexdigit);
    if !is_hex {
        return None;
    }
    let mut bytes = [0; MAC_DIGITS / 2];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: GrantKey = GrantKey::new([7; 32]);
    const LINK: GrantedLink<'_> = GrantedLink { subject: "link_1", version: 3 };
    const SCOPE: CookieScope<'_> = CookieScope { path: "/gr%C3%B6%C3%9Fe", is_https: true };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * MICROS_PER_SECOND)
    }

    fn cookie() -> String {
        let header = KEY.set_cookie(LINK, SCOPE, at(1000), 60);
        header.split(';').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_grant_holds_for_its_link_version_and_time() {
        assert!(KEY.is_granted(&cookie(), LINK, at(1000)));
        assert!(KEY.is_granted(&format!("a=b; {}; c=d", cookie()), LINK, at(1059)));
        assert!(!KEY.is_granted(&cookie(), LINK, at(1060)));
        assert!(!KEY.is_granted(&cookie(), GrantedLink { version: 4, ..LINK }, at(1000)));
        assert!(!KEY.is_granted(&cookie(), GrantedLink { subject: "link_2", ..LINK }, at(1000)));
        assert!(!GrantKey::new([8; 32]).is_granted(&cookie(), LINK, at(1000)));
    }

    #[test]
    fn a_forged_or_broken_grant_is_none() {
        let name = cookie_name(LINK.subject);
        let mac = cookie().split_once('.').map(|(_, mac)| mac.to_owned()).unwrap_or_default();
        for value in ["", ".", "1060", "x.y", "9999999999.", &format!("9999999999.{mac}"), &format!("1060.{mac}0")] {
            assert!(!KEY.is_granted(&format!("{name}={value}"), LINK, at(1000)), "{value}");
        }
        assert!(KEY.is_granted(&format!("{name}=junk; {}", cookie()), LINK, at(1000)), "a junk twin does not hide it");
        assert!(!KEY.is_granted("", LINK, at(1000)));
    }

    #[test]
    fn the_cookie_is_confined() {
        let header = KEY.set_cookie(LINK, SCOPE, at(1000), 60);
        let (_, attributes) = header.split_once("; ").unwrap_or_default();
        assert_eq!(attributes, "Path=/gr%C3%B6%C3%9Fe; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        let odd = KEY.set_cookie(LINK, CookieScope { path: "/a;Domain=x", is_https: false }, at(1000), 60);
        assert!(odd.ends_with("; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"), "{odd}");
        assert_eq!(format!("{KEY:?}"), "GrantKey(***)");
    }
}
