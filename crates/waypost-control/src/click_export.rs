//! Raw clicks, as long as they are kept: a page at a time, or all of them in one answer that is written page by page.
//!
//! The pages are read by a task of their own on the runtime of whoever asked, so that neither the database nor the
//! writing of text is ever the work of the thread that sends the answer. At most [`CHUNKS_AHEAD`] pages wait in memory.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use waypost_core::Timestamp;
use waypost_core::click::ClickEvent;
use waypost_jobs::Chain;
use waypost_store::{ClickPage, PAGE_CLICKS_MAX, RawQuery, StoreError};

use crate::accept::Format;
use crate::app::App;
use crate::caller::Caller;
use crate::csv::CsvText;
use crate::problem::{FieldError, Problem, ProblemCode};
use crate::report_query::Fields;
use crate::request::QueryPairs;
use crate::when::{read_end, read_start, read_time_zone};

/// Clicks of a page where the caller does not say.
const PAGE_CLICKS: usize = 100;
/// Clicks of a page of a written export.
const CHUNK_CLICKS: usize = 1_000;
/// Pages of an export that may wait for a slow reader.
const CHUNKS_AHEAD: usize = 2;

/// The columns of clicks as CSV, in order. New ones are added at the end.
const COLUMNS: [&str; 29] = [
    "event_id",
    "clicked_at",
    "link_id",
    "domain",
    "slug",
    "class",
    "class_reason",
    "country_code",
    "device_type",
    "os",
    "browser",
    "language",
    "referrer",
    "user_agent",
    "source",
    "rule_id",
    "ab_test_id",
    "ab_variant_id",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "status",
    "visitor",
    "ip_address",
    "edge_id",
    "epoch",
    "sequence",
];

/// Which clicks are asked for, and in what form.
#[derive(Clone, Debug)]
pub(crate) struct AskedClicks {
    link_id: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    limit: Option<usize>,
    cursor: Option<String>,
    pub(crate) format: Option<Format>,
}

impl AskedClicks {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// As [`crate::report_query::AskedReport::read`].
    pub(crate) fn read(pairs: QueryPairs, now: Timestamp) -> Result<Self, Problem> {
        let mut fields = Fields::of(pairs);
        let zone =
            fields.read("time_zone", ProblemCode::TimeZoneUnknown, read_time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let to = fields.read("to", ProblemCode::RangeInvalid, |text| read_end(text, &zone, now));
        let end = to.unwrap_or(now);
        let from = fields.read("from", ProblemCode::RangeInvalid, |text| read_start(text, &zone, now, end));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            fields.refuse(
                "to",
                ProblemCode::RangeInvalid,
                "the range ends at or before its beginning; swap from and to",
            );
        }
        let formats = [("json", Format::Json), ("csv", Format::Csv), ("ndjson", Format::Ndjson)];
        let asked = Self {
            link_id: fields.take("link_id"),
            from,
            to,
            limit: fields.read("limit", ProblemCode::InvalidField, read_limit),
            cursor: fields.take("cursor"),
            format: fields.format(&formats),
        };
        fields.finish().map(|()| asked)
    }
}

impl App {
    /// A page of the caller's clicks.
    pub(crate) async fn list_clicks(&self, caller: &Caller, asked: AskedClicks) -> Result<ClickPage, Problem> {
        let limit = asked.limit.unwrap_or(PAGE_CLICKS);
        if limit > PAGE_CLICKS_MAX {
            let detail = format!("a page has at most {PAGE_CLICKS_MAX} clicks; format=ndjson gives them all at once");
            let error = FieldError { field: "limit".to_owned(), code: ProblemCode::InvalidField, detail };
            return Err(Problem::of_fields(vec![error]));
        }
        let query = self.raw_query(caller, asked, limit).await?;
        Ok(self.click_store().raw_clicks(&query).await?)
    }

    /// The caller's clicks as one text that is written while it is read. What can be refused is refused here; a fault on
    /// the way cuts the answer short, so that nobody takes it for complete.
    pub(crate) async fn export_clicks(
        self: &Arc<Self>,
        caller: &Caller,
        asked: AskedClicks,
        format: Format,
    ) -> Result<Body, Problem> {
        let left = asked.limit.unwrap_or(usize::MAX);
        let query = self.raw_query(caller, asked, left.min(CHUNK_CLICKS)).await?;
        let first = self.click_store().raw_clicks(&query).await?;
        let (sender, mut receiver) = mpsc::channel(CHUNKS_AHEAD);
        let export = Export { query, left, format, sender };
        let app = Arc::clone(self);
        tokio::spawn(async move { export.run(&app, first).await });
        Ok(Body::from_stream(poll_fn(move |cx| receiver.poll_recv(cx))))
    }

