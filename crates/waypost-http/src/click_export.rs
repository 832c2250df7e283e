//! Raw clicks as one text that is written while they are read, so that they are never all in memory.
//!
//! A task of its own on the control plane's runtime reads and writes the pages, so neither the database nor formatting
//! is ever work of the thread that sends the response. At most [`CHUNKS_AHEAD`] pages wait in memory. After an error
//! the response is cut off, so that nobody mistakes it for complete.

use axum::body::{Body, Bytes};
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use waypost_api::Format;
use waypost_control::ClickPages;
use waypost_core::click::ClickEvent;

use crate::csv::CsvText;

/// Pages of an export that may wait for a slow reader.
const CHUNKS_AHEAD: usize = 2;

/// The columns of clicks as CSV, in order. New ones are added at the end.
const COLUMNS: [&str; 30] = [
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
    "channel",
];

/// The body of an answer that has all of these clicks.
pub(crate) fn body_of(pages: ClickPages, format: Format) -> Body {
    let (sender, mut receiver) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(write(pages, format, sender));
    Body::from_stream(poll_fn(move |cx| receiver.poll_recv(cx)))
}

async fn write(mut pages: ClickPages, format: Format, sender: mpsc::Sender<std::io::Result<Bytes>>) {
    let mut chunk = match format {
        Format::Csv => heading(),
        Format::Json | Format::Ndjson => Vec::new(),
    };
    loop {
        match pages.next().await {
            Ok(Some(events)) => chunk.extend(write_chunk(&events, format)),
            Ok(None) => return,
            Err(problem) => {
                // The client has closed the connection.
                let _ = sender.send(Err(std::io::Error::other(problem.detail().to_owned()))).await;
                return;
            }
        }
        if !chunk.is_empty() && sender.send(Ok(std::mem::take(&mut chunk).into())).await.is_err() {
            return;
        }
    }
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
    csv.text(&event.edge_id)
        .optional_number(event.epoch)
        .optional_number(event.sequence)
        .text(&event.channel)
        .end_line();
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
