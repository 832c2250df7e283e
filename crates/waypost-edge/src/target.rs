//! Reads host, path and query of a request from its target and its `Host` header.

use std::borrow::Cow;

use hyper::{Request, Uri, Version};

use crate::fields::Fields;
use crate::host::parse_host;

/// The host of a request that names none: always the default domain's.
const HOST_OF_NO_HOST: &str = "localhost";

/// Host, path and query of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target<'r> {
    /// In lower case, without port or trailing dot.
    pub(crate) host: Cow<'r, str>,
    /// As it came, with its leading `/`.
    pub(crate) path: &'r str,
    /// As it came, without `?`.
    pub(crate) query: Option<&'r str>,
}

/// Why a target cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// Longer than the limit.
    TooLong,
    /// Neither origin-form nor absolute-form, not exactly one good `Host`, or two that contradict each other.
    Malformed,
}

impl<'r> Target<'r> {
    /// Reads the target. In absolute-form its host is the one that counts, and `Host` must say the same. HTTP/1.0 has
    /// no `Host`: without it, the default domain is meant.
    pub(crate) fn read<B>(request: &'r Request<B>, fields: &Fields<'r>, bytes_max: usize) -> Result<Self, BadTarget> {
        let uri = request.uri();
        if target_bytes(uri) > bytes_max {
            return Err(BadTarget::TooLong);
        }
        let host_text = match uri.authority() {
            _ if fields.has_host() || request.version() != Version::HTTP_10 => fields.host(),
            Some(authority) => Some(authority.as_str().as_bytes()),
            None => Some(HOST_OF_NO_HOST.as_bytes()),
        };
        let host = host_text.and_then(parse_host).ok_or(BadTarget::Malformed)?;
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
        check_version(Version::HTTP_11, target, hosts, expect);
    }

    #[track_caller]
    fn check_version(
        version: Version,
        target: &str,
        hosts: &[&str],
        expect: Result<(&str, &str, Option<&str>), BadTarget>,
    ) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).expect("a header value"));
        }
        let uri = target.parse::<Uri>().expect("a target the HTTP parser lets through");
        let mut request = Request::new(());
        (*request.uri_mut(), *request.version_mut()) = (uri, version);
        let fields = Fields::read(&headers);
        let read = Target::read(&request, &fields, 64);
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
        let old = |target, hosts: &[&str], expect| check_version(Version::HTTP_10, target, hosts, expect);
        old("/a", &[], Ok(("localhost", "/a", None)));
        old("http://go.example/a", &[], Ok(("go.example", "/a", None)));
        old("/a", &["go.example"], Ok(("go.example", "/a", None)));
        old("/a", &[""], bad);
        old("/a", &["go.example", "go.example"], bad);
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
