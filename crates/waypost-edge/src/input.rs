//! What has come on a connection and was not answered, and how much of it the HTTP engine is to have.

use tokio::io::ReadBuf;
use waypost_core::page::Page;

use crate::framing::{BadChunk, HeadScan, RequestBody, is_of_api};

/// Capacity that an idle connection may keep for bytes.
pub(crate) const IDLE_CAPACITY_BYTES_MAX: usize = 2 * 1024;

/// Bytes that came, in their order.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// Bytes before `taken` are done with.
    bytes: Vec<u8>,
    taken: usize,
    /// So many of the following are for the engine.
    granted: usize,
    /// What comes after those is for the engine up to here.
    body: Option<RequestBody>,
    progress: Progress,
    /// The engine has bytes that the wire did not take.
    pub(crate) is_engine_blocked: bool,
}

/// What was done about the bytes that are not done with.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How far the search for their first head has come.
    pub(crate) scan: HeadScan,
    /// In how many of them the requests are announced.
    pub(crate) announced: usize,
}

/// A request for the engine.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) head_bytes: usize,
    /// `None` for a request without one.
    pub(crate) body: Option<RequestBody>,
    /// Instead of the head that came.
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

    /// The same, and what was done about it.
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
        self.progress.announced = self.progress.announced.saturating_sub(count);
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(IDLE_CAPACITY_BYTES_MAX);
            self.taken = 0;
        }
    }

    /// Grants the engine the request at the beginning.
    ///
    /// # Errors
    /// Where what has come of its body is not well formed; nothing is granted then.
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

    /// Whether the body of the engine's request has not come in full.
    pub(crate) fn awaits_body(&self) -> bool {
        self.body.is_some_and(|body| !body.is_complete())
    }

    /// Whether it has got all of it, and the body is not in chunks, of which it takes one at a time.
    pub(crate) fn is_all_given_in_one(&self) -> bool {
        self.is_all_given() && !matches!(self.body, Some(RequestBody::Chunks(_)))
    }

    /// Whether there are bytes behind those that the engine was granted.
    pub(crate) fn has_next_request(&self) -> bool {
        self.rest().len() > self.granted
    }

    /// Takes bytes of a body that is awaited, and perhaps of what follows it. There is nothing left that came before.
    ///
    /// # Errors
    /// Where they are not well formed.
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
