//! The HTTP surface: which address leads to which handler, and what every answer carries.
//!
//! A handler extracts, authorises, calls [`App`] and answers; nothing else happens in these files.

mod anonymous;
mod assets;
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
mod reports;
mod sync;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use serde::Serialize;

use crate::app::App;
use crate::compression::compress_pages;
use crate::cors::cross_origin;
use crate::idempotency::{Answer, REPLAYED};
use crate::pages;
use crate::problem::Problem;
use crate::request_memory::hold_memory;

/// Everything that is not a redirect: the API, the pages, the health checks.
///
/// The binary adds [`crate::ClientAddress`] and, for local callers, [`crate::Principal`] to a request's extensions.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(landing::show_landing).post(landing::shorten_url))
        .route("/api/url", post(anonymous::create_short_url))
        .route("/webhooks/analytics", post(webhooks::take_clicks))
        .route("/webhooks/unlock", post(webhooks::judge_password))
        .merge(api())
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/docs/problems", get(assets::show_problems))
        .route("/robots.txt", get(assets::robots))
        .route("/favicon.ico", get(assets::favicon))
        .route("/assets/{name}", get(assets::asset))
        .fallback(public::public_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(compress_pages))
        .layer(from_fn_with_state(Arc::clone(&app), hold_memory))
        .layer(from_fn_with_state(Arc::clone(&app), cross_origin))
        .layer(from_fn(secure))
        .with_state(app)
}

fn api() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/links", get(links::list_links).post(links::create_link))
        .route("/api/v1/links/bulk", post(bulk::create_links))
        .route("/api/v1/links/{id}", get(links::get_link).patch(links::update_link).delete(links::delete_link))
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
    let problem = Problem::new(crate::ProblemCode::MethodNotAllowed, detail);
    if is_api(uri.path()) { problem.into_response() } else { pages::problem(&problem) }
}

fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/") || path.starts_with("/webhooks/")
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => json_bytes(status, body),
        Err(error) => Problem::internal("writing an answer", &error).into_response(),
    }
}

/// A body of this type.
fn typed(media_type: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// What a request was answered that may have come before.
fn answer(answer: Answer) -> Response {
    let mut response = json_bytes(answer.status, answer.body);
    if answer.is_replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    typed("application/json", (status, body))
}
