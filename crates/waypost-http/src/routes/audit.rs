//! `/api/v1/audit`: the audit log of the account.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use waypost_api::audit::ListAudit;
use waypost_api::read::QueryPairs;
use waypost_control::{App, Caller};

use crate::answer::{Refusal, json};

pub(super) async fn list_audit(
    State(app): State<Arc<App>>,
    caller: Caller,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.list_audit(&caller, ListAudit::read(pairs, waypost_jobs::now())?).await?))
}
