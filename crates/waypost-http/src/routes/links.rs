//! `/api/v1/links`: the links of the account.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use waypost_api::link::{CreateLink, Link, ListLinks, ListVersions, UpdateLink};
use waypost_api::read::QueryPairs;
use waypost_control::{App, Caller};

use crate::answer::{Refusal, json, json_once};
use crate::idempotency::RequestKey;
use crate::request::{JsonBody, PathId, read_json, read_precondition};
use crate::settings::HttpSettings;

pub(super) async fn create_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: RequestKey,
    JsonBody(body): JsonBody,
) -> Result<Response, Refusal> {
    let request = key.with_body(&caller, &body);
    let created = app.create_link(&caller, CreateLink::read(body)?, &request).await?;
    let mut response = json_once(StatusCode::CREATED, &created);
    let location = HeaderValue::try_from(format!("/api/v1/links/{}", created.value.id));
    response.headers_mut().insert(LOCATION, location.expect("an id is ASCII"));
    Ok(with_etag(response, created.value.version))
}

pub(super) async fn list_links(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.list_links(&caller, &ListLinks::read(pairs)?).await?))
}

pub(super) async fn get_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Refusal> {
    Ok(show(&app.get_link(&caller, &id).await?))
}

pub(super) async fn update_link(
    State(app): State<Arc<App>>,
    State(settings): State<Arc<HttpSettings>>,
    caller: Caller,
    PathId(id): PathId,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let precondition = read_precondition(&headers)?;
    let patch = UpdateLink::read(read_json(request, settings.body_bytes_max).await?)?;
    Ok(show(&app.update_link(&caller, &id, &precondition, patch).await?))
}

pub(super) async fn delete_link(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.delete_link(&caller, &id, &read_precondition(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn list_versions(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.list_versions(&caller, &id, ListVersions::read(pairs)?).await?))
}

fn show(link: &Link) -> Response {
    with_etag(json(StatusCode::OK, link), link.version)
}

fn with_etag(mut response: Response, version: u64) -> Response {
    let etag = HeaderValue::try_from(format!("\"{version}\"")).expect("a number is ASCII");
    response.headers_mut().insert(ETAG, etag);
    response
}
