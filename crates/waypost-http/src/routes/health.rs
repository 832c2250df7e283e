//! `/healthz`: the process answers. `/readyz`: it redirects; and for those whose instance it is, how it is doing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json as json_value;
use waypost_control::{App, Caller};

use crate::answer::{Refusal, json};

pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Whoever has no key is told yes or no, and so is whoever has a wrong one: a balancer is not to be confused. That asks no
/// database.
pub(super) async fn readyz(State(app): State<Arc<App>>, caller: Result<Caller, Refusal>) -> Response {
    let status = |ready| if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match caller.and_then(|caller| Ok(caller.require_instance(&app)?)) {
        Ok(()) => {
            let readiness = app.readiness().await;
            json(status(readiness.ready), &readiness)
        }
        Err(_) => {
            let ready = app.redirects();
            json(status(ready), &json_value!({ "ready": ready }))
        }
    }
}
