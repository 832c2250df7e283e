//! The clock of one thread, read once for all requests that arrive together.
//!
//! Each time the thread wakes it has the requests of many connections, and answers them within microseconds. They share
//! a reading; so that the time does not stand still on a thread that never sleeps, a reading is used at most
//! [`USES_MAX`] times.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use waypost_core::Timestamp;

/// How often a reading is used before the clocks are read again: for less than a millisecond.
const USES_MAX: u32 = 32;

/// The clocks of one thread.
#[derive(Debug)]
pub(crate) struct Clock {
    /// How often the thread has woken, counted by its runtime.
    wakes: Arc<AtomicU64>,
    reading: Cell<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    now: Now,
    wakes: u64,
    uses: u32,
}

/// One moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For durations.
    pub(crate) instant: Instant,
    /// The time of day; may jump.
    pub(crate) wall: Timestamp,
}

impl Clock {
    /// `wakes` has to grow whenever the thread wakes.
    pub(crate) fn new(wakes: Arc<AtomicU64>) -> Self {
        let reading = Reading { now: read_clocks(), wakes: wakes.load(Ordering::Relaxed), uses: 0 };
        Self { wakes, reading: Cell::new(reading) }
    }

    /// The time.
    #[inline]
    pub(crate) fn now(&self) -> Now {
        let mut reading = self.reading.get();
        let wakes = self.wakes.load(Ordering::Relaxed);
        if reading.wakes != wakes || reading.uses >= USES_MAX {
            reading = Reading { now: read_clocks(), wakes, uses: 0 };
        }
        reading.uses += 1;
        self.reading.set(reading);
        reading.now
    }
}

fn read_clocks() -> Now {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, i64::wrapping_neg),
    };
    Now { instant: Instant::now(), wall: Timestamp::from_micros(micros) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_ends_with_the_next_wake_and_after_some_uses() {
        let wakes = Arc::new(AtomicU64::new(0));
        let clock = Clock::new(wakes.clone());
        let first = clock.now().instant;
        for _ in 1..USES_MAX {
            assert_eq!(clock.now().instant, first);
        }
        let second = clock.now().instant;
        assert!(second > first, "used up");
        assert_eq!(clock.now().instant, second);
        wakes.fetch_add(1, Ordering::Relaxed);
        assert!(clock.now().instant > second, "woken");
    }
}
