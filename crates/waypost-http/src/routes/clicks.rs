//! `/api/v1/clicks`: raw clicks, the live feed, the audit, and erasure.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use waypost_api::Format;
use waypost_api::clicks::{FollowClicks, ListClicks, ListRefused, SetRetention};
use waypost_api::read::QueryPairs;
use waypost_control::{App, Caller};

use crate::accept::accepted;
use crate::answer::{Refusal, json, typed};
use crate::permission::{Ending, while_allowed};
use crate::request::{JsonBody, PathId};
use crate::{click_export, live_feed};

pub(super) async fn list_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    let asked = ListClicks::read(pairs, waypost_jobs::now())?;
    let offered = [Format::Json, Format::Csv, Format::Ndjson];
    match asked.format.unwrap_or_else(|| accepted(&headers, &offered)) {
        Format::Json => Ok(json(StatusCode::OK, &app.list_clicks(&caller, asked).await?)),
        format @ (Format::Csv | Format::Ndjson) => {
            let body = click_export::body_of(app.export_clicks(&caller, asked).await?, format);
            Ok(typed(format.media_type(), while_allowed(&app, &caller, body, Ending::Cut)))
        }
    }
}

pub(super) async fn follow_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    let body = live_feed::body_of(app.follow_clicks(&caller, FollowClicks::read(pairs)?).await?);
    Ok(typed("text/event-stream", while_allowed(&app, &caller, body, Ending::Quiet)))
}

pub(super) async fn audit_clicks(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.audit_clicks(&caller).await?))
}

pub(super) async fn list_refused_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.list_refused_clicks(&caller, &ListRefused::read(pairs)?).await?))
}

pub(super) async fn erase_link_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.erase_link_clicks(&caller, &id).await?))
}

pub(super) async fn erase_visitor_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(key): PathId,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.erase_visitor_clicks(&caller, &key).await?))
}

pub(super) async fn get_retention(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.retention(&caller).await?))
}

pub(super) async fn set_retention(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.set_retention(&caller, SetRetention::read(body)?).await?))
}
