//! The job that deletes raw clicks which have had their days. Totals stay for ever.

use std::time::Duration;

use waypost_store::ClickStore;

use super::ingest::Ingest;
use crate::problem::Chain;

/// How often it looks.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// When it looks again after it could not.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Runs until the ingest is told to stop. What is being deleted then is deleted another time.
pub(super) async fn run(store: ClickStore, default_days: u32, ingest: &Ingest) {
    loop {
        let pruned = tokio::select! {
            () = ingest.stopped() => return,
            pruned = store.prune(default_days) => pruned,
        };
        let pause = match pruned {
            Ok(0) => PRUNE_EVERY,
            Ok(clicks) => {
                tracing::info!(clicks, default_days, "raw clicks that had their days are deleted; totals stay");
                PRUNE_EVERY
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "old raw clicks were not deleted; trying again in a minute");
                RETRY_AFTER
            }
        };
        tokio::select! {
            () = ingest.stopped() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
