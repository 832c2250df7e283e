//! Ends a streamed response when its permission ends, as `waypost-control` decides.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use futures_util::Stream as _;
use futures_util::stream::poll_fn;
use waypost_control::{App, Caller};

/// How an answer ends whose key opens nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As if it were over: its readers expect no end of their own.
    Quiet,
    /// As an error, so that nobody mistakes it for complete.
    Cut,
}

/// The same body, for as long as the caller may have it.
pub(crate) fn while_allowed(app: &Arc<App>, caller: &Caller, body: Body, ending: Ending) -> Body {
    let Some(mut allowed) = app.watch_permission(caller) else { return body };
    let mut stream = Box::pin(body.into_data_stream());
    let mut is_over = false;
    let next = move |cx: &mut Context<'_>| -> Poll<Option<io::Result<Bytes>>> {
        if is_over {
            return Poll::Ready(None);
        }
        if Pin::new(&mut allowed).poll(cx).is_ready() {
            is_over = true;
            let revoked = || Err(io::Error::other("the API key of this response is no longer valid"));
            return Poll::Ready((ending == Ending::Cut).then(revoked));
        }
        let polled = stream.as_mut().poll_next(cx);
        is_over = matches!(polled, Poll::Ready(None));
        polled.map(|chunk| chunk.map(|chunk| chunk.map_err(io::Error::other)))
    };
    Body::from_stream(poll_fn(next))
}
