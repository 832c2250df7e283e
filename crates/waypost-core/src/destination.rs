//! Destinations: the URLs that visitors are sent to, validated once and stored in the URL Standard's serialisation.
//!
//! Refused are: schemes that are not allowed, also if an app would build one out of the URL; credentials; control
//! characters; strings that are not a URL; and strings that are too long. `typed.rs` reads what people type and paste,
//! and suggests what they may have meant. Whether a host is one of our own (a loop) or in a private network is checked
//! by the caller.

mod bare_host;
mod typed;

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::Serialize;
use url::Url;

use crate::domain::HOST_BYTES_MAX;
use crate::quoted::{Shown, kept};

pub use bare_host::is_bare_host;
pub use typed::typed;

/// The most bytes of a destination, as given and as serialised.
pub const DESTINATION_BYTES_MAX: usize = 8_192;

/// Schemes that no configuration can allow: they run code, read local files or wrap another URL.
const NEVER: &[&str] =
    &["javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "ws", "wss"];

/// The URL schemes that links may lead to: `http`, `https` and those that the configuration adds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SchemePolicy {
    more: Vec<String>,
}

/// A scheme that cannot be allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be allowed as a scheme of destinations", crate::Quoted(scheme))]
pub struct SchemeError {
    scheme: String,
}

impl SchemePolicy {
    /// Allows `http` and `https` only.
    pub const fn web() -> Self {
        Self { more: Vec::new() }
    }

    /// Allows these schemes (`mailto`, `tel`, an app's own) besides `http` and `https`.
    ///
    /// # Errors
    /// If a string is not a scheme (RFC 3986 section 3.1), or is one that runs code or reads local files.
    pub fn with(schemes: &[&str]) -> Result<Self, SchemeError> {
        let mut more = Vec::new();
        for scheme in schemes {
            let lower = scheme.to_ascii_lowercase();
            let shaped = lower.starts_with(|first: char| first.is_ascii_lowercase())
                && lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
            if !shaped || NEVER.contains(&lower.as_str()) {
                return Err(SchemeError { scheme: (*scheme).to_owned() });
            }
            more.push(lower);
        }
        Ok(Self { more })
    }

    fn allows(&self, scheme: &str) -> bool {
        matches!(scheme, "http" | "https") || (!NEVER.contains(&scheme) && self.more.iter().any(|more| more == scheme))
    }
}

/// A validated destination: ASCII, without control characters, at most [`DESTINATION_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Destination(String);

/// Why a string cannot be a destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Nothing was given.
    #[error("a destination cannot be empty")]
    Empty,
    /// Longer than [`DESTINATION_BYTES_MAX`].
    #[error("a destination has at most {DESTINATION_BYTES_MAX} bytes")]
    Length,
    /// A control character anywhere in the text.
    #[error("a destination cannot contain control characters")]
    ControlCharacter,
    /// Not an absolute URL: its scheme is missing, or there are two.
    #[error("a destination starts with its scheme, once: did you mean {meant}?")]
    Slip {
        /// A suggestion of what was meant: a destination.
        meant: String,
    },
    /// Not an absolute URL.
    #[error("a destination is an absolute URL such as https://example.com/page ({reason})")]
    NotAUrl {
        /// What the URL parser found.
        reason: &'static str,
    },
    /// A scheme that is not allowed here.
    #[error("destinations with the scheme `{}` are not allowed{}", Shown(scheme), way_to_allow(scheme))]
    Scheme {
        /// The scheme found.
        scheme: String,
    },
    /// An app's URL that opens another one, of a scheme that is never allowed.
    #[error("destinations cannot open `{scheme}:` in an app")]
    Wrapped {
        /// The scheme found.
        scheme: &'static str,
    },
    /// A user name or password before the host.
    #[error("a destination cannot carry a user name or password before its host")]
    Userinfo,
}

