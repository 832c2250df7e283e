//! Decides a visit without redirecting it, or checks rules for oddities: of a stored link, or of a record in the request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use waypost_api::decide::{DecideLink, DecideRecord};
use waypost_api::lint::read_lint;
use waypost_control::{App, Caller, Operation};

use crate::answer::{Refusal, json_once};
use crate::idempotency::RequestKey;
use crate::request::{JsonBody, PathId};

pub(super) async fn decide_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    key: RequestKey,
    JsonBody(body): JsonBody,
) -> Result<Response, Refusal> {
    caller.may(Operation::Decide)?;
    let request = key.with_body(&caller, &body);
    let work = async { app.decide_link(&caller, &id, DecideLink::read(body, waypost_jobs::now())?).await };
    Ok(json_once(StatusCode::OK, &app.answer_once(&request, work).await?))
}

pub(super) async fn decide_record(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    JsonBody(body): JsonBody,
) -> Result<Response, Refusal> {
    caller.may(Operation::Decide)?;
    let request = key.with_body(&caller, &body);
    let work = async { app.decide_record(&caller, &DecideRecord::read(body, waypost_jobs::now())?) };
    Ok(json_once(StatusCode::OK, &app.answer_once(&request, work).await?))
}

pub(super) async fn lint_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    key: RequestKey,
) -> Result<Response, Refusal> {
    caller.may(Operation::Lint)?;
    let request = key.with_bytes(&caller, b"");
    let work = app.lint_link(&caller, &id);
    Ok(json_once(StatusCode::OK, &app.answer_once(&request, work).await?))
}

pub(super) async fn lint_record(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    JsonBody(body): JsonBody,
) -> Result<Response, Refusal> {
    caller.may(Operation::Lint)?;
    let request = key.with_body(&caller, &body);
    let work = async { app.lint_record(&caller, &read_lint(body)?) };
    Ok(json_once(StatusCode::OK, &app.answer_once(&request, work).await?))
}
