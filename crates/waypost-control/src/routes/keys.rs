//! `/api/v1/keys`: the API keys of the caller's account.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json as json_value;

use super::json;
use crate::app::App;
use crate::caller::Caller;
use crate::idempotency::RequestKey;
use crate::keys::ApiKeyView;
use crate::problem::Problem;
use crate::request::{PathId, read_json};

pub(super) async fn list_keys(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    let keys = app.list_api_keys(&caller).await?;
    let views: Vec<_> = keys.iter().map(ApiKeyView::new).collect();
    Ok(json(StatusCode::OK, &json_value!({ "keys": views })))
}

/// The only answer that ever holds the key itself.
pub(super) async fn create_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    let (api_key, text) = app.create_api_key(&caller, body, &request).await?;
    Ok(json(StatusCode::CREATED, &ApiKeyView::new(&api_key).with_secret(&text)))
}

pub(super) async fn revoke_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    app.revoke_api_key(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
