//! Waits for a condition with a deadline: the only place in the tests that sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `condition` holds and returns as soon as it does. The condition is looked at once even with a deadline
/// of zero.
///
/// # Errors
/// Names `what` was waited for when `deadline` has passed.
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    let started_at = Instant::now();
    loop {
        if condition() {
            return Ok(());
        }
        if started_at.elapsed() >= deadline {
            anyhow::bail!("waited {} ms in vain for {what}", deadline.as_millis());
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_when_the_condition_holds() {
        let mut looks = 0;
        let outcome = wait_until(Duration::from_secs(5), "three looks", || {
            looks += 1;
            looks == 3
        });
        assert!(outcome.is_ok());
        assert_eq!(looks, 3);
    }

    #[test]
    fn names_what_it_waited_for() {
        let error = wait_until(Duration::ZERO, "the moon", || false).map_err(|error| error.to_string());
        assert_eq!(error, Err("waited 0 ms in vain for the moon".to_owned()));
    }
}
