//! `/webhooks`: signed requests, which need no API key.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use waypost_api::webhook::{DeliveryResult, UnlockAttempt, UnlockVerdict};
use waypost_control::Endpoint;

use crate::answer::{Refusal, json};
use crate::signed::read_signed;
use crate::state::HttpState;

/// The largest body of a delivery.
const DELIVERY_BYTES_MAX: usize = 1 << 20;
/// The largest body about a password: a path of eight kilobytes and the rest.
const ATTEMPT_BYTES_MAX: usize = 16 << 10;

pub(super) async fn take_clicks(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let taken: Result<DeliveryResult, Refusal> = async {
        let body = read_signed(&state, request, DELIVERY_BYTES_MAX).await?;
        Ok(state.app.take_clicks(body).await?)
    }
    .await;
    state.app.note_delivery(Endpoint::Analytics, taken.as_ref().err().map(|refusal| &refusal.problem));
    Ok(json(StatusCode::OK, &taken?))
}

pub(super) async fn judge_password(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let verdict: Result<UnlockVerdict, Refusal> = async {
        let body = read_signed(&state, request, ATTEMPT_BYTES_MAX).await?;
        Ok(state.app.judge_password(UnlockAttempt::read(&body)?).await?)
    }
    .await;
    state.app.note_delivery(Endpoint::Unlock, verdict.as_ref().err().map(|refusal| &refusal.problem));
    Ok(json(StatusCode::OK, &verdict?))
}
