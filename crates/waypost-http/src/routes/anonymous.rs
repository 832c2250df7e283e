//! `POST /api/url`: a short URL for anyone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use waypost_api::short_url::original_url;
use waypost_control::{AddressKey, App};

use crate::answer::{Refusal, json};
use crate::request::read_anyones_json;
use crate::settings::HttpSettings;

/// The body is read as JSON whatever it calls itself: `curl -d` calls it a form.
pub(super) async fn create_short_url(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    address: AddressKey,
    request: Request,
) -> Result<Response, Refusal> {
    app.admit_anonymous(address)?;
    let body = read_anyones_json(request, settings.anonymous_body_bytes_max).await?;
    Ok(json(StatusCode::OK, &app.shorten(original_url(body)?).await?))
}
