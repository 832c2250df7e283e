//! Plain requests: what nearly every visitor sends, read and answered without the HTTP engine.
//!
//! A plain request is a GET or HEAD of a path, in HTTP/1.1, complete, without a body or anything that concerns the connection
//! but that it is to be closed.
//! Its redirect, or the page that says why there is none, is put together here, byte for byte as the engine would. What is not
//! plain, and what is not about a link, is the engine's: this file refuses whatever it is not sure of and never answers with an error.

use std::borrow::Cow;

use hyper::StatusCode;
use hyper::header::{ACCEPT, CONNECTION};
use waypost_core::page::{self, Page};
use waypost_core::visit::Method;

use crate::answer;
use crate::date::DateBytes;
use crate::field_name::FieldName;
use crate::fields::{Fields, Headers as _};
use crate::head::{self, FieldLines, Head, Line};
use crate::input::Refusal;
use crate::redirect::Redirect;

/// A request that the engine is not needed for, as far as can be told from its head.
#[derive(Debug)]
pub(crate) struct PlainRequest<'r> {
    /// GET or HEAD.
    pub(crate) method: Method,
    /// Path and query, as they came; begins with `/` and is printable ASCII.
    pub(crate) target: &'r str,
    /// Where the `?` is.
    pub(crate) query_at: Option<usize>,
    /// Whether the peer wants no further answer.
    pub(crate) is_last: bool,
    pub(crate) fields: Fields<'r>,
    pub(crate) headers: FieldLines<'r>,
}

/// What a connection's bytes begin with.
#[derive(Debug)]
pub(crate) enum Begins {
    /// A plain request of so many bytes, which was handed over.
    Plain { bytes: usize, is_answered: bool, is_last: bool },
    /// Something else, or a part of a head.
    Other,
}

/// Reads the request at the beginning of `bytes`. Where it is plain, `answer` gets it and says whether it answered.
#[inline]
pub(crate) fn read(bytes: &[u8], answer: impl FnOnce(&PlainRequest<'_>) -> bool) -> Begins {
    let mut reading = Reading::default();
    let (headers, length) = match head::read(bytes, |line| reading.take(line)) {
        Head::Complete { fields, bytes } => (fields, bytes),
        Head::Partial | Head::Other => return Begins::Other,
    };
    let Reading { method, target, query_at, fields, is_last } = reading;
    // What comes after the last request must be read and dropped, which the engine does.
    if is_last && length < bytes.len() {
        return Begins::Other;
    }
    let Some(method) = method else { return Begins::Other };
    let request = PlainRequest { method, target, query_at, is_last, fields, headers };
    Begins::Plain { bytes: length, is_answered: answer(&request), is_last }
}

/// A request whose head is being read.
#[derive(Default)]
struct Reading<'r> {
    method: Option<Method>,
    target: &'r str,
    query_at: Option<usize>,
    fields: Fields<'r>,
    is_last: bool,
}

impl<'r> Reading<'r> {
    /// Takes the next line. False where it makes the request none for this file.
    #[inline]
    fn take(&mut self, line: Line<'r>) -> bool {
        let field = match line {
            Line::Request(line) => return self.take_request_line(line),
            Line::Field(field) => field,
        };
        match field.name {
            FieldName::Connection if field.value.eq_ignore_ascii_case("keep-alive") => {}
            FieldName::Connection if field.value.eq_ignore_ascii_case("close") => self.is_last = true,
            FieldName::Connection | FieldName::Engine => return false,
            name => self.fields.take(name, field.value.as_bytes(), || Cow::Borrowed(field.value)),
        }
        true
    }

