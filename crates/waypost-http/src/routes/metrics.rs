//! `/metrics`: the metrics of this instance, for its operator.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use waypost_control::{App, Caller, Operation};

use crate::answer::{Refusal, typed};
use crate::metrics::{self, MEDIA_TYPE};

pub(super) async fn metrics(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Refusal> {
    caller.may(Operation::ReadHealth)?;
    Ok(typed(MEDIA_TYPE, metrics::metrics(&app, &caller).await?))
}
