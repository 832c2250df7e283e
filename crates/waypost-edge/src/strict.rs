//! A stream of requests for an HTTP engine that is not the edge's: it gets what the edge's engine would get, and what
//! the edge would refuse it does not see.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::Limits;
use crate::framing;
use crate::input::{Grant, Input, Progress};

/// Bytes read at once.
const CHUNK_BYTES: usize = 8 * 1024;
/// What the engine sees of a request that could be read in two ways: it answers 400 and closes.
const NO_REQUEST: &[u8] = b"\0\r\n\r\n";

/// A stream whose requests have one meaning.
#[derive(Debug)]
pub struct StrictStream<S> {
    stream: S,
    input: Input,
    is_refused: bool,
}

impl<S> StrictStream<S> {
    /// Reads the requests of this stream.
    pub fn new(stream: S) -> Self {
        Self { stream, input: Input::default(), is_refused: false }
    }

    /// Grants the next request. `false` if it is not complete.
    fn grant_next(&mut self) -> bool {
        let bytes_max = Limits::default().head_bytes_max;
        let (bytes, Progress { scan, .. }) = self.input.rest_and_progress();
        let checked = match scan.advance(bytes) {
            Ok(None) if bytes.len() < bytes_max => return false,
            Ok(Some(head_bytes)) if head_bytes <= bytes_max => {
                *scan = framing::HeadScan::default();
                framing::check(&bytes[..head_bytes]).ok().map(|checked| (head_bytes, checked))
            }
            Ok(_) | Err(_) => None,
        };
        let granted = checked.is_some_and(|(head_bytes, checked)| {
            let grant = Grant { head_bytes, body: Some(checked.body), rewritten: checked.rewritten };
            self.input.grant(grant).is_ok()
        });
        if !granted {
            self.is_refused = true;
            self.input = Input::default();
            self.input.append(NO_REQUEST);
            // It has no body that could be malformed.
            let _ = self.input.grant(Grant { head_bytes: NO_REQUEST.len(), body: None, rewritten: None });
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.input.give(buf) || this.is_refused {
                return Poll::Ready(Ok(()));
            }
            let awaits_body = this.input.awaits_body();
            if !awaits_body && !this.input.rest().is_empty() && this.grant_next() {
                continue;
            }
            let mut chunk = [0; CHUNK_BYTES];
            let mut came = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut came))?;
            let came = came.filled();
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if awaits_body {
                this.input.append_body(came).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            } else {
                this.input.append(came);
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
