//! Lines of a stream, with their numbers and a limit on their length, so that a line without end takes no memory.

use std::io::{self, BufRead, BufReader, Read};

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'l> {
    /// The line without its line break, and its number, from 1.
    Text { number: u64, bytes: &'l [u8] },
    /// The line is longer than the limit and was skipped.
    TooLong { number: u64 },
}

/// Reads lines one by one.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    line_bytes_max: usize,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// Lines of at most `line_bytes_max` bytes each, not counting their end.
    pub(crate) fn new(input: BufReader<R>, line_bytes_max: usize) -> Self {
        Self { input, line_bytes_max, line: Vec::new(), number: 0 }
    }

    /// The next line; `None` at the end of the stream. A UTF-8 byte order mark before the first line is removed.
    ///
    /// # Errors
    /// If reading fails.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        // Two more bytes than a line may have, for its end.
        let limit = self.line_bytes_max as u64 + 2;
        let count = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        if !self.line.ends_with(b"\n") && count as u64 == limit {
            self.skip_line()?;
            return Ok(Some(Line::TooLong { number }));
        }
        let mut bytes = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if number == 1 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        if bytes.len() > self.line_bytes_max {
            return Ok(Some(Line::TooLong { number }));
        }
        Ok(Some(Line::Text { number, bytes }))
    }

    /// Whether reading the next line would have to wait for more input.
    pub(crate) fn is_drained(&self) -> bool {
        memchr::memchr(b'\n', self.input.buffer()).is_none()
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            match memchr::memchr(b'\n', buffer) {
                Some(end) => {
                    self.input.consume(end + 1);
                    return Ok(());
                }
                None => {
                    let length = buffer.len();
                    self.input.consume(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[track_caller]
    fn check(text: &[u8], expect: &[(u64, Option<&str>)]) {
        for capacity in [1, 3, 1024] {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, text), 5);
            let mut found = Vec::new();
            while let Some(line) = lines.next_line().unwrap() {
                found.push(match line {
                    Line::Text { number, bytes } => (number, Some(String::from_utf8_lossy(bytes).into_owned())),
                    Line::TooLong { number } => (number, None),
                });
            }
            let expect: Vec<_> = expect.iter().map(|(number, text)| (*number, text.map(str::to_owned))).collect();
            assert_eq!(found, expect, "{:?} by {capacity}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn lines_have_numbers_and_a_limit() {
        check(b"", &[]);
        check(b"a", &[(1, Some("a"))]);
        check(b"a\n", &[(1, Some("a"))]);
        check(b"a\r\n\nb", &[(1, Some("a")), (2, Some("")), (3, Some("b"))]);
        check(b"12345\n12345\r\n", &[(1, Some("12345")), (2, Some("12345"))]);
        check(b"123456\nb", &[(1, None), (2, Some("b"))]);
        check(b"1234567\nb", &[(1, None), (2, Some("b"))]);
        check(b"123456789012345\r\nb\n", &[(1, None), (2, Some("b"))]);
        check(b"123456789012345", &[(1, None)]);
        check(b"\xef\xbb\xbfa\n\xef\xbb\xbf", &[(1, Some("a")), (2, Some("\u{feff}"))]);
    }
}
