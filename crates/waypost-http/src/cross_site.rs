//! Forms that another site makes a browser send: refused if their outcome is stored in the browser, or counts against
//! the browser's address.
//!
//! Browsers state where a request comes from, in `Sec-Fetch-Site` on HTTPS and in `Origin` on every form; a client that
//! sends neither is not a browser. `POST /api/url` is open to pages of other sites (`cors.rs`).

use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Uri};
use waypost_api::ProblemCode;
use waypost_control::{App, Problem};

use crate::asked_host::authority_of;

/// # Errors
/// 403 where a page of another site has sent the form.
pub(crate) fn refuse_cross_site<B>(app: &App, request: &Request<B>) -> Result<(), Problem> {
    if is_cross_site(request.uri(), request.headers(), |origin| app.is_own_origin(origin)) {
        let detail = "a page of another site has sent this form; open the short link itself, and send it from there";
        return Err(Problem::new(ProblemCode::CrossSite, detail));
    }
    Ok(())
}

fn is_cross_site(uri: &Uri, headers: &HeaderMap, is_own: impl Fn(&str) -> bool) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some("same-origin" | "none") = text(axum::http::HeaderName::from_static("sec-fetch-site")) {
        return false;
    }
    let Some(origin) = text(ORIGIN) else { return headers.contains_key("sec-fetch-site") };
    let asked = authority_of(uri, headers).unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    !(authority.is_some_and(|authority| authority.eq_ignore_ascii_case(asked)) || is_own(origin))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn where_forms_come_from() {
        #[track_caller]
        fn check(headers: &[(&'static str, &'static str)], expect: bool) {
            let pairs = headers.iter().chain(&[("host", "Go.example:8080")]);
            let headers: HeaderMap =
                pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
            assert_eq!(
                is_cross_site(&Uri::from_static("/"), &headers, |origin| origin == "https://own.example"),
                expect,
                "{headers:?}"
            );
        }
        check(&[], false);
        for (site, expect) in [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true)] {
            check(&[("sec-fetch-site", site)], expect);
        }
        for (origin, expect) in [
            ("http://go.example:8080", false),
            ("https://go.example:8080", false),
            ("https://own.example", false),
            ("https://go.example", true),
            ("https://evil.example", true),
            ("https://go.example:8080.evil.example", true),
            ("https://evil.example/https://own.example", true),
            ("null", true),
            ("", true),
            ("go.example:8080", true),
        ] {
            check(&[("origin", origin)], expect);
            check(&[("origin", origin), ("sec-fetch-site", "cross-site")], expect);
            check(&[("origin", origin), ("sec-fetch-site", "same-origin")], false);
        }
    }
}
