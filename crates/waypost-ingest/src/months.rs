//! The job that builds the months and totals that reports have missed, so that the next reports are faster. It only
//! saves time: without it reports have the same numbers.

use std::time::Duration;

use waypost_clicks::{ClickStore, ClicksError};
use waypost_jobs::{Chain, Waited};

use crate::ingest::Ingest;

/// How often it looks whether any are wanted; that costs nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When it looks again after it could not make one.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Runs until it is stopped. What is being made then is made another time.
pub(super) async fn run(store: ClickStore, ingest: &Ingest) {
    loop {
        let Some(made) = ingest.switch().unless_stopped(make(&store)).await else { return };
        let pause = match made {
            Ok(0) => LOOK_EVERY,
            Ok(made) => {
                tracing::debug!(made, "months and totals of click roll-ups are made");
                LOOK_EVERY
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "months and totals of click roll-ups were not built; trying again in a minute");
                RETRY_AFTER
            }
        };
        if ingest.switch().pause(pause, false).await == Waited::Stopped {
            return;
        }
    }
}

async fn make(store: &ClickStore) -> Result<u64, ClicksError> {
    Ok(store.make_totals().await? + store.make_months().await?)
}
