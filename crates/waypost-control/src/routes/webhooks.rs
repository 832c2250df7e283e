//! `/webhooks`: what is signed, and needs no key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use crate::app::App;
use crate::problem::Problem;

pub(super) async fn take_clicks(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &app.take_clicks(request).await?))
}

pub(super) async fn judge_password(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &app.judge_password(request).await?))
}
