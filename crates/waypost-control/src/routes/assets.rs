//! Files that pages need, `robots.txt`, and the page of the problems.

use axum::extract::OriginalUri;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::assets::{Asset, favicon as favicon_asset, find_asset};
use crate::pages;

/// For files whose name changes with what is in them.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
const FOR_A_DAY: &str = "public, max-age=86400";

pub(super) async fn asset(uri: OriginalUri) -> Response {
    find_asset(uri.path()).map_or_else(pages::not_found, |asset| file(asset, FOR_GOOD))
}

pub(super) async fn favicon() -> Response {
    file(favicon_asset(), FOR_A_DAY)
}

pub(super) async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /api/\n"
}

pub(super) async fn show_problems() -> Response {
    pages::problems()
}

fn file(asset: &'static Asset, cache: &'static str) -> Response {
    let mut response = asset.bytes.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
