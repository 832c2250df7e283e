//! Long answers end with what allowed them: within seconds after a key was revoked or has expired, the live feed, an
//! export or a comparison that it opened is cut.
//!
//! A key that is revoked in this process is noticed at once, one that another process revoked when it is looked up next.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use futures_util::Stream;
use futures_util::stream::poll_fn;
use tokio::sync::{oneshot, watch};
use waypost_jobs::Chain;

use crate::app::{App, monotonic_now};
use crate::caller::{Caller, KeyProof};

/// How often a key is looked up.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For how long an answer goes on while the database cannot say whether the key still opens.
const UNSURE_MAX: Duration = Duration::from_secs(30);

/// How an answer ends whose key opens nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As if it were over: its readers expect no end of their own.
    Quiet,
    /// As a fault, so that nobody takes it for complete.
    Cut,
}

impl App {
    /// The same body, for as long as the caller may have it. The operator always may.
    pub(crate) fn while_allowed(self: &Arc<Self>, caller: &Caller, body: Body, ending: Ending) -> Body {
        let Some(proof) = caller.proof.clone() else { return body };
        let (alive, mut ended) = oneshot::channel();
        tokio::spawn(watch_key(Arc::clone(self), proof, self.key_changes.subscribe(), alive));
        let mut stream = Box::pin(body.into_data_stream());
        let mut is_over = false;
        let next = move |cx: &mut Context<'_>| -> Poll<Option<io::Result<Bytes>>> {
            if is_over {
                return Poll::Ready(None);
            }
            if Pin::new(&mut ended).poll(cx).is_ready() {
                is_over = true;
                let revoked = || Err(io::Error::other("the key of this answer opens nothing any more"));
                return Poll::Ready((ending == Ending::Cut).then(revoked));
            }
            let polled = stream.as_mut().poll_next(cx);
            is_over = matches!(polled, Poll::Ready(None));
            polled.map(|chunk| chunk.map(|chunk| chunk.map_err(io::Error::other)))
        };
        Body::from_stream(poll_fn(next))
    }

    /// Has the keys of all long answers looked up now.
    pub(crate) fn look_at_keys(&self) {
        self.key_changes.send_modify(|changes| *changes += 1);
    }
}

/// Returns, and with it drops `alive`, once the key opens nothing; or when nobody holds the other end any more.
async fn watch_key(app: Arc<App>, proof: KeyProof, mut changes: watch::Receiver<u64>, mut alive: oneshot::Sender<()>) {
    let mut sure_at = monotonic_now();
    loop {
        tokio::select! {
            () = alive.closed() => return,
            // The sender lives in the app.
            _ = changes.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if !is_allowed(&app, &proof, &mut sure_at).await {
            tracing::info!(key.id = proof.key_id(), "an answer is cut: its API key opens nothing any more");
            return;
        }
    }
}

async fn is_allowed(app: &App, proof: &KeyProof, sure_at: &mut Instant) -> bool {
    match app.opens(proof).await {
        Ok(opens) => {
            *sure_at = monotonic_now();
            opens
        }
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "a key could not be looked up");
            sure_at.elapsed() < UNSURE_MAX
        }
    }
}
