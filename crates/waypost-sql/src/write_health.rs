//! Whether the database takes writes, as far as the last one tells, and how often it is tried for that purpose alone.
//!
//! Every write transaction says how it ended. Whoever asks when the last one is long ago, or failed, may try one: one caller at
//! a time, and seldom enough that it is no load.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a write that succeeded answers for the next.
const TRUSTED_FOR: Duration = Duration::from_secs(10);
/// How long after a failure the next try may begin.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How the last write ended. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteHealth {
    /// A std mutex: held for a look, never across an await.
    last: Arc<Mutex<Last>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// When a write ended last, and whether it succeeded.
    write: Option<(Instant, bool)>,
    is_being_tried: bool,
}

/// What is known when somebody asks.
pub(crate) enum Known {
    /// The answer.
    Writable(bool),
    /// Nothing: try, and let go of this when that is done.
    Try(Turn),
}

/// Held by the one who tries.
pub(crate) struct Turn(WriteHealth);

impl WriteHealth {
    /// Takes in how a write ended.
    pub(crate) fn note(&self, has_succeeded: bool) {
        self.with(|last| last.write = Some((Instant::now(), has_succeeded)));
    }

    pub(crate) fn ask(&self) -> Known {
        self.with(|last| match last.write {
            Some((at, true)) if at.elapsed() < TRUSTED_FOR => Known::Writable(true),
            Some((at, false)) if at.elapsed() < RETRY_AFTER => Known::Writable(false),
            // While one tries, the others are told what was known before.
            _ if last.is_being_tried => Known::Writable(last.write.is_some_and(|(_, has_succeeded)| has_succeeded)),
            _ => {
                last.is_being_tried = true;
                Known::Try(Turn(self.clone()))
            }
        })
    }

    fn with<R>(&self, work: impl FnOnce(&mut Last) -> R) -> R {
        work(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.with(|last| last.is_being_tried = false);
    }
}
