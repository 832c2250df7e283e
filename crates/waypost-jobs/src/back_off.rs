//! How long a job waits after a failure: twice as long each time, up to a limit.

use std::time::Duration;

/// Doublings after which the limit counts anyway.
const DOUBLINGS_MAX: u32 = 16;

/// The pauses of one job.
#[derive(Clone, Debug)]
pub struct BackOff {
    first: Duration,
    last: Duration,
    failures: u32,
}

impl BackOff {
    /// Pauses from `first`, after one failure, to `last`.
    pub const fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, failures: 0 }
    }

    /// Counts a failure and gives the pause after it.
    pub fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.pause()
    }

    /// Begins anew. Gives whether there was a failure to recover from.
    pub const fn succeeded(&mut self) -> bool {
        std::mem::replace(&mut self.failures, 0) > 0
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The pause after the failures so far; none where there was none.
    pub fn pause(&self) -> Duration {
        match self.failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self.first.saturating_mul(1 << doublings.min(DOUBLINGS_MAX)).min(self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_millis(350));
        assert_eq!(back_off.pause(), Duration::ZERO);
        assert!(!back_off.succeeded());
        let pauses = [(); 4].map(|()| back_off.failed().as_millis());
        assert_eq!(pauses, [100, 200, 350, 350]);
        assert!(back_off.succeeded());
        assert_eq!(back_off.failed().as_millis(), 100);
    }

    #[test]
    fn many_failures_are_no_overflow() {
        let mut back_off = BackOff::new(Duration::MAX / 2, Duration::MAX);
        back_off.failures = u32::MAX;
        assert_eq!(back_off.failed(), Duration::MAX);
    }
}
