//! The client of a request: the visitor's address, country and scheme, as far as they can be trusted.
//!
//! Forwarded headers are read only if the peer itself is a configured proxy, and `X-Forwarded-For` only from the
//! right, up to the first address that is not one. `X-Real-IP`, `CF-Connecting-IP`, `Forwarded` and `X-Forwarded-Host`
//! are never read: a proxy that sends only those is configured to send `X-Forwarded-For` too.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderName;
use ipnet::IpNet;
use waypost_core::click::country_letters;

use crate::fields::Headers;

/// The most entries of `X-Forwarded-For` that are read, from the right.
const FORWARDED_ENTRIES_MAX: usize = 50;
/// The most bytes of `X-Forwarded-For` that are read, from the right.
const FORWARDED_BYTES_MAX: usize = 4096;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What the edge knows about the client of a request that it hands to the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFacts {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The visitor's address: the peer, or the one a trusted proxy named.
    pub address: IpAddr,
    /// The visitor's country in two capital letters, if a trusted proxy named it.
    pub country: Option<String>,
    /// The requested host, in lower case, without port or trailing dot.
    pub host: String,
    /// The domain that serves this host, as the link table names it: empty for the default domain.
    pub domain: String,
    /// Whether a trusted proxy says that the visitor came over HTTPS.
    pub is_https: bool,
}

/// The peers whose forwarded headers are trusted, and what these headers may say.
#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    country_header: Option<HeaderName>,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>, country_header: Option<HeaderName>) -> Self {
        Self { trusted, country_header }
    }

    /// Whether an address, in its canonical form, belongs to a configured proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The visitor's address, given the headers of a trusted peer.
    pub(crate) fn visitor_address(&self, peer: IpAddr, headers: &(impl Headers + ?Sized)) -> IpAddr {
        let mut address = peer;
        let mut bytes_left = FORWARDED_BYTES_MAX;
        let name = X_FORWARDED_FOR;
        let entries = headers.values_reversed(&name).flat_map(rsplit_entries);
        for entry in entries.take(FORWARDED_ENTRIES_MAX) {
            let Some(rest) = bytes_left.checked_sub(entry.len() + 1) else { break };
            bytes_left = rest;
            let Some(named) = parse_entry(entry) else { break };
            address = named;
            if !self.trusts(named) {
                break;
            }
        }
        address
    }

    /// Whether the peer names the client that it forwards for.
    pub(crate) fn is_forwarded(headers: &(impl Headers + ?Sized)) -> bool {
        headers.first_value(&X_FORWARDED_FOR).is_some()
    }

    /// The visitor's country, given the headers of a trusted peer: two letters, and not the `XX` of "unknown".
    pub(crate) fn country(&self, headers: &(impl Headers + ?Sized)) -> Option<[u8; 2]> {
        country_letters(str::from_utf8(headers.first_value(self.country_header.as_ref()?)?).ok()?.trim())
    }

    /// Whether the visitor came over HTTPS, given the headers of a trusted peer.
    pub(crate) fn is_https(headers: &(impl Headers + ?Sized)) -> bool {
        headers.first_value(&X_FORWARDED_PROTO).is_some_and(|value| value.eq_ignore_ascii_case(b"https"))
    }
}

fn rsplit_entries(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.rsplit(|byte| *byte == b',')
}

/// One entry of `X-Forwarded-For`: an address, with or without brackets and port.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<std::net::Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hyper::HeaderMap;
    use hyper::header::HeaderValue;

    use super::*;

    /// 10.0.0.0/8 and fd00::/8 are proxies; each item of `headers` is one `X-Forwarded-For` field.
    #[track_caller]
    fn check(peer: &str, headers: &[&str], expect: &str) {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], None);
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(X_FORWARDED_FOR, HeaderValue::from_str(header).unwrap());
        }
        let address = proxies.visitor_address(peer.parse().unwrap(), &map);
        assert_eq!(address, expect.parse::<IpAddr>().unwrap(), "{headers:?}");
    }

    #[test]
    fn walks_from_the_right_to_the_first_stranger() {
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["203.0.113.7"], "203.0.113.7");
        check("10.0.0.1", &["203.0.113.7, 10.0.0.2"], "203.0.113.7");
        check("10.0.0.1", &["203.0.113.7, 10.0.0.3, 10.0.0.2"], "203.0.113.7");
        check("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.3, 10.0.0.2"], "203.0.113.7");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check("10.0.0.1", &["1.1.1.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7");
    }

    #[test]
    fn reads_ports_brackets_and_mapped_addresses() {
        check("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7");
        check("10.0.0.1", &["2001:db8::1"], "2001:db8::1");
        check("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1");
        check("10.0.0.1", &["[2001:db8::1]:443,fd00::2"], "2001:db8::1");
        check("10.0.0.1", &["203.0.113.7, ::ffff:10.0.0.9"], "203.0.113.7");
        check("fd00::1", &["\t203.0.113.7 ,\t[fd00::2]:80 "], "203.0.113.7");
    }

    #[test]
    fn garbage_ends_the_walk_at_the_last_good_address() {
        for garbage in ["unknown", "", "_hidden", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "[1.2.3.4]", "1.2.3.4:99999"] {
            check("10.0.0.1", &[garbage], "10.0.0.1");
            check("10.0.0.1", &[&format!("203.0.113.7, {garbage}, 10.0.0.2")], "10.0.0.2");
            check("10.0.0.1", &[&format!("{garbage}, 203.0.113.7, 10.0.0.2")], "203.0.113.7");
        }
    }

    #[test]
    fn a_long_list_is_not_walked_to_its_end() {
        let mut entries = vec!["203.0.113.7"];
        entries.extend(vec!["10.0.0.2"; 1000]);
        check("10.0.0.1", &[&entries.join(", ")], "10.0.0.2");
        entries.truncate(40);
        check("10.0.0.1", &[&entries.join(", ")], "203.0.113.7");
        check("10.0.0.1", &["203.0.113.7", &" ".repeat(5000)], "10.0.0.1");
        let blanks = format!("203.0.113.7{},10.0.0.2", " ".repeat(5000));
        check("10.0.0.1", &[&blanks], "10.0.0.2");
    }

    #[test]
    fn countries_are_two_letters() {
        let name = HeaderName::from_static("cf-ipcountry");
        let proxies = Proxies::new(Vec::new(), Some(name.clone()));
        for (text, expect) in [("DE", Some(*b"DE")), ("de", Some(*b"DE")), ("XX", None), ("T1", None), ("DEU", None)] {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(text))]);
            assert_eq!(proxies.country(&headers), expect, "{text}");
            assert_eq!(Proxies::new(Vec::new(), None).country(&headers), None);
        }
    }
}
