//! The `Date` of answers, written again once a second.

use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

use waypost_core::Timestamp;

/// The bytes of a date, as RFC 9110 has it: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) type DateBytes = [u8; 29];

/// The date that one thread wrote last.
#[derive(Debug)]
pub(crate) struct Date {
    /// Counted since 1970.
    second: Cell<i64>,
    bytes: Cell<DateBytes>,
}

impl Default for Date {
    fn default() -> Self {
        Self { second: Cell::new(i64::MIN), bytes: Cell::new([b' '; 29]) }
    }
}

impl Date {
    /// The date of an answer that is given now.
    #[inline]
    pub(crate) fn at(&self, now: Timestamp) -> DateBytes {
        let second = now.as_micros().div_euclid(1_000_000);
        if self.second.get() != second {
            self.write(second);
        }
        self.bytes.get()
    }

    #[cold]
    fn write(&self, second: i64) {
        let since_epoch = Duration::from_secs(u64::try_from(second).unwrap_or_default());
        let text = httpdate::fmt_http_date(UNIX_EPOCH + since_epoch);
        if let Ok(bytes) = text.as_bytes().try_into() {
            self.bytes.set(bytes);
            self.second.set(second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_belongs_to_its_second() {
        let date = Date::default();
        for (micros, expect) in [
            (784_111_777_999_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (784_111_777_000_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(date.at(Timestamp::from_micros(micros)), expect.as_bytes());
        }
    }
}
