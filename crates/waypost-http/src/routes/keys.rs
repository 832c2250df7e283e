//! `/api/v1/keys`: the API keys of the account.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use waypost_api::api_key::CreateApiKey;
use waypost_control::{App, Caller};

use crate::answer::{Refusal, json};
use crate::idempotency::RequestKey;
use crate::request::{JsonBody, PathId};

pub(super) async fn list_keys(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.list_api_keys(&caller).await?))
}

/// The only answer that ever holds the key itself.
pub(super) async fn create_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    JsonBody(body): JsonBody,
) -> Result<Response, Refusal> {
    let request = key.with_body(&caller, &body);
    let asked = CreateApiKey::read(body, waypost_jobs::now())?;
    Ok(json(StatusCode::CREATED, &app.create_api_key(&caller, asked, &request).await?))
}

pub(super) async fn revoke_key(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Refusal> {
    app.revoke_api_key(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
