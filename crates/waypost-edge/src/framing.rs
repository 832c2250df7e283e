//! Where a request ends: its head, then its body. Everything the HTTP engine gets has passed here first.
//!
//! Two readers that disagree on where a request ends can be made to see different requests, so whatever could be read
//! in two ways is refused: a bare CR or LF, a folded line, a space before the colon, control characters, two lengths
//! (equal ones, too), a length beside a transfer coding, a tab beside either, any transfer coding but a single
//! `chunked`. The engine gets a request's own bytes and none of the next.

use std::ops::Range;

use hyper::Uri;
use memchr::{memchr, memchr_iter};
use waypost_core::page::Page;

/// Fields of a head; more are answered 431.
const FIELDS_MAX: usize = 100;
/// The largest length of a body that is looked at: others count with signed numbers, and the engine keeps the largest
/// ones for what they do not mean.
const LENGTH_MAX: u64 = i64::MAX as u64;
/// Bytes of all chunk extensions and trailers of a body together.
const CHUNK_LINE_BYTES_MAX: u32 = 8 * 1024;

/// Which bytes a method or a field's name may have (RFC 9110, section 5.6.2).
static TOKEN: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let (others, mut place) = (b"!#$%&'*+-.^_`|~", 0);
    while place < others.len() {
        table[others[place] as usize] = true;
        place += 1;
    }
    table
};

/// How far the search for the end of a head has come. Bytes are looked at once, however small the pieces in which they
/// come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadScan {
    at: usize,
    /// Where the head begins: empty lines before it are skipped.
    head_at: usize,
    line_at: usize,
    /// Where the request line ends.
    request_line_end: Option<usize>,
    end: Option<usize>,
}

/// A head whose request has one meaning.
#[derive(Debug)]
pub(crate) struct CheckedHead {
    pub(crate) body: RequestBody,
    /// The head for the engine, where its target has characters that the engine refuses and visitors send.
    pub(crate) rewritten: Option<Vec<u8>>,
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestBody {
    /// So many bytes.
    Length(u64),
    Chunks(Chunks),
}

/// A body that no two readers would read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunks of a body are not well formed")]
pub(crate) struct BadChunk;

/// Chunks that are being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunks {
    next: Next,
    line_bytes: u32,
}

/// What has to come next in a body of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Size { digits: u8, size: u64 },
    Extension { size: u64 },
    SizeFeed { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataFeed,
    TrailerStart,
    Trailer,
    TrailerFeed,
    LastFeed,
    Nothing,
}

impl HeadScan {
    /// Whether the head that is looked for has begun and had no end so far.
    pub(crate) fn is_begun(&self) -> bool {
        self.at > 0
    }

    /// Looks at what has come, which begins as at the last call. Gives the head's length once it is complete.
    ///
    /// # Errors
    /// 400 as soon as there is a byte that no head may have.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Page> {
        while self.end.is_none() && self.at < bytes.len() {
            let rest = &bytes[self.at..];
            let feed_at = memchr(b'\n', rest);
            let piece = &rest[..feed_at.unwrap_or(rest.len())];
            let text = piece.strip_suffix(b"\r").unwrap_or(piece);
            let is_after_return = self.at > 0 && bytes[self.at - 1] == b'\r';
            let is_fault = match (is_after_return, feed_at) {
                (true, feed_at) => feed_at != Some(0),
                (false, Some(_)) => text.len() == piece.len() || has_control(text),
                (false, None) => has_control(text),
            };
            if is_fault {
                return Err(Page::BadRequest);
            }
            self.at += piece.len();
            if feed_at.is_some() {
                self.at += 1;
                match (self.at - self.line_at == b"\r\n".len(), self.line_at == self.head_at) {
                    (true, true) => self.head_at = self.at,
                    (true, false) => self.end = Some(self.at),
                    (false, true) => self.request_line_end = Some(self.at),
                    (false, false) => {}
                }
                self.line_at = self.at;
            }
        }
        Ok(self.end)
    }

    /// What makes a head too large: its target, or all the rest.
    pub(crate) fn oversize(&self, target_bytes_max: usize) -> Page {
        const METHOD_AND_VERSION_BYTES: usize = 20;
        match self.request_line_end {
            Some(end) if end - self.head_at <= target_bytes_max + METHOD_AND_VERSION_BYTES => Page::HeadTooLarge,
            Some(_) | None => Page::TargetTooLong,
        }
    }
}

/// Whether errors of the request that these bytes begin are written as JSON: its path is one of the API's.
pub(crate) fn is_of_api(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    let line = &head[..head.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(head.len())];
    let Some(target) = line.split(|byte| *byte == b' ').nth(1) else { return false };
    let path = match target.windows(3).position(|bytes| bytes == b"://") {
        Some(at) if !target.starts_with(b"/") => {
            let rest = &target[at + 3..];
            &rest[rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())..]
        }
        _ => target,
    };
    path.strip_prefix(b"/api").is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?')))
}

