//! `/api/v1/sync` and `/api/v1/links/{id}/sync`: sync status, retries, and comparisons.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use waypost_api::Format;
use waypost_api::read::QueryPairs;
use waypost_api::sync::{GetSync, ListBehind, RetrySync, VerifyLine, VerifySync};
use waypost_control::{App, Caller, Operation};

use crate::answer::{Refusal, json, json_once, typed};
use crate::idempotency::RequestKey;
use crate::permission::{Ending, while_allowed};
use crate::request::{JsonBody, PathId};

pub(super) async fn get_link_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.link_sync(&caller, &id).await?))
}

pub(super) async fn retry_link_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    key: RequestKey,
) -> Result<Response, Refusal> {
    caller.may(Operation::RetryLinkSync)?;
    let request = key.with_bytes(&caller, b"");
    let work = app.retry_link_sync(&caller, &id);
    Ok(json_once(StatusCode::ACCEPTED, &app.answer_once(&request, work).await?))
}

pub(super) async fn get_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    let GetSync { synced } = GetSync::read(pairs)?;
    Ok(json(StatusCode::OK, &app.sync_overview(&caller, synced).await?))
}

pub(super) async fn list_behind(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.list_behind(&caller, &ListBehind::read(pairs)?).await?))
}

pub(super) async fn retry_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    JsonBody(body): JsonBody,
) -> Result<Response, Refusal> {
    let request = key.with_body(&caller, &body);
    Ok(json_once(StatusCode::ACCEPTED, &app.retry_sync(&caller, RetrySync::read(body)?, &request).await?))
}

pub(super) async fn verify_sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    JsonBody(body): JsonBody,
) -> Result<Response, Refusal> {
    let request = key.with_body(&caller, &body);
    let asked = VerifySync::read(body)?;
    caller.may(Operation::ChangeSync)?;
    // What it finds is too long to be remembered, and repairing twice is repairing once: it runs again.
    app.claim_key(&request).await?;
    let body = lines_body(app.verify_sync(&caller, asked).await?);
    Ok(typed(Format::Ndjson.media_type(), while_allowed(&app, &caller, body, Ending::Cut)))
}

/// One JSON document a line. What goes wrong is the last of them.
fn lines_body(mut lines: mpsc::Receiver<Vec<VerifyLine>>) -> Body {
    Body::from_stream(poll_fn(move |cx| {
        lines.poll_recv(cx).map(|lines| lines.map(|lines| Ok::<_, Infallible>(write(&lines))))
    }))
}

fn write(lines: &[VerifyLine]) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line).expect("texts and numbers are JSON");
        text.push(b'\n');
    }
    text.into()
}
