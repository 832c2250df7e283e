//! A streamed response ends with the permission for it: within seconds after its API key was revoked or has expired,
//! the live feed, export or comparison that it opened is cut off.
//!
//! A key that is revoked in this process is noticed at once, one that another process revoked at its next look-up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use waypost_jobs::Chain;

use crate::access::caller::{Caller, KeyProof};
use crate::app::{App, monotonic_now};

/// How often a key is looked up.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For how long an answer goes on while the database cannot say whether the key still opens.
const UNSURE_MAX: Duration = Duration::from_secs(30);

/// Holds for as long as a caller may have what it asked for. As a future it is ready once that is over; dropping it
/// ends the watch.
#[derive(Debug)]
pub struct Allowed(oneshot::Receiver<()>);

impl Future for Allowed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl App {
    /// Watches whether the caller may still have what it asked for. `None` for the operator, who always may.
    pub fn watch_permission(self: &Arc<Self>, caller: &Caller) -> Option<Allowed> {
        let proof = caller.proof.clone()?;
        let (alive, ended) = oneshot::channel();
        tokio::spawn(watch_key(Arc::clone(self), proof, self.key_changes.subscribe(), alive));
        Some(Allowed(ended))
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
            tracing::info!(key.id = proof.key_id(), "a response was cut off: its API key is no longer valid");
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
