//! How often passwords of a link may be tried. An attempt is charged before its password is checked, so sending many at
//! once does not help. A right password gets its charge for wrong ones back, and keeps only the charge of a generous
//! limit on all attempts, because checking it costs as much as checking a wrong one.
//!
//! The limits of an address and its network are reached first. A link on which all clients together have tried too
//! often is not locked, because then an attacker could lock out those who know the password: its attempts are checked
//! slowly.

use std::time::Instant;

use crate::access::throttle::{AddressKey, Throttle};
use crate::settings::Rate;
use crate::unlocking::password::{Asker, Pace};

/// Wrong passwords of one address on one link: in a minute, and in an hour.
const ADDRESS_ON_LINK: [Rate; 2] =
    [Rate { count: 5, per_s: 60, burst: 5 }, Rate { count: 20, per_s: 3_600, burst: 20 }];
/// Wrong passwords of one address, on whatever links.
const ADDRESS: Rate = Rate { count: 30, per_s: 60, burst: 30 };
/// Wrong passwords of one network on one link.
const NETWORK_ON_LINK: Rate = Rate { count: 60, per_s: 3_600, burst: 60 };
/// Wrong passwords of everyone on one link, past which it is slow.
const LINK: Rate = Rate { count: 100, per_s: 3_600, burst: 100 };
/// Passwords of one address, and of one network, right or wrong, on whatever links.
const ALL_OF_ADDRESS: Rate = Rate { count: 120, per_s: 60, burst: 120 };
const ALL_OF_NETWORK: Rate = Rate { count: 600, per_s: 60, burst: 600 };

/// The limits of an instance.
#[derive(Debug)]
pub(crate) struct UnlockLimits {
    address_on_link: [Throttle<(String, AddressKey)>; 2],
    address: Throttle<AddressKey>,
    network_on_link: Throttle<(String, AddressKey)>,
    link: Throttle<String>,
    all_of_address: Throttle<AddressKey>,
    all_of_network: Throttle<AddressKey>,
}

/// An attempt that was charged.
#[derive(Debug)]
pub(crate) struct Attempt {
    subject: String,
    /// Who made it, and how soon its password is to be checked.
    pub(crate) asker: Asker,
}

impl UnlockLimits {
    pub(crate) fn new() -> Self {
        Self {
            address_on_link: ADDRESS_ON_LINK.map(Throttle::new),
            address: Throttle::new(ADDRESS),
            network_on_link: Throttle::new(NETWORK_ON_LINK),
            link: Throttle::new(LINK),
            all_of_address: Throttle::new(ALL_OF_ADDRESS),
            all_of_network: Throttle::new(ALL_OF_NETWORK),
        }
    }

    /// Charges an attempt on the link that is known by `subject`.
    ///
    /// # Errors
    /// The seconds after which to try again; nothing was charged.
    pub(crate) fn charge(&self, subject: String, address: AddressKey, now: Instant) -> Result<Attempt, u32> {
        let (on_link, network) = ((subject.clone(), address), (subject.clone(), address.wider()));
        self.all_of_address.ask(address, now)?;
        self.all_of_network.ask(address.wider(), now)?;
        self.address.ask(address, now)?;
        self.address_on_link.iter().try_for_each(|throttle| throttle.ask(on_link.clone(), now))?;
        self.network_on_link.ask(network.clone(), now)?;
        // Where others have spent the last of it just now, this attempt is the last.
        let _ = self.all_of_address.take(address, now);
        let _ = self.all_of_network.take(address.wider(), now);
        let _ = self.address.take(address, now);
        for throttle in &self.address_on_link {
            let _ = throttle.take(on_link.clone(), now);
        }
        let _ = self.network_on_link.take(network, now);
        let pace = if self.link.ask(subject.clone(), now).is_ok() { Pace::Usual } else { Pace::Slow };
        Ok(Attempt { subject, asker: Asker { address, pace, patience: None } })
    }

    /// The password was right, which is no guess.
    pub(crate) fn note_right(&self, attempt: Attempt) {
        let Attempt { subject, asker: Asker { address, .. } } = attempt;
        self.address.give_back(&address);
        self.network_on_link.give_back(&(subject.clone(), address.wider()));
        let on_link = (subject, address);
        self.address_on_link.iter().for_each(|throttle| throttle.give_back(&on_link));
    }

