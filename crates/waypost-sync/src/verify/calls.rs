//! Calls to the target within the limit that all processes share, retried if that helps.

use std::time::Duration;

use tokio::time::sleep;
use waypost_api::sync::VerifyProgress;
use waypost_core::Timestamp;
use waypost_core::sync::RestReason;

use super::{Stop, Verification};
use crate::kv::{KvFault, RetryAfter};

/// How often a call that failed is made in all.
const TRIES_MAX: u32 = 6;
/// The pause after the first failure; doubled each time.
const PAUSE: Duration = Duration::from_millis(250);
/// How long everyone pauses where the target asks for fewer calls and does not say for how long, and at the most.
const RATE_PAUSE_S: (u64, u64) = (300, 3_600);
/// The longest wait before the allowance is asked for again: another process may have given it back.
const ALLOWANCE_WAIT_MAX: Duration = Duration::from_secs(30);

impl Verification {
    /// Makes a call, as often as it takes.
    pub(super) async fn call<T, F>(&mut self, attempt: impl Fn() -> F) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, KvFault>>,
    {
        let (mut tries, mut pause) = (0, PAUSE);
        loop {
            self.wait_for_leave().await?;
            match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(KvFault::RateLimited { message, retry_after }) => self.rest(retry_after, message).await?,
                Err(fault @ KvFault::Unavailable { .. }) => {
                    tries += 1;
                    if tries == TRIES_MAX {
                        return Err(Stop::Target(fault));
                    }
                    let error = fault.to_string();
                    self.waiting("fault", Some(error), None).await?;
                    sleep(pause).await;
                    pause *= 2;
                }
                Err(fault) => return Err(Stop::Target(fault)),
            }
        }
    }

    /// Takes one call off the allowance, waiting while there is none or the target has asked for rest.
    async fn wait_for_leave(&mut self) -> Result<(), Stop> {
        loop {
            let mut tx = self.links.store.begin("verify_call").await?;
            let health = tx.sync_health(self.links.target).await?;
            let is_resting = health.rest_reason == Some(RestReason::RateLimited) && health.rests_until > tx.now();
            let (until, reason) = match is_resting {
                true => (Some(health.rests_until), "rate_limited"),
                false => (tx.take_sync_call(self.links.target).await?, "allowance"),
            };
            let now = tx.now();
            tx.commit().await?;
            let Some(until) = until else { return Ok(()) };
            self.waiting(reason, None, Some(until)).await?;
            let wait = u64::try_from(until.as_micros() - now.as_micros()).unwrap_or(0);
            sleep(Duration::from_micros(wait).clamp(Duration::from_millis(10), ALLOWANCE_WAIT_MAX)).await;
        }
    }

    async fn waiting(&self, reason: &str, error: Option<String>, until: Option<Timestamp>) -> Result<(), Stop> {
        self.progress(VerifyProgress::Waiting { reason: reason.to_owned(), error, until }).await
    }

    /// Has every process leave the target alone for as long as it asked.
    async fn rest(&mut self, retry_after: Option<RetryAfter>, message: String) -> Result<(), Stop> {
        let (usual_s, most_s) = RATE_PAUSE_S;
        let mut tx = self.links.store.begin("verify_rest").await?;
        let now = tx.now();
        let pause_s = match retry_after {
            Some(RetryAfter::Seconds(seconds)) => seconds,
            Some(RetryAfter::At(at)) => u64::try_from((at.as_micros() - now.as_micros()) / 1_000_000).unwrap_or(0) + 1,
            None => usual_s,
        };
        let pause_us = i64::try_from(pause_s.clamp(1, most_s) * 1_000_000).unwrap_or(i64::MAX);
        let mut health = tx.sync_health(self.links.target).await?;
        let until = Timestamp::from_micros(now.as_micros() + pause_us);
        health.rests_until = health.rests_until.max(until);
        health.rest_reason = Some(RestReason::RateLimited);
        health.error = Some(message);
        tx.set_sync_health(self.links.target, &health).await?;
        Ok(tx.commit().await?)
    }
}