    fn take_request_line(&mut self, line: &'r str) -> bool {
        let (method, rest) = if let Some(rest) = line.strip_prefix("GET ") {
            (Method::Get, rest)
        } else if let Some(rest) = line.strip_prefix("HEAD ") {
            (Method::Head, rest)
        } else {
            return false;
        };
        let Some(target) = rest.strip_suffix(" HTTP/1.1").filter(|target| target.starts_with('/')) else {
            return false;
        };
        for (place, byte) in target.bytes().enumerate() {
            if !PLAIN_BYTES[usize::from(byte)] {
                return false;
            }
            if byte == b'?' && self.query_at.is_none() {
                self.query_at = Some(place);
            }
        }
        self.method = Some(method);
        self.target = target;
        true
    }
}

/// Path and host of what is probably a plain request, by a glance at its first two lines.
#[inline]
pub(crate) fn peek(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(b"GET ")?;
    let path = &rest[..rest.iter().position(|byte| matches!(byte, b' ' | b'?'))?];
    let line = rest.get(memchr::memchr(b'\n', rest)? + 1..)?;
    let (name, value) = line.split_at_checked(b"Host: ".len())?;
    let host = &value[..value.iter().position(|byte| *byte == b'\r')?];
    name.eq_ignore_ascii_case(b"Host: ").then_some((path, host))
}

/// Bytes that mean themselves in any target; of the others the engine knows which are allowed.
static PLAIN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@%/?";
    let mut index = 0;
    while index < plain.len() {
        table[plain[index] as usize] = true;
        index += 1;
    }
    table
};

/// Adds the whole answer of a redirect. Whoever asks for its head alone is not told a length, as the engine has it.
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

    /// `Some` is the target of a plain request.
    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let mut target = None;
        let answer = |request: &PlainRequest<'_>| {
            target = Some(request.target.to_owned());
            true
        };
        let begins = read(text.as_bytes(), answer);
        let found = match begins {
            Begins::Plain { bytes, is_answered: true, .. } if bytes == text.len() => {
                Ok(target.as_deref().unwrap_or(""))
            }
            Begins::Plain { .. } => Err("plain"),
            Begins::Other => Err("other"),
        };
        assert_eq!(found, expect, "{text:?}");
    }

    #[test]
    fn plain_and_other_requests() {
        let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        check(&get("/a?b=%20c", ""), Ok("/a?b=%20c"));
        check(&get("/a", "connection: Keep-Alive\r\nX: y\r\n"), Ok("/a"));
        check(&get("/a", "Connection: close\r\n"), Ok("/a"));
        check(&format!("{}G", get("/a", "Connection: close\r\n")), Err("other"));
        check("HEAD /a HTTP/1.1\r\n\r\n", Ok("/a"));
        check("GET /a HTTP/1.1\r\nHost: a\r\n", Err("other"));
        check("", Err("other"));
        for target in ["*", "http://a/b", "/a#b", "/ä", "/a\"", "/<a>", "/{a}", "/a|b", "/a\\b", "/a^", "/a`"] {
            check(&get(target, ""), Err("other"));
        }
        for field in [
            "Connection: keep-alive, close",
            "Connection: upgrade",
            "Content-Length: 0",
            "transfer-encoding: chunked",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "TE: trailers",
            "bad name: x",
        ] {
            check(&get("/a", &format!("{field}\r\n")), Err("other"));
        }
        for text in ["POST /a HTTP/1.1\r\n\r\n", "GET /a HTTP/1.0\r\n\r\n", "get /a HTTP/1.1\r\n\r\n", "\x16\x03\x01"] {
            check(text, Err("other"));
        }
        check(&get("/a", &"X: y\r\n".repeat(head::FIELDS_MAX - 1)), Ok("/a"));
        check(&get("/a", &"X: y\r\n".repeat(head::FIELDS_MAX)), Err("other"));
    }

    #[test]
    fn an_answer_is_written_whole() {
        let redirect =
            Redirect { status: StatusCode::FOUND, location: "https://a.example/", cache_policy: CachePolicy::NoStore };
        let (mut answer, fields) = (Vec::new(), Fields::default());
        let (target, query_at) = ("/a", None);
        let request = PlainRequest {
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
