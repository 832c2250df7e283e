//! `/api/v1/domains`: the hosts that links live on.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json as json_value;

use super::{answer, json};
use crate::app::App;
use crate::caller::Caller;
use crate::domains::DomainView;
use crate::idempotency::RequestKey;
use crate::problem::Problem;
use crate::request::{PathId, read_json};

pub(super) async fn list_domains(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    let domains = app.list_domains(&caller).await?;
    let views: Vec<_> = domains.iter().map(DomainView::new).collect();
    Ok(json(StatusCode::OK, &json_value!({ "domains": views })))
}

pub(super) async fn create_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Problem> {
    caller.require_operator()?;
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    Ok(answer(app.create_domain(&caller, body, &request).await?))
}

pub(super) async fn update_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, Problem> {
    caller.require_operator()?;
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let domain = app.update_domain(&caller, &id, body).await?;
    Ok(json(StatusCode::OK, &DomainView::new(&domain)))
}

pub(super) async fn delete_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<StatusCode, Problem> {
    app.delete_domain(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
