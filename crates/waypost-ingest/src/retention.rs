//! The job that deletes raw clicks after their retention. Totals stay for ever. It does not trust a clock that jumps.

use std::time::{Duration, Instant};

use waypost_clicks::{ClickStore, ClicksError};
use waypost_jobs::{Chain, Waited};

use crate::ingest::Ingest;

/// The last look at the clock.
#[derive(Debug, Default)]
struct Look {
    at: Option<Instant>,
    /// Whether it was not believed.
    is_held: bool,
}

impl Look {
    fn pause(&self) -> Duration {
        if self.is_held { HELD_EVERY } else { PRUNE_EVERY }
    }
}

/// Looks at the clock, then deletes what had its days.
async fn prune(store: &ClickStore, default_days: u32, last: &mut Look, ingest: &Ingest) -> Result<u64, ClicksError> {
    let begun = Instant::now();
    let clock = store.retention_clock(last.at.map_or(Duration::ZERO, |at| begun - at)).await?;
    let was_held = std::mem::replace(&mut last.is_held, clock.held.is_some());
    last.at = Some(begun);
    let held = clock.held.map(|shown| {
        let now = clock.now;
        format!(
            "the clock shows {shown}, and by all that is known it is about {now}: raw clicks are deleted by the latter"
        )
    });
    if let Some(reason) = held.as_ref().filter(|_| !was_held) {
        tracing::warn!(
            reason,
            "the clock has jumped or the instance was off for long; see the documentation of retention"
        );
    }
    ingest.hold_retention(held);
    store.prune(default_days, clock.now).await
}

/// How often it looks.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// How often while the clock is not believed: it may be set at any time.
const HELD_EVERY: Duration = Duration::from_secs(600);
/// When it looks again after it could not.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Runs until it is stopped. What is being deleted then is deleted another time.
pub(super) async fn run(store: ClickStore, default_days: u32, ingest: &Ingest) {
    let mut last = Look::default();
    loop {
        let pruning = prune(&store, default_days, &mut last, ingest);
        let Some(pruned) = ingest.switch().unless_stopped(pruning).await else { return };
        let pause = match pruned {
            Ok(0) => last.pause(),
            Ok(clicks) => {
                tracing::info!(clicks, default_days, "raw clicks older than their retention were deleted; totals stay");
                last.pause()
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "old raw clicks were not deleted; trying again in a minute");
                RETRY_AFTER
            }
        };
        if ingest.switch().pause(pause, false).await == Waited::Stopped {
            return;
        }
    }
}
