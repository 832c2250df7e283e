//! When requests are due: at even distances, whether or not earlier ones have been answered, in turn on all
//! connections.

use std::time::Duration;

/// A fixed rate over several connections, for a fixed number of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    rate_per_s: f64,
    connections: u64,
    requests: u64,
}

impl Schedule {
    pub(crate) fn new(rate_per_s: f64, connections: u64, seconds: f64) -> Self {
        Self { rate_per_s, connections, requests: (rate_per_s * seconds) as u64 }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// When a request is due, counted from the start.
    pub(crate) fn due(&self, request: u64) -> Duration {
        Duration::from_secs_f64(request as f64 / self.rate_per_s)
    }

    /// The connection that a request belongs to.
    pub(crate) fn connection(&self, request: u64) -> usize {
        (request % self.connections) as usize
    }

    /// The request that follows on the same connection, if there is one.
    pub(crate) fn next_on_connection(&self, request: u64) -> Option<u64> {
        Some(request + self.connections).filter(|next| *next < self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances() {
        let schedule = Schedule::new(1_000.0, 64, 2.0);
        assert_eq!(schedule.requests(), 2_000);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_millis(1));
        assert_eq!(schedule.due(1_999), Duration::from_millis(1_999));
    }

    #[test]
    fn connections_take_turns() {
        let schedule = Schedule::new(100.0, 3, 0.1);
        let connections: Vec<usize> = (0..5).map(|request| schedule.connection(request)).collect();
        assert_eq!(connections, [0, 1, 2, 0, 1]);
        assert_eq!((schedule.next_on_connection(6), schedule.next_on_connection(7)), (Some(9), None));
    }
}
