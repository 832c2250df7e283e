//! Compresses pages, styles and scripts with gzip if the client accepts it. Files are compressed once, pages when they
//! are rendered.
//!
//! Responses of the API stay as they are: their length must not reveal anything of the secrets in some of them, and the
//! live feed is sent click by click. Pages have no secrets. Nothing compressed carries an `ETag`.

use std::io::Write as _;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Pages below this, in bytes, fit into one packet anyway.
const PAGE_BYTES_MIN: u64 = 1 << 10;
/// Larger responses, in bytes, are not compressed.
const PAGE_BYTES_MAX: u64 = 1 << 20;

/// These bytes with gzip, as small as it gets; `None` if that is no smaller.
pub(crate) fn smallest(bytes: &[u8]) -> Option<Vec<u8>> {
    gzip(bytes, Compression::best()).filter(|small| small.len() < bytes.len())
}

/// Whether `Accept-Encoding` names gzip, or everything, with a weight above zero.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut of_all = None;
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = parameters
            .split_once('=')
            .is_some_and(|(name, weight)| name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => return !is_refused,
            "*" => of_all = Some(!is_refused),
            _ => {}
        }
    }
    of_all.unwrap_or(false)
}

/// Compresses pages.
pub(crate) async fn compress_pages(request: Request, next: Next) -> Response {
    let takes_gzip = takes_gzip(request.headers());
    let mut response = next.run(request).await;
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let length = response.body().size_hint().exact();
    if !is_page || !length.is_some_and(|length| (PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&length)) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    if !takes_gzip {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Its length is known, so all of it is here.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return Response::from_parts(parts, Body::empty()) };
    let Some(small) = gzip(&bytes, Compression::fast()) else { return Response::from_parts(parts, bytes.into()) };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(parts, small.into())
}

fn gzip(bytes: &[u8], level: Compression) -> Option<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), level);
    writer.write_all(bytes).ok()?;
    writer.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_take() {
        for (values, expect) in [
            (&[][..], false),
            (&["gzip"], true),
            (&["GZip, deflate, br"], true),
            (&["br", "x-gzip;q=0.5"], true),
            (&["*"], true),
            (&["identity"], false),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000, *"], false),
            (&["*;q=0"], false),
            (&["gzipped"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(takes_gzip(&headers), expect, "{values:?}");
        }
    }
}
