//! `/healthz`: the process answers. `/readyz`: it redirects; and for the operator, its state in detail.

use axum::extract::{FromRequestParts as _, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use tokio::time::timeout;
use waypost_api::health::Ready;
use waypost_control::{ANSWER_MAX, Caller, Operation};

use crate::answer::{Refusal, json};
use crate::state::HttpState;

pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// A client without a key only gets [`Ready`], and so does one whose key is wrong or not looked up in time, because
/// load balancers need a reliable answer. Without a key this uses no database.
pub(super) async fn readyz(State(state): State<HttpState>, mut parts: Parts) -> Response {
    let status = |ready| if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let asked = async {
        let caller = Caller::from_request_parts(&mut parts, &state).await?;
        Ok::<_, Refusal>(caller.may(Operation::ReadHealth)?)
    };
    if matches!(timeout(ANSWER_MAX, asked).await, Ok(Ok(()))) {
        let readiness = state.app.readiness().await;
        json(status(readiness.ready), &readiness)
    } else {
        let ready = state.app.redirects();
        json(status(ready), &Ready { ready })
    }
}
