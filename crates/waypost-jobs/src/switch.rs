//! Wakes a job when there is something to do, and stops it.

use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Held by a job and by those who wake and stop it.
#[derive(Debug)]
pub struct Switch {
    /// Many wakes before the job looks are one.
    wake: Notify,
    /// Set once.
    stop: watch::Sender<bool>,
}

/// What ended a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The job is to end.
    Stopped,
    /// There is something to do.
    Woken,
    /// The time is over.
    Elapsed,
}

impl Default for Switch {
    fn default() -> Self {
        Self { wake: Notify::new(), stop: watch::Sender::new(false) }
    }
}

impl Switch {
    /// Says that there may be something to do. Where the job is at work it looks once more afterwards.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Tells the job to end, for good.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the job was told to end.
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the job is told to end.
    pub async fn stopped(&self) {
        // The sender lives in `self`.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Waits for a wake. One that came before counts.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits until the time is over, the job is told to end, or, where `ends_by_wake` says so, there is something to
    /// do.
    pub async fn pause(&self, pause: Duration, ends_by_wake: bool) -> Waited {
        tokio::select! {
            biased;
            () = self.stopped() => Waited::Stopped,
            () = self.woken(), if ends_by_wake => Waited::Woken,
            () = tokio::time::sleep(pause) => Waited::Elapsed,
        }
    }

    /// Does this to its end, or drops it and gives `None` where the job is told to end before.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stopped() => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const LONG: Duration = Duration::from_secs(1_000);

    #[tokio::test]
    async fn pauses_end_for_their_reason() {
        let switch = Switch::default();
        assert_eq!(switch.pause(Duration::ZERO, true).await, Waited::Elapsed);
        switch.wake();
        switch.wake();
        assert_eq!(switch.pause(Duration::ZERO, false).await, Waited::Elapsed, "this pause is not cut short");
        assert_eq!(switch.pause(LONG, true).await, Waited::Woken);
        assert_eq!(switch.pause(Duration::ZERO, true).await, Waited::Elapsed, "two wakes are one");
        switch.wake();
        switch.stop();
        assert!(switch.is_stopped());
        assert_eq!(switch.pause(LONG, true).await, Waited::Stopped);
    }

    #[tokio::test]
    async fn work_that_hangs_does_not_keep_the_job() {
        let switch = Switch::default();
        assert_eq!(switch.unless_stopped(async { 7 }).await, Some(7));
        let (done, ()) = tokio::join!(switch.unless_stopped(pending::<()>()), async { switch.stop() });
        assert_eq!(done, None);
        assert_eq!(switch.unless_stopped(async { 7 }).await, None);
    }
}
