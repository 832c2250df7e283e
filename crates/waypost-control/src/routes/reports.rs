//! `/api/v1/reports`: what was counted.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{json, typed};
use crate::accept::{Format, accepted};
use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::report_query::AskedReport;
use crate::request::QueryPairs;

pub(super) async fn get_report(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    pairs: QueryPairs,
) -> Result<Response, Problem> {
    let asked = AskedReport::read(pairs, waypost_jobs::now())?;
    let format = asked.format.unwrap_or_else(|| accepted(&headers, &[Format::Json, Format::Csv]));
    let answer = app.report(&caller, asked).await?;
    Ok(match format {
        Format::Csv => typed(Format::Csv.media_type(), answer.to_csv()),
        Format::Json | Format::Ndjson => json(StatusCode::OK, &answer),
    })
}
