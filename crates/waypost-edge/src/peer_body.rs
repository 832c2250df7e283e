//! The body of a request for the control plane. It notifies the connection whether it was read to its end: only then
//! can another request follow.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The body of a request that the control plane answers. If the answer is ready before the body has been read to its
/// end, the connection ends with that answer.
#[derive(Debug)]
pub struct PeerBody {
    incoming: Incoming,
    /// Shared with the future of the answer. `None` for a request without a body.
    is_read: Option<Arc<AtomicBool>>,
}

impl PeerBody {
    pub(crate) fn new(incoming: Incoming) -> Self {
        let is_read = (!incoming.is_end_stream()).then(Arc::default);
        Self { incoming, is_read }
    }

    /// Knows whether it has been read to its end. `None` for a request without a body.
    pub(crate) fn is_read(&self) -> Option<Arc<AtomicBool>> {
        self.is_read.clone()
    }
}

impl Body for PeerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if (frame.is_none() || self.incoming.is_end_stream())
            && let Some(is_read) = &self.is_read
        {
            is_read.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