/// Reads a complete head, of which [`HeadScan`] has found the end.
///
/// # Errors
/// The page that says what is wrong with it.
pub(crate) fn check(head: &[u8]) -> Result<CheckedHead, Page> {
    let blank = head.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2;
    let mut start = blank;
    let mut lines = memchr_iter(b'\n', &head[blank..]).map(|at| {
        let line = &head[start..blank + at];
        start = blank + at + 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    });
    let request_line = lines.next().unwrap_or_default();
    let (target, is_1_1) = check_request_line(request_line).ok_or(Page::BadRequest)?;
    let (mut length, mut coding, mut fields) = (None, None, 0);
    for line in lines.take_while(|line| !line.is_empty()) {
        fields += 1;
        let (name, value) = field(line).ok_or(Page::BadRequest)?;
        let framing = if name.eq_ignore_ascii_case(b"content-length") {
            &mut length
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            &mut coding
        } else {
            continue;
        };
        // Not everybody takes a tab for a blank.
        if framing.replace(value).is_some() || line.contains(&b'\t') {
            return Err(Page::BadRequest);
        }
    }
    if fields > FIELDS_MAX {
        return Err(Page::HeadTooLarge);
    }
    let body = body_of(length, coding, is_1_1)?;
    let target = blank + target.start..blank + target.end;
    let rewritten = escape_target(&head[target.clone()])
        .map(|escaped| [&head[..target.start], &escaped, &head[target.end..]].concat());
    let seen = match &rewritten {
        Some(rewritten) => &rewritten[target.start..rewritten.len() - (head.len() - target.end)],
        None => &head[target],
    };
    Uri::try_from(seen).map_err(|_| Page::BadRequest)?;
    Ok(CheckedHead { body, rewritten })
}

/// Where in a request line the target is, and whether the version is 1.1.
fn check_request_line(line: &[u8]) -> Option<(Range<usize>, bool)> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_1_1 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return None,
    };
    let is_whole = words.next().is_none() && !target.is_empty() && !target.contains(&b'\t') && is_token(method);
    let start = method.len() + 1;
    is_whole.then_some((start..start + target.len(), is_1_1))
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    is_token(name).then(|| (name, value.trim_ascii()))
}

/// Whether there is a control character other than a tab. Without a way out before the end, for then it takes many at
/// once.
fn has_control(text: &[u8]) -> bool {
    let is_control = |byte: u8| (byte < b' ') & (byte != b'\t') | (byte == 0x7f);
    text.iter().fold(false, |found, byte| found | is_control(*byte))
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

fn body_of(length: Option<&[u8]>, coding: Option<&[u8]>, is_1_1: bool) -> Result<RequestBody, Page> {
    match (length, coding) {
        (None, None) => Ok(RequestBody::Length(0)),
        (Some(length), None) => {
            let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            let text = str::from_utf8(length).ok().filter(|_| is_number).ok_or(Page::BadRequest)?;
            // It can only be too large: it is a number.
            text.parse().ok().filter(|bytes| *bytes <= LENGTH_MAX).map(RequestBody::Length).ok_or(Page::BodyTooLarge)
        }
        (None, Some(coding)) if is_1_1 && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(RequestBody::Chunks(Chunks { next: Next::Size { digits: 0, size: 0 }, line_bytes: 0 }))
        }
        (_, Some(_)) => Err(Page::BadRequest),
    }
}

/// A target with `"`, `<`, `>` and backticks percent-encoded, and in its query what is no UTF-8. `None` if it has none.
fn escape_target(target: &[u8]) -> Option<Vec<u8>> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let query_at = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let is_query_text = str::from_utf8(&target[query_at..]).is_ok();
    let is_escaped = |(at, byte): (usize, &u8)| match byte {
        b'"' | b'<' | b'>' | b'`' => true,
        0x80.. => at > query_at && !is_query_text,
        _ => false,
    };
    target.iter().enumerate().any(is_escaped).then(|| {
        let mut escaped = Vec::with_capacity(target.len() + 16);
        for (at, byte) in target.iter().enumerate() {
            if is_escaped((at, byte)) {
                escaped.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            } else {
                escaped.push(*byte);
            }
        }
        escaped
    })
}

impl RequestBody {
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunks(chunks) => chunks.next == Next::Nothing,
        }
    }

    /// Takes what has come. Gives how many of these bytes belong to the body.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        match self {
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                Ok(count)
            }
            Self::Chunks(chunks) => chunks.take(bytes),
        }
    }
}

