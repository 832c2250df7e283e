//! QR codes: of a link in the API and at its public address, and the logo of an account.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use waypost_api::qr::{GetQr, LOGO_BYTES_MAX, QrFormat};
use waypost_api::read::QueryPairs;
use waypost_control::{App, Caller, PublicQr};

use crate::answer::{Refusal, json, typed};
use crate::asked_host::host_of;
use crate::pages;
use crate::request::{PathId, read_body};
use crate::request_memory::BodyOf;

/// For whoever may see the link. The logo may change at any time.
const FOR_ANYONE: HeaderValue = HeaderValue::from_static("public, max-age=3600");
/// For the holder of a key: kept, and asked for again with its tag.
const FOR_CALLER: HeaderValue = HeaderValue::from_static("private, no-cache");

pub(super) async fn get_link_qr(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    headers: HeaderMap,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    let asked = GetQr::read(pairs, None)?;
    let drawn = app.link_qr(&caller, &id, asked).await?;
    Ok(image(media_type(asked.format), drawn, &headers, FOR_CALLER))
}

/// The QR code at the public address of a link, for a path with this ending.
pub(super) async fn public_qr(app: &App, request: Request, ending: &str) -> Result<Response, Refusal> {
    let host = host_of(&request);
    let (parts, _) = request.into_parts();
    let of_path = match ending {
        ".qr.svg" => Some(QrFormat::Svg),
        ".qr.png" => Some(QrFormat::Png),
        _ => None,
    };
    let asked = GetQr::read(QueryPairs::of_query(parts.uri.query().unwrap_or_default()), of_path)?;
    Ok(match app.public_qr(host.as_deref(), parts.uri.path(), asked).await? {
        PublicQr::Found(drawn) => image(media_type(asked.format), drawn, &parts.headers, FOR_ANYONE),
        PublicQr::NotFound => pages::not_found(),
        PublicQr::Gone => pages::gone(),
    })
}

pub(super) async fn get_qr_logo(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    Ok(image("image/png", app.qr_logo(&caller).await?, &headers, FOR_CALLER))
}

pub(super) async fn set_qr_logo(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    let file = read_body(request, BodyOf::Caller, LOGO_BYTES_MAX).await?;
    Ok(json(StatusCode::OK, &app.set_qr_logo(&caller, file).await?))
}

pub(super) async fn delete_qr_logo(State(app): State<Arc<App>>, caller: Caller) -> Result<StatusCode, Refusal> {
    app.delete_qr_logo(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

const fn media_type(format: QrFormat) -> &'static str {
    match format {
        QrFormat::Svg => "image/svg+xml",
        QrFormat::Png => "image/png",
        QrFormat::Text => "text/plain; charset=utf-8",
    }
}

/// An image under a tag that says what is in it, or 304 to whoever has it.
fn image(media_type: &'static str, bytes: Vec<u8>, asked: &HeaderMap, cache: HeaderValue) -> Response {
    let tag = format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(&bytes)[..12]));
    let mut known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.any(|tags| {
        tags.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
    });
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { typed(media_type, bytes) };
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::try_from(tag).expect("hexadecimal digits are ASCII"));
    headers.insert(CACHE_CONTROL, cache);
    // An image of ours runs nothing. Whatever is in one, a browser that opens it alone runs nothing either.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; img-src data:; sandbox"));
    response
}
