//! What a visit would be answered, without visiting: of a stored link, or of a record that is sent along.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::answer;
use crate::app::App;
use crate::caller::Caller;
use crate::decide::{DecideInput, RecordDecideInput};
use crate::idempotency::{Answer, RequestKey};
use crate::problem::Problem;
use crate::request::{PathId, read_json};

pub(super) async fn decide_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    key: RequestKey,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    let work = async {
        let decision = app.decide_link(&caller, &id, DecideInput::parse(body)?).await?;
        Ok(Answer::new(StatusCode::OK, decision.into_bytes()))
    };
    Ok(answer(app.answer_once(&request, work).await?))
}

pub(super) async fn decide_record(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    let work = async {
        let decision = app.decide_record(&RecordDecideInput::parse(body)?)?;
        Ok(Answer::new(StatusCode::OK, decision.into_bytes()))
    };
    Ok(answer(app.answer_once(&request, work).await?))
}
