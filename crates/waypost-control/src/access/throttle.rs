//! Rate limits per key (an address, an API key, a link) by the generic cell rate algorithm: each key stores the time at
//! which its allowance is full again, and needs no timer.
//!
//! Written here because an unlock must be able to check without spending (only wrong passwords count against a link),
//! and because the memory must be limited however many addresses an attacker has.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::settings::Rate;

/// Keys remembered at once. Past it those that have recovered are dropped, and if none has, all unknown keys share one.
const KEYS_MAX: usize = 100_000;

/// What a request is counted against where its address is known: the address, for IPv6 its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKey {
    /// No address is known: all such requests share one allowance.
    Unknown,
    /// An address, or the first address of a /64.
    Network(IpAddr),
}

impl AddressKey {
    /// What requests from this address are counted against.
    pub fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(address)) => Self::Network(address.into()),
            Some(IpAddr::V6(address)) => {
                Self::Network(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into())
            }
        }
    }
}

impl AddressKey {
    /// The network around it: the first address of a /24, for IPv6 of a /48.
    pub(crate) fn wider(self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Network(IpAddr::V4(address)) => {
                Self::Network(Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into())
            }
            Self::Network(IpAddr::V6(address)) => {
                Self::Network(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into())
            }
        }
    }
}

/// An allowance per key.
#[derive(Debug)]
pub(crate) struct Throttle<K> {
    /// How much later the allowance is full again for each request.
    cost: Duration,
    /// How far ahead that instant may lie.
    tolerance: Duration,
    /// A std mutex: held for a map access, never across I/O.
    full_at: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    keys: HashMap<K, Instant>,
    /// Stands for every key that found no room.
    overflow: Option<Instant>,
}

impl<K: Eq + Hash> Throttle<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        let cost = Duration::from_secs(rate.per_s.max(1).into()) / rate.count.max(1);
        Self {
            cost,
            tolerance: cost * (rate.burst.max(1) - 1),
            full_at: Mutex::new(State { keys: HashMap::new(), overflow: None }),
        }
    }

    /// Spends one request of the key's allowance.
    ///
    /// # Errors
    /// The seconds after which to try again; nothing was spent.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), u32> {
        self.visit(key, now, true)
    }

    /// Whether [`Throttle::take`] would succeed.
    ///
    /// # Errors
    /// The seconds after which it would.
    pub(crate) fn ask(&self, key: K, now: Instant) -> Result<(), u32> {
        self.visit(key, now, false)
    }

    /// Undoes one [`Throttle::take`] of this key. What was taken from the allowance that unknown keys share stays
    /// taken.
    pub(crate) fn give_back(&self, key: &K) {
        let mut state = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = state.keys.get_mut(key) {
            *full_at = full_at.checked_sub(self.cost).unwrap_or(*full_at);
        }
    }

    fn visit(&self, key: K, now: Instant, spend: bool) -> Result<(), u32> {
        let mut state = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = state.keys.contains_key(&key);
        if !is_known && state.keys.len() >= KEYS_MAX {
            state.keys.retain(|_, full_at| *full_at > now);
        }
        let has_room = is_known || state.keys.len() < KEYS_MAX;
        let full_at = if has_room { state.keys.get(&key).copied() } else { state.overflow }.unwrap_or(now).max(now);
        let ahead = full_at - now;
        if ahead > self.tolerance {
            return Err(seconds_up(ahead - self.tolerance));
        }
        if spend && has_room {
            state.keys.insert(key, full_at + self.cost);
        } else if spend {
            state.overflow = Some(full_at + self.cost);
        }
        Ok(())
    }
}

fn seconds_up(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_then_the_rate() {
        let throttle = Throttle::new(Rate { count: 6, per_s: 60, burst: 3 });
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..3 {
            assert_eq!(throttle.take("a", at(0)), Ok(()));
        }
        assert_eq!(throttle.ask("a", at(0)), Err(10));
        assert_eq!(throttle.take("a", at(4)), Err(6));
        assert_eq!(throttle.take("b", at(4)), Ok(()));
        assert_eq!(throttle.ask("a", at(10)), Ok(()));
        assert_eq!(throttle.take("a", at(10)), Ok(()));
        assert_eq!(throttle.take("a", at(10)), Err(10));
        for _ in 0..3 {
            assert_eq!(throttle.take("a", at(1000)), Ok(()));
        }
        assert!(throttle.take("a", at(1000)).is_err());
    }

    #[test]
    fn memory_has_a_limit() {
        let throttle = Throttle::new(Rate { count: 1, per_s: 60, burst: 1 });
        let now = Instant::now();
        for key in 0..KEYS_MAX {
            assert_eq!(throttle.take(key, now), Ok(()));
        }
        assert_eq!(throttle.take(KEYS_MAX, now), Ok(()), "the first without room");
        assert!(throttle.take(KEYS_MAX + 1, now).is_err(), "shares its allowance with the next");
        let later = now + Duration::from_secs(61);
        assert_eq!(throttle.take(KEYS_MAX + 1, later), Ok(()));
        assert_eq!(throttle.full_at.lock().expect("lock").keys.len(), 1);
    }

    #[test]
    fn addresses_of_one_network_share() {
        let key = |text: &str| AddressKey::of(Some(text.parse().expect("address")));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1").wider(), key("192.0.2.200").wider());
        assert_ne!(key("192.0.2.1").wider(), key("192.0.3.1").wider());
        assert_eq!(key("2001:db8:1:1::1").wider(), key("2001:db8:1:2::1").wider());
        assert_ne!(key("2001:db8:1::1").wider(), key("2001:db8:2::1").wider());
    }
}