impl DestinationError {
    /// A stable code for the reason: `empty`, `length`, `control_character`, `not_a_url`, `scheme`, `userinfo`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Length => "length",
            Self::ControlCharacter => "control_character",
            Self::NotAUrl { .. } | Self::Slip { .. } => "not_a_url",
            Self::Scheme { .. } | Self::Wrapped { .. } => "scheme",
            Self::Userinfo => "userinfo",
        }
    }
}

impl Destination {
    /// Reads a destination and serialises it as the URL Standard does. Spaces around it are removed.
    ///
    /// # Errors
    /// Which rule the string breaks. Nothing is repaired silently except what the URL Standard itself encodes.
    pub fn parse(text: &str, schemes: &SchemePolicy) -> Result<Self, DestinationError> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(DestinationError::Empty);
        }
        if text.len() > DESTINATION_BYTES_MAX {
            return Err(DestinationError::Length);
        }
        if is_serialised_web_url(text.as_bytes()) {
            return Ok(Self(text.to_owned()));
        }
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(DestinationError::ControlCharacter);
        }
        let url = Url::parse(text).map_err(|error| DestinationError::NotAUrl { reason: reason(error) })?;
        if !schemes.allows(url.scheme()) {
            return Err(DestinationError::Scheme { scheme: kept(url.scheme()) });
        }
        if let Some(scheme) = wrapped_scheme(&url) {
            return Err(DestinationError::Wrapped { scheme });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DestinationError::Userinfo);
        }
        let serialised = String::from(url);
        if serialised.len() > DESTINATION_BYTES_MAX {
            return Err(DestinationError::Length);
        }
        // The serialisation is printable ASCII. It is checked again because this is the last check before it becomes a
        // header.
        if !serialised.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
            return Err(DestinationError::ControlCharacter);
        }
        Ok(Self(serialised))
    }

    /// The serialised URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host in ASCII, if the scheme has one. Address literals have the URL's form (`[::1]`).
    pub fn host(&self) -> Option<String> {
        host_of(&self.0)
    }
}

/// The host of a serialised URL, if its scheme has one.
pub fn host_of(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// What the operator can do about a scheme.
fn way_to_allow(scheme: &str) -> &'static str {
    if NEVER.contains(&scheme) { "" } else { "; the setting `schemes` of the instance allows more than http and https" }
}

/// The scheme, if it is never allowed, that an app would build out of a URL: Android builds one from `intent:` and
/// `android-app:` URLs by their `scheme=`, by their path, or by what follows `intent:`; other apps open what follows
/// their own scheme.
fn wrapped_scheme(url: &Url) -> Option<&'static str> {
    if matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let text = percent_decode_str(url.as_str()).decode_utf8_lossy().to_ascii_lowercase();
    let text: String = text.chars().filter(|character| !character.is_whitespace() && !character.is_control()).collect();
    let never = |text: &str| {
        let name = text.split_once(':').map_or(text, |(name, _)| name);
        NEVER.iter().copied().find(|never| *never == name)
    };
    let mut rest = text.as_str();
    while let Some(behind) = rest.strip_prefix(url.scheme()).and_then(|behind| behind.strip_prefix(':')) {
        rest = behind;
    }
    let is_of_app = matches!(url.scheme(), "intent" | "android-app");
    let values = text.split([';', '#', '?', '&']).filter(|_| is_of_app);
    let mut values = values.filter_map(|part| never(part.split_once('=')?.1));
    let in_path = || rest.strip_prefix("//")?.split('/').nth(1).and_then(never);
    let of_package = (url.scheme() == "android-app").then(in_path).flatten();
    rest.contains(':').then(|| never(rest)).flatten().or_else(|| values.next()).or(of_package)
}

/// Whether a string is a web URL that the URL Standard's parser would return unchanged, found by one scan. This is the
/// common case for stored URLs. Everything else (a port, an address, an encoded host, dots at the start of a segment,
/// any rarer character) is left to the parser.
fn is_serialised_web_url(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"https://").or_else(|| text.strip_prefix(b"http://")) else { return false };
    let Some(host_bytes) = rest.iter().position(|byte| *byte == b'/') else { return false };
    let (host, rest) = rest.split_at(host_bytes);
    is_plain_host(host) && is_plain_rest(rest)
}

