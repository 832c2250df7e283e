//! Writes the answers of plain requests, byte for byte as the HTTP engine would.

use hyper::StatusCode;
use hyper::header::{ACCEPT, CONNECTION};
use waypost_core::page::{self, Page};
use waypost_core::visit::Method;

use crate::answer;
use crate::date::DateBytes;
use crate::fields::Headers as _;
use crate::input::Refusal;
use crate::plain::PlainRequest;
use crate::redirect::Redirect;

/// Adds the whole answer of a redirect. As with the engine, the answer to a HEAD request has no length.
#[inline]
pub(crate) fn put_redirect(redirect: Redirect<'_>, request: &PlainRequest<'_>, date: &DateBytes, answer: &mut Vec<u8>) {
    if redirect.leaves_web() {
        return put_leave(redirect.location, request, date, answer);
    }
    let Redirect { status, location, cache_policy } = redirect;
    let status_line: &[u8] = match status.as_u16() {
        301 => b"HTTP/1.1 301 Moved Permanently\r\nlocation: ",
        302 => b"HTTP/1.1 302 Found\r\nlocation: ",
        303 => b"HTTP/1.1 303 See Other\r\nlocation: ",
        307 => b"HTTP/1.1 307 Temporary Redirect\r\nlocation: ",
        308 => b"HTTP/1.1 308 Permanent Redirect\r\nlocation: ",
        other => {
            let reason = status.canonical_reason().unwrap_or_default();
            answer.extend_from_slice(format!("HTTP/1.1 {other} {reason}\r\nlocation: ").as_bytes());
            b""
        }
    };
    let policy = cache_policy.header_value();
    answer.reserve(status_line.len() + location.len() + policy.len() + 96);
    answer.extend_from_slice(status_line);
    answer.extend_from_slice(location.as_bytes());
    answer.extend_from_slice(b"\r\ncache-control: ");
    answer.extend_from_slice(policy.as_bytes());
    if request.is_last {
        answer.extend_from_slice(b"\r\nconnection: close");
    }
    answer.extend_from_slice(match request.method {
        Method::Get => b"\r\ncontent-length: 0\r\ndate: ",
        Method::Head | Method::Post | Method::Other => b"\r\ndate: ",
    });
    answer.extend_from_slice(date);
    answer.extend_from_slice(b"\r\n\r\n");
}

/// Adds the whole answer of the page by which a link leaves the web.
#[cold]
fn put_leave(location: &str, request: &PlainRequest<'_>, date: &DateBytes, answer: &mut Vec<u8>) {
    put(answer, &["HTTP/1.1 200 OK"]);
    answer::leave_headers(|name, value| put(answer, &["\r\n", name.as_str(), ": ", value]));
    put_rest(&page::leave_page(location), request, date, answer);
}

/// Adds the whole answer of a page, or of its head.
pub(crate) fn put_page(page: Page, request: &PlainRequest<'_>, date: &DateBytes, answer: &mut Vec<u8>) {
    let accept = request.headers.first_value(&ACCEPT).and_then(|accept| str::from_utf8(accept).ok());
    put_status_line(page, answer);
    let text = answer::page_parts(page, accept.is_some_and(page::prefers_json), |name, value| {
        put(answer, &["\r\n", name.as_str(), ": ", value]);
    });
    put_rest(text, request, date, answer);
}

/// Adds what follows the headers of a page.
fn put_rest(text: &str, request: &PlainRequest<'_>, date: &DateBytes, answer: &mut Vec<u8>) {
    if request.is_last {
        put(answer, &["\r\nconnection: close"]);
    }
    put(answer, &["\r\ncontent-length: ", &text.len().to_string(), "\r\ndate: "]);
    answer.extend_from_slice(date);
    put(answer, &["\r\n\r\n", if request.method == Method::Get { text } else { "" }]);
}

/// Adds the whole answer of a request that is refused, which is the last of its connection.
#[cold]
pub(crate) fn put_refusal(refusal: Refusal, date: &DateBytes, answer: &mut Vec<u8>) {
    put_status_line(refusal.page, answer);
    let mut closes = false;
    let text = answer::page_parts(refusal.page, refusal.is_of_api, |name, value| {
        closes |= name == CONNECTION;
        put(answer, &["\r\n", name.as_str(), ": ", value]);
    });
    if !closes {
        put(answer, &["\r\nconnection: close"]);
    }
    put(answer, &["\r\ncontent-length: ", &text.len().to_string(), "\r\ndate: "]);
    answer.extend_from_slice(date);
    put(answer, &["\r\n\r\n", if refusal.is_head_alone { "" } else { text }]);
}

fn put_status_line(page: Page, answer: &mut Vec<u8>) {
    let status = page.status();
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    put(answer, &["HTTP/1.1 ", &status.to_string(), " ", reason]);
}

fn put(answer: &mut Vec<u8>, texts: &[&str]) {
    texts.iter().for_each(|text| answer.extend_from_slice(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use waypost_core::decide::CachePolicy;

    use super::*;
    use crate::fields::Fields;
    use crate::head::FieldLines;

    #[test]
    fn an_answer_is_written_whole() {
        let redirect =
            Redirect { status: StatusCode::FOUND, location: "https://a.example/", cache_policy: CachePolicy::NoStore };
        let (mut answer, fields) = (Vec::new(), Fields::default());
        let (target, query_at) = ("/a", None);
        let request = PlainRequest {
            bytes: 0,
            method: Method::Get,
            target,
            query_at,
            is_last: false,
            fields,
            headers: FieldLines::default(),
        };
        put_redirect(redirect, &request, b"Sun, 06 Nov 1994 08:49:37 GMT", &mut answer);
        let policy = CachePolicy::NoStore.header_value();
        assert_eq!(
            String::from_utf8(answer).expect("an answer is ASCII"),
            format!(
                "HTTP/1.1 302 Found\r\nlocation: https://a.example/\r\ncache-control: {policy}\r\ncontent-length: 0\r\n\
                 date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
            )
        );
    }
}
