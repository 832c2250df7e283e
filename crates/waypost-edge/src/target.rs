//! What a request asks for: host, path and query, from its target and its `Host` header.

use std::borrow::Cow;

use hyper::Uri;

use crate::fields::Fields;
use crate::host::parse_host;

/// The place a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target<'r> {
    /// In lower case, without port or trailing dot.
    pub(crate) host: Cow<'r, str>,
    /// As it came, with its leading `/`.
    pub(crate) path: &'r str,
    /// As it came, without `?`.
    pub(crate) query: Option<&'r str>,
}

/// Why a request asks for no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// Longer than the limit.
    TooLong,
    /// Neither origin-form nor absolute-form, not exactly one good `Host`, or two that contradict each other.
    Malformed,
}

impl<'r> Target<'r> {
    /// Reads the target. In absolute-form its host is the one that counts, and `Host` must say the same.
    pub(crate) fn read(uri: &'r Uri, fields: &Fields<'r>, bytes_max: usize) -> Result<Self, BadTarget> {
        if target_bytes(uri) > bytes_max {
            return Err(BadTarget::TooLong);
        }
        let host = fields.host().and_then(parse_host).ok_or(BadTarget::Malformed)?;
        if let Some(authority) = uri.authority() {
            let is_web = uri.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
            let named = parse_host(authority.as_str().as_bytes());
            if !is_web || named.as_deref() != Some(&*host) {
                return Err(BadTarget::Malformed);
            }
        }
        let path = uri.path();
        if !path.starts_with('/') {
            return Err(BadTarget::Malformed);
        }
        Ok(Self { host, path, query: uri.query() })
    }
}

fn target_bytes(uri: &Uri) -> usize {
    let origin = uri.path_and_query().map_or(0, |target| target.as_str().len());
    origin + uri.authority().map_or(0, |authority| authority.as_str().len() + "https://".len())
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{HOST, HeaderValue};

    use super::*;

    #[track_caller]
    fn check(target: &str, hosts: &[&str], expect: Result<(&str, &str, Option<&str>), BadTarget>) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).expect("a header value"));
        }
        let uri = target.parse::<Uri>().expect("a target the HTTP parser lets through");
        let read = Target::read(&uri, &Fields::read(&headers), 64);
        assert_eq!(read.as_ref().map(|t| (&*t.host, t.path, t.query)).map_err(|bad| *bad), expect, "{target}");
    }

    #[test]
    fn targets() {
        let bad = Err(BadTarget::Malformed);
        check("/a?b=c", &["Go.Example:80"], Ok(("go.example", "/a", Some("b=c"))));
        check("/", &["go.example"], Ok(("go.example", "/", None)));
        check("http://go.example:8080/a", &["go.example"], Ok(("go.example", "/a", None)));
        check("https://go.example", &["GO.example:443"], Ok(("go.example", "/", None)));
        check("http://other.example/a", &["go.example"], bad);
        check("http://user@go.example/a", &["go.example"], bad);
        check("ftp://go.example/a", &["go.example"], bad);
        check("go.example:80", &["go.example"], bad);
        check("*", &["go.example"], bad);
        check("/a", &[], bad);
        check("/a", &["go.example", "go.example"], bad);
        check("/a", &["go.example, go.example"], bad);
        check("/a", &[""], bad);
        check(&format!("/{}", "a".repeat(64)), &["go.example"], Err(BadTarget::TooLong));
        check(
            &format!("/{}", "a".repeat(63)),
            &["go.example"],
            Ok(("go.example", &format!("/{}", "a".repeat(63)), None)),
        );
    }
}
