//! `/api/v1/sync` and `/api/v1/links/{id}/sync`: how far the edges are, trying again, and comparing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{answer, json, typed};
use crate::accept::Format;
use crate::app::App;
use crate::caller::Caller;
use crate::idempotency::{Answer, RequestKey};
use crate::permission::Ending;
use crate::problem::{Problem, ProblemCode};
use crate::report_query::Fields;
use crate::request::{PathId, QueryPairs, read_json};
use crate::sync_states::{AskedBehind, Retry};
use crate::verify::VerifyOptions;

pub(super) async fn get_link_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &app.link_sync(&caller, &id).await?))
}

pub(super) async fn retry_link_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    key: RequestKey,
) -> Result<Response, Problem> {
    let request = key.with_bytes(&caller, b"");
    let work = async {
        let sync = app.retry_link_sync(&caller, &id).await?;
        Ok(Answer::new(StatusCode::ACCEPTED, serde_json::to_vec(&sync).unwrap_or_default()))
    };
    Ok(answer(app.answer_once(&request, work).await?))
}

pub(super) async fn get_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(pairs);
    let flag = |text: &str| text.parse().map_err(|_| "must be true or false".to_owned());
    let with_synced = fields.read("synced", ProblemCode::InvalidField, flag).unwrap_or(false);
    fields.finish()?;
    caller.require_instance(&app)?;
    Ok(json(StatusCode::OK, &app.sync_overview(with_synced).await?))
}

pub(super) async fn list_behind(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &app.list_behind(&caller, &AskedBehind::read(pairs)?).await?))
}

pub(super) async fn retry_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    Ok(answer(app.retry_sync(&caller, Retry::parse(body)?, &request).await?))
}

pub(super) async fn verify_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    let options = VerifyOptions::parse(body)?;
    caller.require_instance(&app)?;
    // What it finds is too long to be remembered, and repairing twice is repairing once: it runs again.
    app.claim_key(&request).await?;
    let body = app.verify_sync(options)?;
    Ok(typed(Format::Ndjson.media_type(), app.while_allowed(&caller, body, Ending::Cut)))
}
