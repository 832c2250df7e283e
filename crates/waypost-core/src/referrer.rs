//! The host of a referrer, and whether it belongs to a site.

use memchr::{memchr, memrchr};

/// The host of an absolute URL, found by a scan; without port, credentials and trailing dot.
///
/// `None` if the text has no `scheme://host`. The host is as the visitor wrote it; compare it with [`is_within`].
pub fn host(referrer: &str) -> Option<&str> {
    let referrer = referrer.trim_ascii();
    // A scheme has no colon, so the first colon ends it.
    let (scheme, rest) = referrer.split_at(memchr(b':', referrer.as_bytes())?);
    let rest = rest.strip_prefix("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !is_scheme {
        return None;
    }
    // A browser reads `\` as `/` in web URLs, so `https://evil.example\@t.co/` is a page of evil.example.
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#')).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host_and_port = &authority[memrchr(b'@', authority.as_bytes()).map_or(0, |at| at + 1)..];
    let host = match host_and_port.strip_prefix('[') {
        Some(literal) => &host_and_port[..literal.find(']')? + 2],
        None => &host_and_port[..memchr(b':', host_and_port.as_bytes()).unwrap_or(host_and_port.len())],
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then_some(host)
}

/// Whether `host` is `site` or below it at a label boundary: `m.twitter.com` is within `twitter.com`, `nottwitter.com`
/// is not. `site` is in ASCII; letter case does not matter.
pub fn is_within(host: &str, site: &str) -> bool {
    let (host, site) = (host.as_bytes(), site.as_bytes());
    let Some(above) = host.len().checked_sub(site.len()) else { return false };
    !site.is_empty() && host[above..].eq_ignore_ascii_case(site) && (above == 0 || host[above - 1] == b'.')
}

/// A site as conditions store it: the ASCII form of its host, in lower case, without a trailing dot.
///
/// A string that is not a host is stored in lower case; it never matches a visitor's host.
pub(crate) fn normalise_site(site: &str) -> String {
    let site = site.trim_ascii().trim_end_matches('.');
    idna::domain_to_ascii(site).unwrap_or_else(|_| site.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(referrer: &str, expect: Option<&str>) {
        assert_eq!(host(referrer), expect, "{referrer:?}");
    }

    #[test]
    fn hosts() {
        check("https://t.co/abc?x#y", Some("t.co"));
        check("https://T.CO", Some("T.CO"));
        check("http://example.com:8080/", Some("example.com"));
        check("http://example.com./", Some("example.com"));
        check("https://user:pw@example.com/", Some("example.com"));
        check("https://t.co@evil.example/", Some("evil.example"));
        check("https://evil.example\\@t.co/", Some("evil.example"));
        check("https://[2001:db8::1]:80/", Some("[2001:db8::1]"));
        check("android-app://com.twitter.android/", Some("com.twitter.android"));
        check("https://[broken", None);
        check("https:///path", None);
        check("t.co", None);
        check("", None);
        check("a b://t.co/", None);
    }

    #[test]
    fn label_boundaries() {
        assert!(is_within("twitter.com", "twitter.com"));
        assert!(is_within("M.Twitter.com", "twitter.com"));
        assert!(!is_within("nottwitter.com", "twitter.com"));
        assert!(!is_within("twitter.com.evil.example", "twitter.com"));
        assert!(!is_within("com", "twitter.com"));
        assert!(!is_within("twitter.com", ""));
        assert_eq!(normalise_site("Bücher.example."), "xn--bcher-kva.example");
    }
}
