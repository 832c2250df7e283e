//! What clones, writers and the reader of one spool hold: the spool is closed when the last of them is gone.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::background::{self, Retired};
use crate::shared::Shared;
use crate::sync::lock;

/// Closes the spool when the last clone, writer and reader are gone.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        Handle { shared, threads: Mutex::default() }
    }

    /// Keeps the background threads, which end when the spool is closed.
    pub(crate) fn keep_threads(&self, threads: Vec<JoinHandle<()>>) {
        lock(&self.threads).extend(threads);
    }

    pub(crate) fn has_ended_thread(&self) -> bool {
        lock(&self.threads).iter().any(JoinHandle::is_finished)
    }

    pub(crate) fn close(&self) {
        if self.shared.start_closing() {
            for thread in lock(&self.threads).drain(..) {
                if thread.join().is_err() {
                    tracing::error!("a background thread of the spool panicked");
                }
            }
        }
        if let Err(error) = background::flush_all(&self.shared, &mut Retired::default()) {
            tracing::error!(error = &error as &dyn std::error::Error, "the last flush of the spool failed");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
