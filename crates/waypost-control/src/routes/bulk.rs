//! `POST /api/v1/links/bulk`: many links in one request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use crate::app::App;
use crate::bulk::BulkInput;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::request::read_json;

pub(super) async fn create_links(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_json(request, app.settings.bulk_body_bytes_max).await?;
    let outcome = app.create_links(&caller, BulkInput::parse(body)?).await?;
    Ok(json(StatusCode::OK, &outcome))
}
