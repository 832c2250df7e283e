//! Finds the end of a body: by length, by chunks, or with the connection.

use anyhow::{Context as _, bail, ensure};

use super::{Connection, Response, find};

/// Limit on one body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Connection {
    /// Reads the body that belongs to `response`, whose head was just read.
    pub(super) fn read_body(&mut self, response: &Response) -> anyhow::Result<Vec<u8>> {
        let is_bodiless = matches!(response.status, 100..=199 | 204 | 304);
        if is_bodiless {
            return Ok(Vec::new());
        }
        let encodings: Vec<&str> = response.header_values("transfer-encoding").collect();
        let lengths: Vec<&str> = response.header_values("content-length").collect();
        match (encodings.as_slice(), lengths.as_slice()) {
            ([], []) => self.read_to_close(),
            ([], [length]) => {
                let length = length.parse().with_context(|| format!("not a length: {length:?}"))?;
                self.take(length)
            }
            ([encoding], []) if encoding.eq_ignore_ascii_case("chunked") => self.read_chunks(),
            (encodings, lengths) => bail!("unclear framing: encodings {encodings:?}, lengths {lengths:?}"),
        }
    }

    fn read_chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).with_context(|| format!("not a chunk size: {line:?}"))?;
            if length == 0 {
                break;
            }
            ensure!(body.len() + length <= BODY_BYTES_MAX, "the body is over {BODY_BYTES_MAX} bytes");
            body.extend(self.take(length)?);
            ensure!(self.take_line()?.is_empty(), "a chunk is longer than its size");
        }
        // Trailer fields are read and dropped up to the empty line.
        while !self.take_line()?.is_empty() {}
        Ok(body)
    }

    fn take(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        ensure!(length <= BODY_BYTES_MAX, "the body is over {BODY_BYTES_MAX} bytes");
        while self.received.len() < length {
            ensure!(self.receive()?, "closed after {} of {length} bytes", self.received.len());
        }
        Ok(self.received.drain(..length).collect())
    }

    fn take_line(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(end) = find(&self.received, b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).context("a chunk's line is not UTF-8");
            }
            ensure!(self.receive()?, "closed inside a chunked body");
        }
    }
}
