//! `/`: the landing page, and its form where there is no script.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use crate::app::App;
use crate::pages;
use crate::request::{form_field, read_body};
use crate::request_memory::BodyOf;
use crate::throttle::AddressKey;

pub(super) async fn show_landing(State(app): State<Arc<App>>) -> Response {
    pages::landing(app.settings.anonymous_links)
}

pub(super) async fn shorten_url(State(app): State<Arc<App>>, address: AddressKey, request: Request) -> Response {
    if let Err(problem) = app.refuse_cross_site(&request) {
        return pages::problem(&problem);
    }
    let body = match read_body(request, BodyOf::Anyone, app.settings.anonymous_body_bytes_max).await {
        Ok(body) => body,
        Err(problem) => return pages::landing_fault(&problem, ""),
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