impl Chunks {
    fn take(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut done = 0;
        while done < bytes.len() && self.next != Next::Nothing {
            if let Next::Data { left } = self.next {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - done);
                done += count;
                let left = left - count as u64;
                self.next = if left == 0 { Next::DataReturn } else { Next::Data { left } };
            } else {
                self.next = self.after(bytes[done])?;
                done += 1;
            }
        }
        Ok(done)
    }

    fn after(&mut self, byte: u8) -> Result<Next, BadChunk> {
        Ok(match (self.next, byte) {
            (Next::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 15 => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Next::Size { digits: digits + 1, size: size << 4 | u64::from(digit) }
            }
            (Next::Size { digits: 1.., size }, b';') => Next::Extension { size },
            (Next::Size { digits: 1.., size } | Next::Extension { size }, b'\r') => Next::SizeFeed { size },
            (Next::Extension { size }, _) if self.is_text(byte) => Next::Extension { size },
            (Next::SizeFeed { size: 0 }, b'\n') => Next::TrailerStart,
            (Next::SizeFeed { size }, b'\n') => Next::Data { left: size },
            (Next::DataReturn, b'\r') => Next::DataFeed,
            (Next::DataFeed, b'\n') => Next::Size { digits: 0, size: 0 },
            (Next::TrailerStart, b'\r') => Next::LastFeed,
            // A folded line would be one.
            (Next::TrailerStart, b' ' | b'\t' | b':') => return Err(BadChunk),
            (Next::Trailer, b'\r') => Next::TrailerFeed,
            (Next::TrailerStart | Next::Trailer, _) if self.is_text(byte) => Next::Trailer,
            (Next::TrailerFeed, b'\n') => Next::TrailerStart,
            (Next::LastFeed, b'\n') => Next::Nothing,
            _ => return Err(BadChunk),
        })
    }

    /// Whether a line may have this byte, of which there are not too many.
    fn is_text(&mut self, byte: u8) -> bool {
        self.line_bytes += 1;
        self.line_bytes <= CHUNK_LINE_BYTES_MAX && (byte == b'\t' || byte >= b' ' && byte != 0x7f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The length of a head, or the status it is refused with; 0 for one without an end.
    fn scan(text: &str) -> Result<usize, u16> {
        let whole = HeadScan::default().advance(text.as_bytes());
        let mut by_byte = HeadScan::default();
        let mut last = Ok(None);
        for end in 0..=text.len() {
            last = by_byte.advance(&text.as_bytes()[..end]);
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(whole, last, "{text:?}");
        whole.map(Option::unwrap_or_default).map_err(Page::status)
    }

    #[test]
    fn heads_end_where_every_reader_sees_it() {
        assert_eq!(scan("GET / HTTP/1.1\r\n\r\nGET"), Ok(18));
        assert_eq!(scan("\r\n\r\nGET / HTTP/1.1\r\nA:\tb\r\n\r\n"), Ok(28));
        for partial in ["", "\r\n", "\r\n\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA: b\r\n\r"] {
            assert_eq!(scan(partial), Ok(0), "{partial:?}");
        }
        for bad in
            ["\n", "GET / HTTP/1.1\n", "a\r\n\n", "a\rb", "a\r\r\n", "a\0", "a\u{7f}", "\u{16}\u{3}\u{1}", "a\u{b}"]
        {
            assert_eq!(scan(bad), Err(400), "{bad:?}");
        }
    }

    /// The length of a body, or the status a head with these lines is refused with.
    #[track_caller]
    fn body(lines: &str) -> Result<Option<u64>, u16> {
        let head = format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let checked = check(head.as_bytes()).map_err(Page::status)?;
        Ok(match checked.body {
            RequestBody::Length(length) => Some(length),
            RequestBody::Chunks(_) => None,
        })
    }

    #[test]
    fn a_body_has_one_length() {
        assert_eq!(body(""), Ok(Some(0)));
        assert_eq!(body("content-LENGTH:  12 \r\n"), Ok(Some(12)));
        assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Ok(None));
        for bad in [
            "Content-Length: 4\r\nContent-Length: 4\r\n",
            "Content-Length: 4\r\nContent-Length: 5\r\n",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "Content-Length:\r\n",
            "Content-Length:\t4\r\n",
            "Content-Length: 4\t\r\n",
            "Transfer-Encoding: \tchunked\r\n",
            "Content-Length: +4\r\n",
            "Content-Length: -4\r\n",
            "Content-Length: 4 4\r\n",
            "Content-Length: 4, 4\r\n",
            "Content-Length: 0x4\r\n",
            "Content-Length : 4\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: chunked,\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "X: y\r\n folded\r\n",
            "\tX: y\r\n",
            "X\r\n",
            ": y\r\n",
            "X(: y\r\n",
        ] {
            assert_eq!(body(bad), Err(400), "{bad:?}");
        }
        assert_eq!(body(&format!("Content-Length: 00{LENGTH_MAX}\r\n")), Ok(Some(LENGTH_MAX)));
        for too_large in ["9223372036854775808", "18446744073709551613", "18446744073709551615", "18446744073709551616"]
        {
            assert_eq!(body(&format!("Content-Length: {too_large}\r\n")), Err(413), "{too_large}");
        }
        assert_eq!(body(&format!("Content-Length: {}\r\n", "9".repeat(500))), Err(413));
        assert_eq!(body(&"X: y\r\n".repeat(FIELDS_MAX - 1)), Ok(Some(0)));
        assert_eq!(body(&"X: y\r\n".repeat(FIELDS_MAX)), Err(431));
        assert!(check(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn request_lines_have_three_words() {
        for good in ["GET / HTTP/1.1", "M-X /a?b HTTP/1.0", "OPTIONS * HTTP/1.1", "GET http://a/b HTTP/1.1"] {
            assert!(check(format!("{good}\r\n\r\n").as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "GET /",
            "GET / HTTP/2.0",
            "GET / HTTP/1.2",
            "GET / http/1.1",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET a HTTP/1.1 x",
            "GET http://[a/ HTTP/1.1",
        ] {
            assert!(check(format!("{bad}\r\n\r\n").as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_visitors_send_raw_is_escaped() {
        #[track_caller]
        fn check_rewritten(target: &[u8], expect: Option<&str>) {
            let head = [b"\r\nGET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            let rewritten = check(&head).unwrap().rewritten;
            let expect = expect.map(|target| format!("\r\nGET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(rewritten.map(|head| String::from_utf8(head).unwrap()), expect);
        }
        check_rewritten(b"/a?b={c}|d\\e^'\xc3\xa4", None);
        check_rewritten(b"/a?b=\"<>`", Some("/a?b=%22%3C%3E%60"));
        check_rewritten(b"/<a>?\xe4\"", Some("/%3Ca%3E?%E4%22"));
        assert!(check(b"GET /\xe4 HTTP/1.1\r\n\r\n").is_err());
    }

    #[test]
    fn the_api_is_told_by_the_path() {
        for of_api in
            ["GET /api HTTP/1.1", "POST /api/v1/links HTTP/1.1\r\n", "GET http://a/api/x HTTP/1.0", "X /api?a"]
        {
            assert!(is_of_api(of_api.as_bytes()), "{of_api}");
        }
        for other in ["", "GET", "GET /apis HTTP/1.1", "GET /a?b=://c/api/ HTTP/1.1", "GET http://a HTTP/1.1"] {
            assert!(!is_of_api(other.as_bytes()), "{other}");
        }
    }

    /// How many bytes a body of chunks takes; `None` if it has no end, an error if it is refused.
    fn chunks(text: &str) -> Result<Option<usize>, BadChunk> {
        let run = |sizes: usize| {
            let mut body = body_of(None, Some(b"chunked"), true).unwrap();
            let mut taken = 0;
            for piece in text.as_bytes().chunks(sizes) {
                taken += body.take(piece)?;
            }
            Ok(body.is_complete().then_some(taken))
        };
        let whole = run(usize::MAX);
        assert_eq!(whole, run(1), "{text:?}");
        whole
    }

    #[test]
    fn chunks_are_read_strictly() {
        assert_eq!(chunks("5\r\nhello\r\n0\r\n\r\nGET"), Ok(Some(15)));
        assert_eq!(chunks("A;x=y\r\n0123456789\r\n00\r\nT: v\r\n\r\n"), Ok(Some(31)));
        for partial in ["", "5", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\nT: v\r\n", "0\r\n\r"] {
            assert_eq!(chunks(partial), Ok(None), "{partial:?}");
        }
        for bad in [
            "\r\n",
            ";\r\n",
            "x\r\n",
            "+5\r\n",
            "5 \r\n",
            " 5\r\n",
            "0x5\r\n",
            "5\nhello",
            "5;a\nb\r\n",
            "5\rhello",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "5\r\nhello\r0",
            "0\r\n\n",
            "0\r\nT: v\n",
            "0\r\n folded\r\n",
            "0\r\nT\0: v\r\n",
            "1111111111111111\r\n",
        ] {
            assert_eq!(chunks(bad), Err(BadChunk), "{bad:?}");
        }
        assert_eq!(chunks(&format!("0\r\nT: {}", "v".repeat(10_000))), Err(BadChunk));
    }
}
