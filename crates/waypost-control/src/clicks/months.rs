//! The job that makes the months and totals which reports have missed, so that the next reports are quicker. It only saves time:
//! without it reports say the same.

use std::time::Duration;

use waypost_store::{ClickStore, StoreError};

use super::ingest::Ingest;
use crate::problem::Chain;

/// How often it looks whether any are wanted; that costs nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When it looks again after it could not make one.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Runs until the ingest is told to stop. What is being made then is made another time.
pub(super) async fn run(store: ClickStore, ingest: &Ingest) {
    loop {
        let made = tokio::select! {
            () = ingest.stopped() => return,
            made = make(&store) => made,
        };
        let pause = match made {
            Ok(0) => LOOK_EVERY,
            Ok(made) => {
                tracing::debug!(made, "months and totals of click roll-ups are made");
                LOOK_EVERY
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "months and totals of click roll-ups were not made; trying again in a minute");
                RETRY_AFTER
            }
        };
        tokio::select! {
            () = ingest.stopped() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn make(store: &ClickStore) -> Result<u64, StoreError> {
    Ok(store.make_totals().await? + store.make_months().await?)
}
