//! Limits log lines about requests, because every request of a kind would log the same: for each kind of configuration
//! error one line a minute, for requests that fail with an error one line a second.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use waypost_core::Timestamp;

const MINUTE_MICROS: i64 = 60_000_000;

/// All kinds.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    unknown_host: Notice,
    ignored_forwarding: Notice,
}

/// One kind: the minute in which it was last logged.
#[derive(Debug)]
struct Notice {
    told_minute: AtomicI64,
}

impl Default for Notice {
    fn default() -> Self {
        Self { told_minute: AtomicI64::new(i64::MIN) }
    }
}

impl Notice {
    fn may_tell(&self, now: Timestamp) -> bool {
        let minute = now.as_micros().div_euclid(MINUTE_MICROS);
        self.told_minute.swap(minute, Ordering::Relaxed) != minute
    }
}

impl Notices {
    /// A request for a host that no domain has.
    #[cold]
    pub(crate) fn unknown_host(&self, host: &str, now: Timestamp) {
        if self.unknown_host.may_tell(now) {
            tracing::warn!(
                "{host} is asked for, a host that is not known here: make a domain of it with `waypost domain create {host}`, or \
                 set public_url to it"
            );
        }
    }

    /// A peer that is not a trusted proxy names the client that it forwards for.
    #[cold]
    pub(crate) fn ignored_forwarding(&self, peer: IpAddr, now: Timestamp) {
        if self.ignored_forwarding.may_tell(now) {
            tracing::warn!(
                "X-Forwarded-For of {peer} is ignored, because it is not a trusted proxy, and all its visitors count as one: if it is \
                 yours, add it to trusted_proxies"
            );
        }
    }
}

/// Logs one error a second: with a broken table every request fails.
#[derive(Debug, Default)]
pub(crate) struct FaultLog {
    logged_second: AtomicI64,
}

impl FaultLog {
    pub(crate) fn may_log(&self, now: Timestamp) -> bool {
        let second = now.as_micros().div_euclid(1_000_000);
        self.logged_second.swap(second, Ordering::Relaxed) != second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute() {
        let notice = Notice::default();
        let told: Vec<bool> = [0, 1, 59, 60, 61, 180, 181]
            .into_iter()
            .map(|second| notice.may_tell(Timestamp::from_micros(second * 1_000_000)))
            .collect();
        assert_eq!(told, [true, false, false, true, false, true, false]);
    }

    #[test]
    fn one_fault_a_second_is_logged() {
        let log = FaultLog::default();
        let logged: Vec<bool> = [10, 11, 1_000_000, 1_999_999, 2_000_000]
            .into_iter()
            .map(|micros| log.may_log(Timestamp::from_micros(micros + 5_000_000)))
            .collect();
        assert_eq!(logged, [true, false, true, false, true]);
    }
}
