//! Decides a visit without redirecting it, or checks rules for oddities: of a stored link, or of a record in the request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use waypost_api::decide::{DecideLink, DecideRecord};
use waypost_api::lint::read_lint;
use waypost_control::{App, Caller};

use crate::answer::{Refusal, json_once};
use crate::idempotency::RequestKey;
use crate::request::{PathId, read_json};
use crate::settings::HttpSettings;

pub(super) async fn decide_link(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    caller: Caller,
    PathId(id): PathId,
    key: RequestKey,
    request: Request,
) -> Result<Response, Refusal> {
    let body = read_json(request, settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    let work = async { app.decide_link(&caller, &id, DecideLink::read(body, waypost_jobs::now())?).await };
    Ok(json_once(StatusCode::OK, &app.answer_once(&request, work).await?))
}

pub(super) async fn decide_record(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Refusal> {
    let body = read_json(request, settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    let work = async { app.decide_record(&DecideRecord::read(body, waypost_jobs::now())?) };
    Ok(json_once(StatusCode::OK, &app.answer_once(&request, work).await?))
}

pub(super) async fn lint_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    key: RequestKey,
) -> Result<Response, Refusal> {
    let request = key.with_bytes(&caller, b"");
    let work = app.lint_link(&caller, &id);
    Ok(json_once(StatusCode::OK, &app.answer_once(&request, work).await?))
}

pub(super) async fn lint_record(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Refusal> {
    let body = read_json(request, settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    let work = async { Ok(app.lint_record(&read_lint(body)?)) };
    Ok(json_once(StatusCode::OK, &app.answer_once(&request, work).await?))
}
