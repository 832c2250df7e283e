//! Static files of the pages, `robots.txt`, and the page of the problems.

use axum::extract::OriginalUri;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::answer::typed;
use crate::assets::{Asset, favicon as favicon_asset, find_asset};
use crate::compression::takes_gzip;
use crate::pages;

/// For files whose name changes with what is in them.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
const FOR_A_DAY: &str = "public, max-age=86400";

pub(super) async fn asset(uri: OriginalUri, headers: HeaderMap) -> Response {
    find_asset(uri.path()).map_or_else(pages::not_found, |asset| file(asset, &headers, FOR_GOOD))
}

pub(super) async fn favicon(headers: HeaderMap) -> Response {
    file(favicon_asset(), &headers, FOR_A_DAY)
}

/// The OpenAPI document of the API.
pub(super) async fn openapi() -> Response {
    typed("application/json", pages::reference::OPENAPI)
}

/// The reference of the API, for people.
pub(super) async fn show_reference() -> Response {
    pages::reference::reference()
}

pub(super) async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /api/\n"
}

pub(super) async fn show_problems() -> Response {
    pages::problems()
}

fn file(asset: &'static Asset, asked: &HeaderMap, cache: &'static str) -> Response {
    let gzip = asset.gzip.as_deref();
    let mut response = gzip.filter(|_| takes_gzip(asked)).map_or_else(
        || asset.bytes.into_response(),
        |gzip| ([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))], gzip).into_response(),
    );
    if gzip.is_some() {
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
