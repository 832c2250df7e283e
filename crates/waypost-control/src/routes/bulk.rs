//! `POST /api/v1/links/bulk`: many links in one request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::answer;
use crate::app::App;
use crate::bulk::BulkInput;
use crate::caller::Caller;
use crate::idempotency::RequestKey;
use crate::problem::Problem;
use crate::request::{check_json_type, held_memory, read_body};
use crate::request_memory::BodyOf;

pub(super) async fn create_links(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Problem> {
    check_json_type(request.headers())?;
    let held = held_memory(&request)?;
    let body = read_body(request, BodyOf::Caller, app.settings.bulk_body_bytes_max).await?;
    let input = BulkInput::parse(&body)?;
    held.reserve_work(input.work_bytes()).await?;
    let request = key.with_bytes(&caller, &body);
    Ok(answer(app.create_links(&caller, input, &request).await?))
}
