//! `POST /api/url`: a short URL for anyone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use crate::anonymous::original_url;
use crate::app::App;
use crate::problem::Problem;
use crate::request::{parse_object, read_body};
use crate::throttle::AddressKey;

/// The body is read as JSON whatever it calls itself: `curl -d` calls it a form.
pub(super) async fn create_short_url(
    State(app): State<Arc<App>>,
    address: AddressKey,
    request: Request,
) -> Result<Response, Problem> {
    app.admit_anonymous(address)?;
    let body = read_body(request.into_body(), app.settings.anonymous_body_bytes_max).await?;
    let short_url = app.shorten(original_url(parse_object(&body)?)?).await?;
    Ok(json(StatusCode::OK, &short_url))
}
