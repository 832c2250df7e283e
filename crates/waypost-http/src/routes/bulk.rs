//! `POST /api/v1/links/bulk`: many links in one request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use waypost_api::link::CreateLinks;
use waypost_control::{App, Caller};

use crate::answer::{Refusal, json_once};
use crate::idempotency::RequestKey;
use crate::request::{check_json_type, held_memory, read_body};
use crate::request_memory::BodyOf;
use crate::settings::HttpSettings;

pub(super) async fn create_links(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Refusal> {
    check_json_type(request.headers())?;
    let held = held_memory(&request)?;
    let body = read_body(request, BodyOf::Caller, settings.bulk_body_bytes_max).await?;
    let asked = CreateLinks::read(&body)?;
    held.reserve_work(asked.work_bytes()).await?;
    let request = key.with_bytes(&caller, &body);
    Ok(json_once(StatusCode::OK, &app.create_links(&caller, asked, &request).await?))
}
