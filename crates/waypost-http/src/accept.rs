//! Content negotiation: which of the available formats a request prefers.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use waypost_api::Format;

/// The form that `Accept` names first among these; the first of these where it names none. Weights are not compared: a
/// program that wants CSV names it and nothing else.
pub(crate) fn accepted(headers: &HeaderMap, offered: &[Format]) -> Format {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let types = values.flat_map(|value| value.split(',')).map(|range| range.split(';').next().unwrap_or("").trim());
    let mut wanted = types.filter_map(|media_type| {
        let format = match media_type.to_ascii_lowercase().as_str() {
            "application/json" | "*/*" | "application/*" => Format::Json,
            "text/csv" => Format::Csv,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Format::Ndjson,
            _ => return None,
        };
        offered.contains(&format).then_some(format)
    });
    wanted.next().or_else(|| offered.first().copied()).unwrap_or(Format::Json)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_named_first_is_given() {
        #[track_caller]
        fn check(accept: &[&'static str], expect: Format) {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(accepted(&headers, &[Format::Json, Format::Csv]), expect, "{accept:?}");
        }
        check(&[], Format::Json);
        check(&["*/*"], Format::Json);
        check(&["text/html, text/csv;q=0.9"], Format::Csv);
        check(&["Text/CSV"], Format::Csv);
        check(&["application/json", "text/csv"], Format::Json);
        check(&["application/x-ndjson"], Format::Json);
        check(&["nonsense;;,,"], Format::Json);
    }
}
