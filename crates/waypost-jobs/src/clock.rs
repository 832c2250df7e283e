//! The system's clock, for everything outside a transaction; inside one, the store's clock is used.

use std::time::{SystemTime, UNIX_EPOCH};

use waypost_core::Timestamp;

/// Now. A clock before 1970 reads as 1970.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
