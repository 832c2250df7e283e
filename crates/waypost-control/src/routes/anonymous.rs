//! `POST /api/url`: a short URL for anyone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use crate::anonymous::original_url;
use crate::app::App;
use crate::problem::Problem;
use crate::request::read_anyones_json;
use crate::throttle::AddressKey;

/// The body is read as JSON whatever it calls itself: `curl -d` calls it a form.
pub(super) async fn create_short_url(
    State(app): State<Arc<App>>,
    address: AddressKey,
    request: Request,
) -> Result<Response, Problem> {
    app.admit_anonymous(address)?;
    let body = read_anyones_json(request, app.settings.anonymous_body_bytes_max).await?;
    let short_url = app.shorten(original_url(body)?).await?;
    Ok(json(StatusCode::OK, &short_url))
}