/// Labels of lower-case letters, digits and `-`, the last of which cannot be part of an IPv4 address.
fn is_plain_host(host: &[u8]) -> bool {
    if host.len() > HOST_BYTES_MAX {
        return false;
    }
    let (mut label_at, mut is_plain) = (0, true);
    for (at, byte) in host.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => {}
            b'.' => {
                is_plain &= at > label_at;
                label_at = at + 1;
            }
            _ => return false,
        }
        // `xn--` begins a label that must be decoded to be checked.
        is_plain &= *byte != b'x' || at != label_at || !host[at..].starts_with(b"xn--");
    }
    is_plain && host.get(label_at).is_some_and(u8::is_ascii_lowercase)
}

/// A path that begins with `/`, then perhaps a query and a fragment, of characters that none of the three encodes.
fn is_plain_rest(rest: &[u8]) -> bool {
    let mut in_path = true;
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            b'/' if in_path => {
                let segment = &rest[at + 1..];
                if segment.starts_with(b".")
                    || (segment.starts_with(b"%2") && matches!(segment.get(2), Some(b'e' | b'E')))
                {
                    return false;
                }
            }
            b'?' | b'#' => in_path = false,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' => {}
            b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' => {}
            _ => return false,
        }
    }
    true
}

const fn reason(error: url::ParseError) -> &'static str {
    match error {
        url::ParseError::EmptyHost => "it has no host",
        url::ParseError::IdnaError => "its host is no valid international name",
        url::ParseError::InvalidPort => "its port is no number from 0 to 65535",
        url::ParseError::InvalidIpv4Address => "its host is no valid IPv4 address",
        url::ParseError::InvalidIpv6Address => "its host is no valid IPv6 address",
        url::ParseError::InvalidDomainCharacter => "its host has a character that hosts do not have",
        url::ParseError::RelativeUrlWithoutBase => "it has no scheme",
        _ => "it cannot be read",
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// If the scan accepts a string, the parser returns it unchanged.
        #[test]
        fn the_scan_never_takes_what_the_parser_changes(
            start in "(http|https|HTTPS|ftp)://", host in "([a-z0-9.A-Z-]|xn--|é|_|%|:|@){0,12}",
            rest in "([a-zA-Z0-9/?#.%;:@&=+$,!~*()'\"<>^`{}|\\\\\\[\\] \t-]|/\\.\\.|%2e|%2E|é){0,16}",
        ) {
            let text = format!("{start}{host}/{rest}");
            if is_serialised_web_url(text.as_bytes()) {
                let url = Url::parse(&text);
                proptest::prop_assert_eq!(url.as_ref().map(Url::as_str), Ok(text.as_str()));
                proptest::prop_assert!(url.is_ok_and(|url| url.username().is_empty() && url.password().is_none()));
            }
        }
    }

    #[test]
    fn the_scan_takes_what_is_usual() {
        for usual in [
            "https://example.com/",
            "http://www.ex-ample.co.uk/a/b.html?x=1&y=%20#top",
            "https://a1.b2.example/path;v=1/%E2%82%AC/(x)?q=a+b:c@d/e?f",
        ] {
            assert!(is_serialised_web_url(usual.as_bytes()), "{usual}");
        }
        let long = format!("https://{}.example/", "a".repeat(70));
        let parsed = Url::parse(&long).map(String::from);
        assert_eq!(parsed.ok().as_deref() == Some(&long), is_serialised_web_url(long.as_bytes()));
        for unusual in [
            "https://example.com",
            "https://Example.com/",
            "https://192.0.2.1/",
            "https://a.1/",
            "https://a.0x1/",
            "https://xn--bcher-kva.example/",
            "https://a.xn--p1ai/",
            "https://example.com:443/",
            "https://u@example.com/",
            "https://example.com/a/../b",
            "https://example.com/%2e%2E/b",
            "https://example.com/a b",
            "https://example.com/?it's",
            "https:///x",
            "https://a..b/",
            "https://example./",
        ] {
            assert!(!is_serialised_web_url(unusual.as_bytes()), "{unusual}");
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let found = Destination::parse(text, &SchemePolicy::web());
        assert_eq!(found.as_ref().map(Destination::as_str).map_err(DestinationError::code), expect, "{text:?}");
    }

    #[test]
    fn serialises_as_the_url_standard_does() {
        check("https://example.com", Ok("https://example.com/"));
        check("  HTTPS://EXAMPLE.com:443/a/../b?x=ä#f  ", Ok("https://example.com/b?x=%C3%A4#f"));
        check("https://bücher.example/straße", Ok("https://xn--bcher-kva.example/stra%C3%9Fe"));
        check("http://[2001:DB8::1]:8080/", Ok("http://[2001:db8::1]:8080/"));
        check("https://example.com/?", Ok("https://example.com/?"));
        check("https://example.com/#", Ok("https://example.com/#"));
        check("https://example.com/a b?c d'e", Ok("https://example.com/a%20b?c%20d%27e"));
    }

    #[test]
    fn refuses() {
        check("", Err("empty"));
        check("   ", Err("empty"));
        check("example.com/page", Err("not_a_url"));
        check("https://", Err("not_a_url"));
        check("javascript:alert(1)", Err("scheme"));
        check("JaVaScRiPt:alert(1)", Err("scheme"));
        check("java\tscript:alert(1)", Err("control_character"));
        check("\u{1}javascript:alert(1)", Err("control_character"));
        check("data:text/html,x", Err("scheme"));
        check("file:///etc/passwd", Err("scheme"));
        check("mailto:a@example.com", Err("scheme"));
        check("https://user@example.com/", Err("userinfo"));
        check("https://:pw@example.com/", Err("userinfo"));
        check("https://example.com/\r\nSet-Cookie:x", Err("control_character"));
        check("https://example.com/\u{7f}", Err("control_character"));
        let long = format!("https://example.com/{}", "a".repeat(DESTINATION_BYTES_MAX - 20));
        check(&long, Ok(&long));
        check(&format!("{long}a"), Err("length"));
        check(&format!("https://example.com/{}", "ä".repeat(3000)), Err("length"));
    }

    #[test]
    fn more_schemes_only_by_name_and_never_code() {
        let policy = SchemePolicy::with(&["mailto", "myapp"]).expect("plain schemes");
        assert!(Destination::parse("mailto:a@example.com", &policy).is_ok());
        assert!(Destination::parse("myapp://open/1", &policy).is_ok());
        assert!(Destination::parse("tel:1", &policy).is_err());
        let apps = SchemePolicy::with(&["intent", "android-app", "googlechrome", "myapp"]).expect("plain schemes");
        for good in [
            "intent://scan/#Intent;scheme=zxing;package=com.example;S.browser_fallback_url=https%3A%2F%2Fexample.com;end",
            "intent://example.com/data/about#Intent;scheme=https;end",
            "android-app://com.example/https/example.com/javascript",
            "myapp://open?next=https://example.com/",
            "myapp:about",
        ] {
            assert!(Destination::parse(good, &apps).is_ok(), "{good}");
        }
        for bad in [
            "intent://x#Intent;scheme=javascript;end",
            "intent://x#Intent;SCHEME=JavaScript;end",
            "intent://x#Intent;scheme=%6aavascript;end",
            "intent:javascript:alert(1)#Intent;end",
            "intent:intent:javascript:alert(1)#Intent;end",
            "intent://x#Intent;S.browser_fallback_url=javascript%3Aalert(1);end",
            "intent://x#Intent;scheme=file;end",
            "android-app://com.example/javascript/alert(1)",
            "googlechrome:javascript:alert(1)",
        ] {
            assert_eq!(Destination::parse(bad, &apps).map_err(|error| error.code()), Err("scheme"), "{bad}");
        }
        for bad in ["javascript", "DATA", "", "1a", "a:b"] {
            assert!(SchemePolicy::with(&[bad]).is_err(), "{bad:?}");
        }
    }
}