    /// The password was not checked: the attempt costs nothing.
    pub(crate) fn give_back(&self, attempt: Attempt) {
        let address = attempt.asker.address;
        self.all_of_address.give_back(&address);
        self.all_of_network.give_back(&address.wider());
        self.note_right(attempt);
    }

    /// The password was wrong.
    pub(crate) fn note_wrong(&self, attempt: Attempt, now: Instant) {
        // Spent already where others were faster: it stays slow.
        let _ = self.link.take(attempt.subject, now);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn address(text: &str) -> AddressKey {
        AddressKey::of(Some(text.parse().unwrap()))
    }

    fn try_wrong(limits: &UnlockLimits, link: &str, from: &str, now: Instant) -> Result<Pace, u32> {
        let attempt = limits.charge(link.to_owned(), address(from), now)?;
        let pace = attempt.asker.pace;
        limits.note_wrong(attempt, now);
        Ok(pace)
    }

    #[test]
    fn an_address_then_its_network_then_the_link() {
        let (limits, now) = (UnlockLimits::new(), Instant::now());
        for _ in 0..5 {
            assert_eq!(try_wrong(&limits, "a", "192.0.2.1", now), Ok(Pace::Usual));
        }
        assert!(try_wrong(&limits, "a", "192.0.2.1", now).is_err());
        assert_eq!(try_wrong(&limits, "b", "192.0.2.1", now), Ok(Pace::Usual), "other links are open");
        for host in 2..13 {
            for _ in 0..5 {
                assert!(try_wrong(&limits, "a", &format!("192.0.2.{host}"), now).is_ok(), "{host}");
            }
        }
        assert!(try_wrong(&limits, "a", "192.0.2.200", now).is_err(), "60 of its network");
        for network in 0..8 {
            for _ in 0..5 {
                assert_eq!(try_wrong(&limits, "a", &format!("198.51.{network}.1"), now), Ok(Pace::Usual));
            }
        }
        assert_eq!(try_wrong(&limits, "a", "203.0.113.1", now), Ok(Pace::Slow), "nobody is locked out");
        assert_eq!(try_wrong(&limits, "b", "203.0.113.1", now), Ok(Pace::Usual));
    }

    #[test]
    fn right_passwords_are_no_guesses_and_are_limited_generously() {
        let (limits, now) = (UnlockLimits::new(), Instant::now());
        let try_right =
            |from: &str| limits.charge("a".to_owned(), address(from), now).map(|attempt| limits.note_right(attempt));
        assert_eq!((0..500).filter(|_| try_right("2001:db8::1").is_ok()).count(), 120);
        assert!((0..60).all(|_| try_right("2001:db8:0:1::1").is_ok()));
        for _ in 0..5 {
            assert!(try_wrong(&limits, "a", "2001:db8:0:1::1", now).is_ok());
        }
        assert!(try_wrong(&limits, "a", "2001:db8:0:1::1", now).is_err());
        assert!(
            (2..30)
                .map(|network| (0..60).filter(|_| try_right(&format!("2001:db8:0:{network}::1")).is_ok()).count())
                .sum::<usize>()
                < 600
        );
        assert!(try_right("2001:db8:0:99::1").is_err(), "600 of its network");
        assert!(try_right("198.51.100.1").is_ok());
    }

    #[test]
    fn what_was_not_checked_costs_nothing() {
        let (limits, now) = (UnlockLimits::new(), Instant::now());
        for _ in 0..1_000 {
            let attempt = limits.charge("a".to_owned(), address("192.0.2.1"), now).unwrap();
            limits.give_back(attempt);
        }
    }

    #[test]
    fn many_at_once_are_no_way_around() {
        let (limits, now) = (UnlockLimits::new(), Instant::now());
        let charged: Vec<_> =
            (0..20).filter_map(|_| limits.charge("a".to_owned(), address("192.0.2.1"), now).ok()).collect();
        assert_eq!(charged.len(), 5);
    }
}
