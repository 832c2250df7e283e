//! `/`: the landing page, and its form for browsers without scripts.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use waypost_control::{AddressKey, App};

use crate::cross_site::refuse_cross_site;
use crate::pages;
use crate::request::{form_field, read_body};
use crate::request_memory::BodyOf;
use crate::settings::HttpSettings;

pub(super) async fn show_landing(State(app): State<Arc<App>>) -> Response {
    pages::landing(app.has_anonymous_links())
}

pub(super) async fn shorten_url(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    address: AddressKey,
    request: Request,
) -> Response {
    if let Err(problem) = refuse_cross_site(&app, &request) {
        return pages::problem(&problem);
    }
    let body = match read_body(request, BodyOf::Anyone, settings.anonymous_body_bytes_max).await {
        Ok(body) => body,
        Err(refusal) => return pages::landing_fault(&refusal.problem, ""),
    };
    let typed = form_field(&body, "originalUrl").unwrap_or_default();
    if let Err(problem) = app.admit_anonymous(address) {
        return pages::landing_fault(&problem, &typed);
    }
    match app.shorten(typed.clone()).await {
        Ok(result) => pages::landing_result(&result),
        Err(problem) => pages::landing_fault(&problem, &typed),
    }
}
