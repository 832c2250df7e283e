//! `/healthz`: the process answers. `/readyz`: it redirects; and for those whose instance it is, how it is doing.

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::json as json_value;
use tokio::time::timeout;

use super::json;
use crate::app::App;
use crate::caller::Caller;
use crate::health::ANSWER_MAX;

pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Whoever has no key is told yes or no, and so is whoever has a wrong one, or one that the database does not look up in time: a
/// balancer is not to be confused. Without a key that asks no database.
pub(super) async fn readyz(State(app): State<Arc<App>>, mut parts: Parts) -> Response {
    let status = |ready| if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let caller = timeout(ANSWER_MAX, Caller::from_request_parts(&mut parts, &app)).await;
    match caller.map(|caller| caller.and_then(|caller| caller.require_instance(&app))) {
        Ok(Ok(())) => {
            let readiness = app.readiness().await;
            json(status(readiness.ready), &readiness)
        }
        Ok(Err(_)) | Err(_) => {
            let ready = app.redirects();
            json(status(ready), &json_value!({ "ready": ready }))
        }
    }
}
