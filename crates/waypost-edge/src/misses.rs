//! Counts the requests of an address for links that do not exist. Requests for existing links cost nothing: they are
//! never looked up here, and redirect in any case.
//!
//! A table of fixed size, without locks: each entry is a tag of the address and the time up to which its misses are
//! paid for (the "theoretical arrival time" of GCRA), in one word. An entry whose time has passed is free for the next
//! address. If all entries of a place are in use, the one with the least to pay is replaced.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::admission::network_of;
use crate::config::MissRate;

/// Entries: 64 KiB of them.
const ENTRIES: usize = 8_192;
/// Entries that an address may be in.
const WAYS: usize = 4;
/// Bits of the time; the others are the tag.
const TIME_BITS: u32 = 42;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// The time is counted in steps of 64 microseconds, which lasts for eight years.
const STEP_BITS: u32 = 6;

/// The misses of all addresses.
#[derive(Debug)]
pub(crate) struct Misses {
    entries: Box<[AtomicU64]>,
    hasher: RandomState,
    start: Instant,
    /// Steps that one miss costs.
    cost: u64,
    /// Steps that an address may be ahead.
    ahead_max: u64,
}

impl Misses {
    pub(crate) fn new(rate: MissRate) -> Self {
        let period = (u64::from(rate.per_s) * 1_000_000) >> STEP_BITS;
        let cost = (period / u64::from(rate.count.max(1))).max(1);
        Self {
            entries: (0..ENTRIES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            start: Instant::now(),
            cost,
            ahead_max: cost * u64::from(rate.burst.max(1)),
        }
    }

    /// Counts a miss of this address. `false` if it has too many.
    pub(crate) fn admit(&self, address: IpAddr, now: Instant) -> bool {
        let hash = self.hasher.hash_one(network_of(address));
        let tag = hash >> TIME_BITS;
        let place = hash as usize % (ENTRIES / WAYS) * WAYS;
        let now = (now.duration_since(self.start).as_micros() as u64 >> STEP_BITS).min(TIME_MASK);
        let entries = &self.entries[place..place + WAYS];
        let paid_until = |entry: &AtomicU64| entry.load(Ordering::Relaxed) & TIME_MASK;
        let own = entries.iter().find(|entry| entry.load(Ordering::Relaxed) >> TIME_BITS == tag);
        let Some(entry) = own.or_else(|| entries.iter().min_by_key(|entry| paid_until(entry))) else { return true };
        let known = if own.is_some() { paid_until(entry) } else { 0 };
        let until = known.max(now) + self.cost;
        if until > now + self.ahead_max {
            return false;
        }
        // Two misses at the same moment may count as one.
        entry.store(tag << TIME_BITS | until.min(TIME_MASK), Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// How many of so many misses are let through.
    fn admitted(misses: &Misses, from: &str, count: usize, after: Duration) -> usize {
        let now = misses.start + after;
        (0..count).filter(|_| misses.admit(address(from), now)).count()
    }

    #[test]
    fn a_scanner_gets_its_burst_and_then_the_rate() {
        let misses = Misses::new(MissRate { count: 60, per_s: 60, burst: 100 });
        let seconds = Duration::from_secs;
        assert_eq!(admitted(&misses, "192.0.2.1", 5_000, seconds(0)), 100);
        assert_eq!(admitted(&misses, "192.0.2.1", 5_000, seconds(10)), 10);
        assert_eq!(admitted(&misses, "192.0.2.2", 5_000, seconds(10)), 100, "another address has its own");
        assert_eq!(admitted(&misses, "192.0.2.1", 5_000, seconds(1_000)), 100, "after a pause");
        let own = Misses::new(MissRate::USUAL);
        assert_eq!(admitted(&own, "192.0.2.1", 5_001, seconds(0)), 600);
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one() {
        let misses = Misses::new(MissRate { count: 1, per_s: 60, burst: 2 });
        assert_eq!(admitted(&misses, "2001:db8::1", 1, Duration::ZERO), 1);
        assert_eq!(admitted(&misses, "2001:db8::ffff:2", 5, Duration::ZERO), 1);
        assert_eq!(admitted(&misses, "2001:db8:0:1::1", 5, Duration::ZERO), 2);
        assert_eq!(admitted(&misses, "192.0.2.1", 1, Duration::ZERO), 1);
        assert_eq!(admitted(&misses, "::ffff:192.0.2.1", 5, Duration::ZERO), 1);
    }

    #[test]
    fn very_many_addresses_take_no_more_memory() {
        let misses = Misses::new(MissRate { count: 1, per_s: 60, burst: 1 });
        for number in 0..100_000_u32 {
            misses.admit(IpAddr::V4(number.into()), misses.start);
        }
        assert_eq!(misses.entries.len(), ENTRIES);
        assert_eq!(admitted(&misses, "192.0.2.1", 3, Duration::ZERO), 1, "whoever came last is known");
    }
}
