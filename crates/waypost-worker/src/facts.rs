//! The facts of a request as the shell packs them: strings with a zero byte between them, in one fixed order.
//!
//! A zero byte stands in no header, no URL and no host name that reaches a Worker. A text that is the one byte 1 is
//! absent, which is not the same as empty: a request without a user agent says something, an unknown user agent does
//! not.

use std::net::IpAddr;

use memchr::memchr;
use waypost_core::Timestamp;
use waypost_core::visit::{Method, Unlock, Visit};

/// How a text says that it is absent.
const ABSENT: &str = "\u{1}";

/// The facts of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) visit: Visit<'a>,
    /// The domain as KV keys name it; empty for the default domain.
    pub(crate) domain: &'a str,
    pub(crate) slug: &'a str,
    /// The `Cookie` header, if the link may ask for a password.
    pub(crate) cookies: &'a str,
    /// The path as it came, for the cookie of a grant.
    pub(crate) path: &'a str,
    /// Whether region and city were read, perhaps as unknown.
    pub(crate) has_place: bool,
}

/// Bytes that are not the facts of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the facts of the request are not packed as they should be")]
pub(crate) struct BadFacts;

impl<'a> Facts<'a> {
    /// Unpacks the facts: method, domain, slug, path, query, address, country, user agent, referrer, accepted languages,
    /// purpose, visitor id, what was shown of the password, cookies; and perhaps region and city.
    pub(crate) fn read(bytes: &'a [u8], now: Timestamp) -> Result<Self, BadFacts> {
        let mut rest = Some(str::from_utf8(bytes).map_err(|_| BadFacts)?);
        let mut text = || {
            let texts = rest.ok_or(BadFacts)?;
            let end = memchr(0, texts.as_bytes());
            rest = end.map(|end| &texts[end + 1..]);
            Ok(&texts[..end.unwrap_or(texts.len())])
        };
        let method = Method::from_name(text()?);
        let (domain, slug, path) = (text()?, text()?, text()?);
        let mut fact = || text().map(|text| (text != ABSENT).then_some(text));
        let query = fact()?;
        let ip = fact()?.and_then(|text| text.parse().ok()).map(|address: IpAddr| address.to_canonical());
        let visit = Visit {
            method,
            path: Some(path),
            query,
            ip,
            country: fact()?,
            user_agent: fact()?,
            referrer: fact()?,
            accept_language: fact()?,
            purpose: fact()?,
            visitor_id: fact()?,
            unlock: match fact()? {
                Some("granted") => Unlock::Granted,
                Some("refused") => Unlock::Refused,
                Some(_) | None => Unlock::None,
            },
            ..Visit::at(now)
        };
        let cookies = fact()?.unwrap_or_default();
        let place = match fact() {
            Ok(region) => Some((region, fact()?)),
            Err(BadFacts) => None,
        };
        if rest.is_some() {
            return Err(BadFacts);
        }
        let (region, city) = place.unwrap_or_default();
        let visit = Visit { region, city, ..visit };
        Ok(Self { visit, domain, slug, cookies, path, has_place: place.is_some() })
    }
}

/// Facts for tests, packed.
#[cfg(test)]
pub(crate) fn packed(changes: &[(usize, &str)]) -> Vec<u8> {
    let mut texts = vec!["GET", "", "a", "/a"];
    texts.extend([ABSENT; 10]);
    for (place, text) in changes {
        texts[*place] = text;
    }
    texts.join("\0").into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn facts_are_unpacked() {
        let now = Timestamp::from_micros(7);
        let bytes = packed(&[(0, "HEAD"), (5, "::ffff:192.0.2.1"), (7, ""), (12, "refused"), (13, "a=b")]);
        let facts = Facts::read(&bytes, now).unwrap();
        assert_eq!((facts.visit.method, facts.visit.now), (Method::Head, now));
        assert_eq!((facts.slug, facts.domain, facts.cookies), ("a", "", "a=b"));
        assert_eq!(facts.visit.ip, Some("192.0.2.1".parse().unwrap()));
        assert_eq!((facts.visit.user_agent, facts.visit.referrer), (Some(""), None));
        assert_eq!(facts.visit.unlock, Unlock::Refused);
        assert_eq!((facts.has_place, facts.visit.region, facts.visit.city), (false, None, None));
        let bytes = [packed(&[]), "\0DE-BY\0\u{1}".into()].concat();
        let facts = Facts::read(&bytes, now).unwrap();
        assert_eq!((facts.has_place, facts.visit.region, facts.visit.city), (true, Some("DE-BY"), None));
    }

    #[test]
    fn other_bytes_are_refused() {
        let now = Timestamp::from_micros(0);
        let longer = [packed(&[]), b"\0x".to_vec()].concat();
        let longest = [packed(&[]), b"\0x\0y\0z".to_vec()].concat();
        for bad in [&b""[..], b"GET\0a", b"\xff", &longer, &longest] {
            assert!(Facts::read(bad, now).is_err());
        }
    }
}
