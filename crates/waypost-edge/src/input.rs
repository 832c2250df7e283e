//! The bytes that have arrived on a connection and are not answered, and which of them the HTTP engine gets.

use tokio::io::ReadBuf;
use waypost_core::page::Page;

use crate::framing::{BadChunk, HeadScan, RequestBody, is_of_api};

/// Capacity that an idle connection may keep for bytes.
pub(crate) const IDLE_CAPACITY_BYTES_MAX: usize = 2 * 1024;

/// The received bytes, in their order.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// Bytes before `taken` are finished.
    bytes: Vec<u8>,
    taken: usize,
    /// So many of the following bytes are for the engine.
    granted: usize,
    /// The bytes after those are for the engine up to here.
    body: Option<RequestBody>,
    progress: Progress,
    /// The engine has bytes that the wire did not accept.
    pub(crate) is_engine_blocked: bool,
}

/// The progress with the bytes that are not finished.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How far the search for the end of their first head is.
    pub(crate) scan: HeadScan,
    /// For the requests in so many of them, memory was prefetched.
    pub(crate) prefetched: usize,
}

/// A request for the engine.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) head_bytes: usize,
    /// `None` for a request without one.
    pub(crate) body: Option<RequestBody>,
    /// Replaces the received head.
    pub(crate) rewritten: Option<Vec<u8>>,
}

/// A request that is answered with an error and nothing else, whereupon the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) page: Page,
    pub(crate) is_of_api: bool,
    /// Whether the answer is without a body.
    pub(crate) is_head_alone: bool,
}

impl Refusal {
    /// The refusal of the request that these bytes begin.
    pub(crate) fn of(page: Page, head: &[u8]) -> Self {
        Self { page, is_of_api: is_of_api(head), is_head_alone: head.trim_ascii_start().starts_with(b"HEAD ") }
    }
}

impl Input {
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The same, with its progress.
    pub(crate) fn rest_and_progress(&mut self) -> (&[u8], &mut Progress) {
        (&self.bytes[self.taken..], &mut self.progress)
    }

    /// Whether a head has begun and has no end so far.
    pub(crate) fn is_in_head(&self) -> bool {
        self.progress.scan.is_begun()
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        self.progress.prefetched = self.progress.prefetched.saturating_sub(count);
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(IDLE_CAPACITY_BYTES_MAX);
            self.taken = 0;
        }
    }

    /// Grants the engine the request at the beginning.
    ///
    /// # Errors
    /// If the received part of its body is not well formed; nothing is granted then.
    pub(crate) fn grant(&mut self, grant: Grant) -> Result<(), BadChunk> {
        let Grant { head_bytes, mut body, rewritten } = grant;
        let body_bytes = match &mut body {
            Some(body) => body.take(&self.rest()[head_bytes..])?,
            None => 0,
        };
        let head_bytes = match rewritten {
            Some(head) => {
                self.bytes.splice(self.taken..self.taken + head_bytes, head.iter().copied());
                head.len()
            }
            None => head_bytes,
        };
        self.granted = head_bytes + body_bytes;
        self.body = body;
        Ok(())
    }

    /// Gives the engine what is meant for it.
    pub(crate) fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let count = self.granted.min(buf.remaining());
        buf.put_slice(&self.rest()[..count]);
        self.granted -= count;
        self.take(count);
        count > 0
    }

    /// Whether the body of the engine's request has not arrived completely.
    pub(crate) fn awaits_body(&self) -> bool {
        self.body.is_some_and(|body| !body.is_complete())
    }

    /// Whether it has got all of it, and the body is not in chunks, of which it takes one at a time.
    pub(crate) fn is_all_given_in_one(&self) -> bool {
        self.is_all_given() && !matches!(self.body, Some(RequestBody::Chunks(_)))
    }

    /// Whether there are bytes after those that the engine was granted.
    pub(crate) fn has_next_request(&self) -> bool {
        self.rest().len() > self.granted
    }

    /// Adds bytes of an awaited body, and perhaps of what follows it. No earlier bytes may be left.
    ///
    /// # Errors
    /// If they are not well formed.
    pub(crate) fn append_body(&mut self, bytes: &[u8]) -> Result<(), BadChunk> {
        self.append(bytes);
        if let Some(body) = &mut self.body {
            self.granted += body.take(bytes)?;
        }
        Ok(())
    }

    /// Whether the engine has got all that it was granted, to the end of the request's body.
    pub(crate) fn is_all_given(&self) -> bool {
        self.granted == 0 && !self.awaits_body()
    }
}
