//! Which domain a request is for: its host, read strictly, and the domain that this host stands for.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use waypost_core::domain::{DomainSettings, HOST_BYTES_MAX};
use waypost_table::Domains;

/// What to do with a request for a host that no domain is configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPolicy {
    /// Serve it as the default domain. For an instance whose public URL is not set.
    AnyIsDefault,
    /// Answer 404, except that address literals and `localhost` are the default domain, and that health probes are
    /// answered on any host.
    Strict,
}

/// The domain that a request is for, as the table knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site<'d> {
    /// The name under which the table has its links.
    pub(crate) table_key: &'d str,
    pub(crate) case_insensitive: bool,
    pub(crate) root_url: Option<&'d str>,
}

impl<'d> Site<'d> {
    /// The domain that serves `host` (as [`parse_host`] gives it), if any does.
    pub(crate) fn of(host: &str, domains: &'d Domains, policy: HostPolicy) -> Option<Self> {
        if let Some(domain) = domains.by_host(host) {
            return Some(Self::from(domain));
        }
        let stands_for_default = match policy {
            HostPolicy::AnyIsDefault => true,
            HostPolicy::Strict => host == "localhost" || is_address(host),
        };
        stands_for_default.then(|| domains.default_domain().map_or_else(Self::default, Self::from))
    }
}

impl<'d> From<&'d DomainSettings> for Site<'d> {
    fn from(domain: &'d DomainSettings) -> Self {
        Self {
            table_key: domain.table_key(),
            case_insensitive: domain.case_insensitive,
            root_url: domain.root_url.as_deref(),
        }
    }
}

/// Reads `host[:port]` as it stands in a `Host` header: returns the host in lower case, without port or trailing dot,
/// and nothing if it is not one. Internationalised names come in their ASCII form here, as browsers send them.
pub(crate) fn parse_host(text: &[u8]) -> Option<Cow<'_, str>> {
    let (host, port) = if text.first() == Some(&b'[') {
        let end = text.iter().position(|byte| *byte == b']')?;
        let (host, rest) = text.split_at(end + 1);
        str::from_utf8(&host[1..end]).ok()?.parse::<Ipv6Addr>().ok()?;
        (host, if rest.is_empty() { rest } else { rest.strip_prefix(b":")? })
    } else {
        let end = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
        let host = &text[..end];
        let host = host.strip_suffix(b".").unwrap_or(host);
        (is_name(host).then_some(host)?, text.get(end + 1..).unwrap_or_default())
    };
    if !is_port(port) {
        return None;
    }
    let host = str::from_utf8(host).ok()?;
    let has_upper_case = host.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if has_upper_case { host.to_ascii_lowercase().into() } else { host.into() })
}

/// The host that was read last, which usually is also the next one.
#[derive(Debug, Default)]
pub(crate) struct LastHost {
    /// As it was received. Empty before the first.
    text: Vec<u8>,
    host: String,
}

impl LastHost {
    /// As [`parse_host`].
    #[inline]
    pub(crate) fn parse(&mut self, text: &[u8]) -> Option<&str> {
        if self.text != text || text.is_empty() {
            let host = parse_host(text)?;
            self.host.clear();
            self.host.push_str(&host);
            self.text.clear();
            self.text.extend_from_slice(text);
        }
        Some(&self.host)
    }

    /// Whether this is the same header value.
    #[inline]
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        self.text == text
    }
}

/// Letters, digits, `-` and `_` between single dots.
fn is_name(host: &[u8]) -> bool {
    let (mut is_name, mut last) = (true, b'.');
    for &byte in host {
        is_name &=
            (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) && (byte != b'.' || last != b'.');
        last = byte;
    }
    is_name && last != b'.' && host.len() <= HOST_BYTES_MAX
}

fn is_port(port: &[u8]) -> bool {
    let number = port.iter().try_fold(0_u32, |number, digit| match digit {
        b'0'..=b'9' if number < 10_000 => Some(number * 10 + u32::from(digit - b'0')),
        _ => None,
    });
    number.is_some_and(|number| number <= 65_535)
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(parse_host(text.as_bytes()).as_deref(), expect, "{text:?}");
    }

    #[test]
    fn hosts() {
        check("go.example", Some("go.example"));
        check("Go.EXAMPLE:8080", Some("go.example"));
        check("go.example.", Some("go.example"));
        check("go.example.:80", Some("go.example"));
        check("go.example:", Some("go.example"));
        check("127.0.0.1:80", Some("127.0.0.1"));
        check("[::1]", Some("[::1]"));
        check("[2001:DB8::1]:443", Some("[2001:db8::1]"));
        for bad in [
            "",
            ":80",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a@b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:123456",
            "a,b",
            "[::1",
            "[::1]x",
            "[1.2.3.4]",
            "[]",
            "::1",
            "bücher.example",
            "a\t",
            "a?b",
            "a#b",
            "a%20b",
            "a\\b",
            "<a>",
        ] {
            check(bad, None);
        }
        check(&"a".repeat(253), Some(&"a".repeat(253)));
        check(&"a".repeat(254), None);
        assert_eq!(parse_host(b"a\xff"), None);
    }

    #[test]
    fn unknown_hosts_by_policy() {
        let domains = Domains::default();
        for host in ["go.example", "localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(Site::of(host, &domains, HostPolicy::AnyIsDefault), Some(Site::default()), "{host}");
            let strict = (host != "go.example").then(Site::default);
            assert_eq!(Site::of(host, &domains, HostPolicy::Strict), strict, "{host}");
        }
    }
}
