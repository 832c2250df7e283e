//! `/api/v1/links`: the links of the caller's account.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json as json_value;
use waypost_store::Link;

use super::{answer, json};
use crate::app::App;
use crate::caller::Caller;
use crate::idempotency::{Answer, RequestKey};
use crate::link_view::VersionView;
use crate::problem::Problem;
use crate::request::{PathId, Precondition, QueryPairs, read_json};

pub(super) async fn create_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let request = key.with_body(&caller, &body);
    let created = app.create_link(&caller, body, &request).await?;
    let is_replayed = created.is_replayed;
    let mut response = answer(Answer { status: StatusCode::CREATED, body: created.body, is_replayed });
    let location = HeaderValue::try_from(format!("/api/v1/links/{}", created.id));
    response.headers_mut().insert(LOCATION, location.expect("an id is ASCII"));
    Ok(with_etag(response, created.version))
}

pub(super) async fn list_links(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Problem> {
    let page = app.list_links(&caller, &pairs.into_list_query()?).await?;
    let views: Vec<_> = page.links.iter().map(|link| app.view(link)).collect();
    Ok(json(StatusCode::OK, &json_value!({ "links": views, "next_cursor": page.next_cursor })))
}

pub(super) async fn get_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    Ok(show(&app, &app.get_link(&caller, &id).await?))
}

pub(super) async fn update_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let precondition = Precondition::read(&headers)?;
    let body = read_json(request, app.settings.body_bytes_max).await?;
    let link = app.update_link(&caller, &id, &precondition, body).await?;
    Ok(with_etag(json(StatusCode::OK, &app.view_written(&link)), link.version))
}

pub(super) async fn delete_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.delete_link(&caller, &id, &Precondition::read(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn list_versions(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    pairs: QueryPairs,
) -> Result<Response, Problem> {
    let (before, limit) = pairs.into_versions_query()?;
    let versions = app.link_versions(&caller, &id, before, limit).await?;
    let is_full = versions.len() == limit as usize;
    let next_before = versions.last().map(|last| last.version).filter(|version| is_full && *version > 1);
    let views: Vec<_> = versions.iter().map(VersionView::new).collect();
    Ok(json(StatusCode::OK, &json_value!({ "versions": views, "next_before": next_before })))
}

fn show(app: &App, link: &Link) -> Response {
    with_etag(json(StatusCode::OK, &app.view(link)), link.version)
}

fn with_etag(mut response: Response, version: u64) -> Response {
    let etag = HeaderValue::try_from(format!("\"{version}\"")).expect("a number is ASCII");
    response.headers_mut().insert(ETAG, etag);
    response
}
