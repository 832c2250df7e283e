//! `/api/v1/reports`: counts of clicks and visitors.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use waypost_api::Format;
use waypost_api::read::QueryPairs;
use waypost_api::report::GetReport;
use waypost_control::{App, Caller};

use crate::accept::accepted;
use crate::answer::{Refusal, json, typed};
use crate::report_csv::to_csv;

pub(super) async fn get_report(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    pairs: QueryPairs,
) -> Result<Response, Refusal> {
    let asked = GetReport::read(pairs, waypost_jobs::now())?;
    let format = asked.format.unwrap_or_else(|| accepted(&headers, &[Format::Json, Format::Csv]));
    let report = app.report(&caller, asked).await?;
    Ok(match format {
        Format::Csv => typed(Format::Csv.media_type(), to_csv(&report)),
        Format::Json | Format::Ndjson => json(StatusCode::OK, &report),
    })
}