    async fn raw_query(&self, caller: &Caller, asked: AskedClicks, limit: usize) -> Result<RawQuery, Problem> {
        let link_id = match &asked.link_id {
            Some(id) => Some(self.known_link_id(caller, id).await?),
            None => None,
        };
        let account_id = caller.account_id.clone();
        Ok(RawQuery { account_id, link_id, from: asked.from, to: asked.to, limit, cursor: asked.cursor })
    }
}

/// An export being written.
struct Export {
    query: RawQuery,
    /// Clicks that may still be written.
    left: usize,
    format: Format,
    sender: mpsc::Sender<Result<Bytes, StoreError>>,
}

impl Export {
    async fn run(mut self, app: &App, first: ClickPage) {
        let mut chunk = match self.format {
            Format::Csv => heading(),
            Format::Json | Format::Ndjson => Vec::new(),
        };
        let mut page = first;
        loop {
            if page.damaged > 0 {
                tracing::error!(clicks = page.damaged, "an export leaves out clicks whose stored bytes are damaged");
            }
            self.left -= page.events.len().min(self.left);
            chunk.extend(write_chunk(&page.events, self.format));
            // Nobody listens any more: whoever asked has gone.
            if !chunk.is_empty() && self.sender.send(Ok(std::mem::take(&mut chunk).into())).await.is_err() {
                return;
            }
            self.query.cursor = page.next;
            if self.query.cursor.is_none() || self.left == 0 {
                return;
            }
            self.query.limit = self.left.min(CHUNK_CLICKS);
            page = match app.click_store().raw_clicks(&self.query).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "an export of clicks was cut short");
                    drop(self.sender.send(Err(error)).await);
                    return;
                }
            };
        }
    }
}

fn read_limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "must be a number from 1 on".to_owned())
}

fn heading() -> Vec<u8> {
    let mut csv = CsvText::new();
    csv.line(COLUMNS);
    csv.into_bytes()
}

fn write_chunk(events: &[ClickEvent], format: Format) -> Vec<u8> {
    match format {
        Format::Csv => {
            let mut csv = CsvText::new();
            for event in events {
                write_cells(&mut csv, event);
            }
            csv.into_bytes()
        }
        Format::Json | Format::Ndjson => {
            let mut text = Vec::new();
            for event in events {
                serde_json::to_writer(&mut text, event).expect("texts and numbers are JSON");
                text.push(b'\n');
            }
            text
        }
    }
}

fn write_cells(csv: &mut CsvText, event: &ClickEvent) {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let clicked_at = event.clicked_at.map(|at| at.to_string()).unwrap_or_default();
    for text in [
        &event.event_id,
        &clicked_at,
        &event.link_id,
        &event.domain,
        &event.slug,
        &event.class,
        &event.class_reason,
        &event.country_code,
        &event.device_type,
        &event.os,
        &event.browser,
        &event.language,
        &event.referrer,
        &event.user_agent,
        &event.source,
    ] {
        csv.text(text);
    }
    for text in [
        &event.rule_id,
        &event.ab_test_id,
        &event.ab_variant_id,
        &event.utm_source,
        &event.utm_medium,
        &event.utm_campaign,
        &event.utm_term,
        &event.utm_content,
    ] {
        csv.text(&optional(text));
    }
    csv.number(event.status.into()).text(&optional(&event.visitor)).text(&optional(&event.ip_address));
    csv.text(&event.edge_id).optional_number(event.epoch).optional_number(event.sequence).end_line();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_cell_for_each_column() {
        let event = ClickEvent { browser: "a".into(), epoch: Some(1), ..ClickEvent::default() };
        let text = String::from_utf8(write_chunk(&[event], Format::Csv)).expect("CSV is UTF-8");
        assert_eq!(text.matches(',').count() + 1, COLUMNS.len());
        let cells: Vec<&str> = text.trim_end().split(',').collect();
        let column = |name: &str| COLUMNS.iter().position(|column| *column == name).expect("a column");
        assert_eq!((cells[column("browser")], cells[column("epoch")], cells[column("status")]), ("a", "1", "0"));
    }
}
