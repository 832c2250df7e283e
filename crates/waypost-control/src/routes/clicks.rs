//! `/api/v1/clicks`: raw clicks, the live feed, the audit, and forgetting.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json as json_value;

use super::{json, typed};
use crate::accept::{Format, accepted};
use crate::app::App;
use crate::caller::Caller;
use crate::click_export::AskedClicks;
use crate::click_feed::AskedFeed;
use crate::permission::Ending;
use crate::problem::Problem;
use crate::request::{PathId, QueryPairs, read_json};
use crate::webhooks::AskedRefused;

pub(super) async fn list_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    pairs: QueryPairs,
) -> Result<Response, Problem> {
    let asked = AskedClicks::read(pairs, waypost_jobs::now())?;
    let offered = [Format::Json, Format::Csv, Format::Ndjson];
    match asked.format.unwrap_or_else(|| accepted(&headers, &offered)) {
        Format::Json => {
            let page = app.list_clicks(&caller, asked).await?;
            let body = json_value!({ "clicks": page.events, "next_cursor": page.next, "damaged": page.damaged });
            Ok(json(StatusCode::OK, &body))
        }
        format @ (Format::Csv | Format::Ndjson) => {
            let body = app.export_clicks(&caller, asked, format).await?;
            Ok(typed(format.media_type(), app.while_allowed(&caller, body, Ending::Cut)))
        }
    }
}

pub(super) async fn follow_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Problem> {
    let body = app.follow_clicks(&caller, AskedFeed::read(pairs)?).await?;
    Ok(typed("text/event-stream", app.while_allowed(&caller, body, Ending::Quiet)))
}

pub(super) async fn audit_clicks(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    caller.require_instance(&app)?;
    Ok(json(StatusCode::OK, &app.audit_clicks().await?))
}

pub(super) async fn list_refused_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &app.list_refused_clicks(&caller, &AskedRefused::read(pairs)?).await?))
}

pub(super) async fn erase_link_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &app.erase_link_clicks(&caller, &id).await?))
}

pub(super) async fn erase_visitor_clicks(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(key): PathId,
) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &app.erase_visitor_clicks(&caller, &key).await?))
}

pub(super) async fn get_retention(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &app.retention(&caller).await?))
}

pub(super) async fn set_retention(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_json(request, app.settings.body_bytes_max).await?;
    Ok(json(StatusCode::OK, &app.set_retention(&caller, body).await?))
}
