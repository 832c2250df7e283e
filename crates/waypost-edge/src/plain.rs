//! Plain requests: the common case, read without the HTTP engine.
//!
//! A plain request is a GET or HEAD of a path, in HTTP/1.1, complete, without a body or anything that concerns the
//! connection but that it is to be closed. Its redirect, or the page that says why there is none, is written by
//! `plain_answer`. What is not plain, and what is not about a link, is the engine's: this file refuses whatever it is
//! not sure of and never answers with an error.

use std::borrow::Cow;

use waypost_core::visit::Method;

use crate::field_name::FieldName;
use crate::fields::Fields;
use crate::head::{self, FieldLines, Head, Line};

/// A request that needs no engine, as far as its head shows.
#[derive(Debug)]
pub(crate) struct PlainRequest<'r> {
    /// How many bytes it has.
    pub(crate) bytes: usize,
    /// GET or HEAD.
    pub(crate) method: Method,
    /// Path and query, as received; begins with `/` and is printable ASCII.
    pub(crate) target: &'r str,
    /// Where the `?` is.
    pub(crate) query_at: Option<usize>,
    /// Whether the peer wants no further answer.
    pub(crate) is_last: bool,
    pub(crate) fields: Fields<'r>,
    pub(crate) headers: FieldLines<'r>,
}

/// Reads the request at the beginning of `bytes`. `None` if it is not plain, or not complete.
#[inline]
pub(crate) fn read(bytes: &[u8]) -> Option<PlainRequest<'_>> {
    let mut reading = Reading::default();
    let (headers, length) = match head::read(bytes, |line| reading.take(line)) {
        Head::Complete { fields, bytes } => (fields, bytes),
        Head::Partial | Head::Other => return None,
    };
    let Reading { method, target, query_at, fields, is_last } = reading;
    // What comes after the last request must be read and dropped, which the engine does.
    if is_last && length < bytes.len() {
        return None;
    }
    Some(PlainRequest { bytes: length, method: method?, target, query_at, is_last, fields, headers })
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
    /// Reads the next line. False if it makes the request one for the engine.
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

/// Path and host of what is probably a plain request, from its first two lines.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `Some` is the target of a plain request.
    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let found = match read(text.as_bytes()) {
            Some(request) if request.bytes == text.len() => Ok(request.target),
            Some(_) => Err("plain"),
            None => Err("other"),
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
}
