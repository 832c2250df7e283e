//! `/metrics`: the numbers of this instance, for those whose instance it is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::typed;
use crate::app::App;
use crate::caller::Caller;
use crate::metrics::MEDIA_TYPE;
use crate::problem::Problem;

pub(super) async fn metrics(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    caller.require_instance(&app)?;
    Ok(typed(MEDIA_TYPE, app.metrics().await?))
}
