//! The host of a request: the one in its request target if there is one, otherwise the one in `Host`. The edge uses the
//! same rule, and refuses a request in which the two differ.

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri};

/// The host, in lower case, without port or trailing dot. Only ever compared with known hosts.
pub(crate) fn host_of<B>(request: &Request<B>) -> Option<String> {
    let authority = authority_of(request.uri(), request.headers())?;
    let host = match authority.strip_prefix('[') {
        Some(literal) => &authority[..literal.find(']')? + 2],
        None => authority.split(':').next().unwrap_or(authority),
    };
    Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
}

/// The host as it was written, with its port.
pub(crate) fn authority_of<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST)?.to_str().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_target_goes_before_the_header() {
        #[track_caller]
        fn check(target: &str, header: Option<&str>, expect: Option<&str>) {
            let mut request = Request::get(target);
            if let Some(header) = header {
                request = request.header(HOST, header);
            }
            assert_eq!(host_of(&request.body(()).unwrap()).as_deref(), expect, "{target} {header:?}");
        }
        check("/a+", Some("Go.Example.:8080"), Some("go.example"));
        check("/a+", Some("[2001:DB8::1]:80"), Some("[2001:db8::1]"));
        check("/a+", Some("[2001:db8"), None);
        check("/a+", None, None);
        check("http://Other.example:81/a+", None, Some("other.example"));
        check("http://other.example/a+", Some("go.example"), Some("other.example"));
        check("http://[::1]/a+", None, Some("[::1]"));
    }
}
