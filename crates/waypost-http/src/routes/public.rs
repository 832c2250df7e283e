//! Every other path: the preview and the QR code of a link, what its password form sends, and 404.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use waypost_api::ProblemCode;
use waypost_control::{AddressKey, App, AskedDomain, Preview, Problem, UnlockVisitor, Unlocked};
use waypost_core::slug::without_qr_ending;

use super::{is_api, qr};
use crate::answer::Refusal;
use crate::asked_host::host_of;
use crate::cross_site::refuse_cross_site;
use crate::pages;
use crate::request::{form_field, read_body};
use crate::request_memory::BodyOf;

/// The largest body of the password form, in bytes.
const UNLOCK_BODY_BYTES_MAX: usize = 1 << 10;

pub(super) async fn public_path(State(app): State<Arc<App>>, address: AddressKey, request: Request) -> Response {
    let path = request.uri().path();
    if is_api(path) {
        return Refusal::not_found("address").into_response();
    }
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let wants_json = wants_json(request.headers());
    if is_get && let Some((_, ending)) = without_qr_ending(path) {
        let response = qr::public_qr(&app, request, ending).await.unwrap_or_else(IntoResponse::into_response);
        return with_problem(response, wants_json);
    }
    let response = match path.strip_suffix('+') {
        Some(slug_path) if is_get => preview(&app, host_of(&request).as_deref(), slug_path).await,
        None if request.method() == Method::POST => unlock(&app, address, request).await,
        Some(_) | None if is_get => pages::not_found(),
        Some(_) | None => Refusal::method_not_allowed("GET, HEAD").into_response(),
    };
    with_problem(response, wants_json)
}

/// A response with a page for people, or with a problem for a program.
fn with_problem(response: Response, wants_json: bool) -> Response {
    match response.status() {
        StatusCode::NOT_FOUND if wants_json => Refusal::not_found("link").into_response(),
        StatusCode::GONE if wants_json => Refusal::new(ProblemCode::Gone, "the link has expired").into_response(),
        _ => response,
    }
}

/// Whether a program asks, going by the media types it takes.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    (accept.contains("application/json") || accept.contains("application/problem+json"))
        && !accept.contains("text/html")
}

async fn preview(app: &App, host: Option<&str>, path: &str) -> Response {
    match app.preview(host, path).await {
        Ok(Preview::Found(link)) => pages::preview(&link),
        Ok(Preview::NotFound) => pages::not_found(),
        Ok(Preview::Gone) => pages::gone(),
        Err(problem) => pages::problem(&problem),
    }
}

async fn unlock(app: &App, address: AddressKey, request: Request) -> Response {
    if let Err(problem) = refuse_cross_site(app, &request) {
        return pages::problem(&problem);
    }
    let (host, uri) = (host_of(&request), request.uri().clone());
    let body = match read_body(request, BodyOf::Anyone, UNLOCK_BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(refusal) => return pages::problem(&refusal.problem),
    };
    let password = form_field(&body, "password").unwrap_or_default();
    let visitor = UnlockVisitor { address, patience: None };
    match app.unlock(AskedDomain::OfHost(host.as_deref()), uri.path(), visitor, password).await {
        Ok(Unlocked::Granted(cookie)) => granted(&uri, &cookie),
        Ok(Unlocked::Refused) => pages::unlock_refused(),
        Ok(Unlocked::Throttled(seconds)) => pages::unlock_throttled(seconds),
        Ok(Unlocked::NotFound) => pages::not_found(),
        Ok(Unlocked::Gone) => pages::gone(),
        Ok(Unlocked::NotLocked) => Refusal::method_not_allowed("GET, HEAD").into_response(),
        Err(problem) => pages::problem(&problem),
    }
}

/// Back to the link, with the grant. A path that begins with two slashes would name another host, so such a one names
/// none; it has never named a link.
fn granted(uri: &Uri, cookie: &str) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with("//") { "/" } else { path };
    let (Ok(location), Ok(cookie)) = (HeaderValue::try_from(path), HeaderValue::try_from(cookie)) else {
        return pages::problem(&Problem::internal("granting a link", &"its path or cookie fits no header"));
    };
    (StatusCode::SEE_OTHER, [(LOCATION, location), (SET_COOKIE, cookie)]).into_response()
}
