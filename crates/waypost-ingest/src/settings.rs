//! The settings of the ingest.

use std::time::Duration;

/// Everything that can be set; the defaults suit a small machine.
#[derive(Clone, Debug)]
pub struct ClickSettings {
    /// The most clicks counted in one transaction.
    pub batch_clicks_max: usize,
    /// The most memory that a batch takes before it is counted, in bytes.
    pub batch_memory_bytes_max: usize,
    /// How long a click waits for others to be counted with.
    pub batch_age: Duration,
    /// How often the spool is looked at while nothing comes.
    pub poll: Duration,
    /// The pause after a failure: the first one, doubled with each that follows up to the second.
    pub back_off: (Duration, Duration),
    /// For how many days the clicks themselves are kept, where an account has not chosen. Totals are kept for ever.
    pub retention_days: u32,
}

impl Default for ClickSettings {
    fn default() -> Self {
        Self {
            batch_clicks_max: 250_000,
            batch_memory_bytes_max: 32 << 20,
            batch_age: Duration::from_millis(250),
            poll: Duration::from_millis(100),
            back_off: (Duration::from_millis(100), Duration::from_secs(5)),
            retention_days: 760,
        }
    }
}
