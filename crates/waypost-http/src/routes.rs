//! The routes: which path leads to which handler, and the headers of every response.
//!
//! A handler reads a request, calls [`App`] and responds; nothing else happens in these files.

mod anonymous;
mod assets;
mod audit;
mod bulk;
mod clicks;
mod decide;
mod domains;
mod health;
mod keys;
mod landing;
mod links;
mod metrics;
mod public;
mod qr;
mod reports;
mod sync;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post};
use waypost_api::ProblemCode;
use waypost_control::App;

use crate::answer::Refusal;
use crate::compression::compress_pages;
use crate::cors::cross_origin;
use crate::pages;
use crate::request_memory::{RequestMemory, hold_memory};
use crate::settings::HttpSettings;
use crate::state::HttpState;

/// Everything that is not a redirect: the API, the pages, the health checks.
///
/// The binary adds [`crate::ClientAddress`] and, for local callers, [`crate::Principal`] to a request's extensions.
pub fn router(app: Arc<App>, settings: HttpSettings) -> Router {
    let memory = RequestMemory::new(settings.request_memory_bytes_max, settings.on_large_request.clone());
    let state = HttpState { app, settings: Arc::new(settings), memory: Arc::new(memory) };
    Router::new()
        .route("/", get(landing::show_landing).post(landing::shorten_url))
        .route("/api/url", post(anonymous::create_short_url))
        .route("/webhooks/analytics", post(webhooks::take_clicks))
        .route("/webhooks/unlock", post(webhooks::judge_password))
        .merge(api())
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/api/openapi.json", get(assets::openapi))
        .route("/api/docs", get(assets::show_reference))
        .route("/docs/problems", get(assets::show_problems))
        .route("/robots.txt", get(assets::robots))
        .route("/favicon.ico", get(assets::favicon))
        .route("/assets/{name}", get(assets::asset))
        .fallback(public::public_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(compress_pages))
        .layer(from_fn_with_state(state.clone(), hold_memory))
        .layer(from_fn_with_state(state.clone(), cross_origin))
        .layer(from_fn(secure))
        .with_state(state)
}

fn api() -> Router<HttpState> {
    Router::new()
        .route("/api/v1/links", get(links::list_links).post(links::create_link))
        .route("/api/v1/links/bulk", post(bulk::create_links))
        .route("/api/v1/links/{id}", get(links::get_link).patch(links::update_link).delete(links::delete_link))
        .route("/api/v1/links/{id}/qr", get(qr::get_link_qr))
        .route("/api/v1/account/qr-logo", get(qr::get_qr_logo).put(qr::set_qr_logo).delete(qr::delete_qr_logo))
        .route("/api/v1/links/{id}/versions", get(links::list_versions))
        .route("/api/v1/links/{id}/clicks", delete(clicks::erase_link_clicks))
        .route("/api/v1/links/{id}/sync", get(sync::get_link_sync).post(sync::retry_link_sync))
        .route("/api/v1/sync", get(sync::get_sync).post(sync::retry_sync))
        .route("/api/v1/sync/links", get(sync::list_behind))
        .route("/api/v1/sync/verify", post(sync::verify_sync))
        .route("/api/v1/reports", get(reports::get_report))
        .route("/api/v1/clicks", get(clicks::list_clicks))
        .route("/api/v1/clicks/live", get(clicks::follow_clicks))
        .route("/api/v1/clicks/audit", get(clicks::audit_clicks))
        .route("/api/v1/clicks/refused", get(clicks::list_refused_clicks))
        .route("/api/v1/clicks/retention", get(clicks::get_retention).put(clicks::set_retention))
        .route("/api/v1/visitors/{key}/clicks", delete(clicks::erase_visitor_clicks))
        .route("/api/v1/links/{id}/decide", post(decide::decide_link))
        .route("/api/v1/decide", post(decide::decide_record))
        .route("/api/v1/audit", get(audit::list_audit))
        .route("/api/v1/links/{id}/lint", post(decide::lint_link))
        .route("/api/v1/lint", post(decide::lint_record))
        .route("/api/v1/keys", get(keys::list_keys).post(keys::create_key))
        .route("/api/v1/keys/{id}", delete(keys::revoke_key))
        .route("/api/v1/domains", get(domains::list_domains).post(domains::create_domain))
        .route("/api/v1/domains/{id}", patch(domains::update_domain).delete(domains::delete_domain))
}

/// What every answer carries: it is what it says it is, and nobody keeps it who was not told to.
async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// `Allow` is added by the router, which knows the methods.
async fn method_not_allowed(uri: OriginalUri) -> Response {
    let detail = "Allow lists the methods that this address takes";
    let refusal = Refusal::new(ProblemCode::MethodNotAllowed, detail);
    if is_api(uri.path()) { refusal.into_response() } else { pages::problem(&refusal.problem) }
}

fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") || path.starts_with("/webhooks/")
}
