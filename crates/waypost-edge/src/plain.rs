//! Plain requests: what nearly every visitor sends, read and answered without the HTTP engine.
//!
//! A plain request is a GET or HEAD of a path, in HTTP/1.1, complete, without a body or anything that concerns the connection
//! but that it is to be closed.
//! Its redirect is put together here, byte for byte as the engine would. What is not plain, and every answer that is no
//! redirect, is the engine's: this file refuses whatever it is not sure of and never answers with an error. Heads are
//! read by the parser that the engine uses, with the same settings.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;

use httparse::Status;
use waypost_core::Timestamp;
use waypost_core::visit::Method;

use crate::fields::Fields;
use crate::redirect::Redirect;

/// Headers of a plain request; more are left to the engine.
const HEADERS_MAX: usize = 64;
/// Bytes read from a connection at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What the connections of one thread use in turn.
#[derive(Debug)]
pub(crate) struct Thread {
    /// Where bytes are read to. Borrowed while requests in it are answered, which borrows nothing else of this.
    pub(crate) chunk: RefCell<Box<[u8]>>,
    /// The second of `date`, counted since 1970.
    date_second: Cell<i64>,
    /// The date as answers carry it.
    date: Cell<[u8; 29]>,
}

impl Default for Thread {
    fn default() -> Self {
        Self {
            chunk: RefCell::new(vec![0; CHUNK_BYTES].into_boxed_slice()),
            date_second: Cell::new(i64::MIN),
            date: Cell::new([b' '; 29]),
        }
    }
}

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
    pub(crate) headers: &'r [httparse::Header<'r>],
}

/// What a connection's bytes begin with.
#[derive(Debug)]
pub(crate) enum Begins {
    /// A plain request of so many bytes, which was handed over.
    Plain { bytes: usize, is_answered: bool, is_last: bool },
    /// A part of a head.
    Partly,
    /// Something for the engine.
    Other,
}

/// Reads the request at the beginning of `bytes`. Where it is plain, `answer` gets it and says whether it answered.
pub(crate) fn read(bytes: &[u8], answer: impl FnOnce(&PlainRequest<'_>) -> bool) -> Begins {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut []);
    let length = match head.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Begins::Partly,
        Err(_) => return Begins::Other,
    };
    let method = match head.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some(_) | None => return Begins::Other,
    };
    let target = head.path.filter(|path| path.starts_with('/'));
    let (Some(target), Some(1)) = (target, head.version) else { return Begins::Other };
    let mut query_at = None;
    for (place, byte) in target.bytes().enumerate() {
        if !PLAIN_BYTES[usize::from(byte)] {
            return Begins::Other;
        }
        if byte == b'?' && query_at.is_none() {
            query_at = Some(place);
        }
    }
    let mut fields = Fields::default();
    let mut is_last = false;
    for header in &*head.headers {
        match concerns_connection(header) {
            Concern::None => fields.take(header.name, header.value),
            Concern::KeepAlive => {}
            Concern::Close => is_last = true,
            Concern::Other => return Begins::Other,
        }
    }
    // What comes after the last request must be read and dropped, which the engine does.
    if is_last && length < bytes.len() {
        return Begins::Other;
    }
    let request = PlainRequest { method, target, query_at, is_last, fields, headers: head.headers };
    Begins::Plain { bytes: length, is_answered: answer(&request), is_last }
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

/// What a field says of the body, the connection or the protocol.
enum Concern {
    None,
    KeepAlive,
    Close,
    /// Something that the engine knows how to act on.
    Other,
}

fn concerns_connection(header: &httparse::Header<'_>) -> Concern {
    let is = |name: &str| header.name.eq_ignore_ascii_case(name);
    let is_other = match header.name.len() {
        2 => is("te"),
        6 => is("expect"),
        7 => is("upgrade") || is("trailer"),
        10 if is("connection") => match header.value {
            value if value.eq_ignore_ascii_case(b"keep-alive") => return Concern::KeepAlive,
            value if value.eq_ignore_ascii_case(b"close") => return Concern::Close,
            _ => true,
        },
        14 => is("content-length") || is("http2-settings"),
        17 => is("transfer-encoding"),
        _ => false,
    };
    if is_other { Concern::Other } else { Concern::None }
}

impl Thread {
    /// Adds the whole answer of a redirect. Whoever asks for its head alone is not told a length, as the engine has it.
    pub(crate) fn put_redirect(
        &self,
        redirect: Redirect<'_>,
        request: &PlainRequest<'_>,
        now: Timestamp,
        answer: &mut Vec<u8>,
    ) {
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
        answer.extend_from_slice(&self.date(now));
        answer.extend_from_slice(b"\r\n\r\n");
    }

    /// The date of an answer, written anew once a second.
    fn date(&self, now: Timestamp) -> [u8; 29] {
        let second = now.as_micros().div_euclid(1_000_000);
        if self.date_second.get() != second {
            let since_epoch = std::time::Duration::from_secs(u64::try_from(second).unwrap_or_default());
            let text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch);
            if let Ok(date) = text.as_bytes().try_into() {
                self.date.set(date);
                self.date_second.set(second);
            }
        }
        self.date.get()
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use waypost_core::decide::CachePolicy;

    use super::*;

    /// `Some` is the target of a plain request.
    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let mut target = None;
        let begins = read(text.as_bytes(), |request| {
            target = Some(request.target.to_owned());
            true
        });
        let found = match begins {
            Begins::Plain { bytes, is_answered: true, .. } if bytes == text.len() => {
                Ok(target.as_deref().unwrap_or(""))
            }
            Begins::Plain { .. } => Err("plain"),
            Begins::Partly => Err("partly"),
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
        check("GET /a HTTP/1.1\r\nHost: a\r\n", Err("partly"));
        check("", Err("partly"));
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
        check(&get("/a", &"X: y\r\n".repeat(HEADERS_MAX - 1)), Ok("/a"));
        check(&get("/a", &"X: y\r\n".repeat(HEADERS_MAX)), Err("other"));
    }

    #[test]
    fn answers_carry_the_date_of_their_second() {
        let thread = Thread::default();
        let redirect =
            Redirect { status: StatusCode::FOUND, location: "https://a.example/", cache_policy: CachePolicy::NoStore };
        for (micros, date) in [
            (784_111_777_999_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (784_111_777_000_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            let (mut answer, fields) = (Vec::new(), Fields::default());
            let (target, query_at) = ("/a", None);
            let request = PlainRequest { method: Method::Get, target, query_at, is_last: false, fields, headers: &[] };
            thread.put_redirect(redirect, &request, Timestamp::from_micros(micros), &mut answer);
            let text = String::from_utf8(answer).expect("an answer is ASCII");
            let policy = CachePolicy::NoStore.header_value();
            assert_eq!(
                text,
                format!(
                    "HTTP/1.1 302 Found\r\nlocation: https://a.example/\r\ncache-control: {policy}\r\ncontent-length: 0\r\ndate: {date}\r\n\r\n"
                )
            );
        }
    }
}
