//! `/api/v1/domains`: the hosts of links.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use waypost_api::domain::{CreateDomain, UpdateDomain};
use waypost_control::{App, Caller, Operation};

use crate::answer::{Refusal, json, json_once};
use crate::idempotency::RequestKey;
use crate::request::{PathId, read_json};
use crate::settings::HttpSettings;

pub(super) async fn list_domains(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.list_domains(&caller).await?))
}

pub(super) async fn create_domain(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Refusal> {
    caller.may(Operation::CreateDomain)?;
    let body = read_json(request, settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    Ok(json_once(StatusCode::CREATED, &app.create_domain(&caller, CreateDomain::read(body)?, &request).await?))
}

pub(super) async fn update_domain(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    caller: Caller,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, Refusal> {
    caller.may(Operation::UpdateDomain)?;
    let change = UpdateDomain::read(read_json(request, settings.body_bytes_max).await?)?;
    Ok(json(StatusCode::OK, &app.update_domain(&caller, &id, change).await?))
}

pub(super) async fn delete_domain(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<StatusCode, Refusal> {
    app.delete_domain(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
