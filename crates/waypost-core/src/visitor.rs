//! Anonymous visitors: the visitor key, which recognises a visitor for one day, and what is kept of addresses.
//!
//! The key is SipHash-2-4 (Aumasson and Bernstein, 2012) of domain, address and user agent with a random salt that is
//! replaced every day and then deleted. After that nobody can find the address of a key. Before that, trying all
//! addresses needs the salt.

use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Serialize;
use siphasher::sip::SipHasher24;

/// The salt of one day.
pub type Salt = [u8; 16];

/// Size of the buffer for the hash's input: an address, a host, and a typical user agent.
const TOGETHER_BYTES_MAX: usize = 320;

/// The key of a visitor: the same for the same domain, address and user agent under the same salt.
pub fn visitor_key(salt: &Salt, domain: &str, address: IpAddr, user_agent: &str) -> u64 {
    let hasher = SipHasher24::new_with_key(salt);
    let (ipv4, ipv6);
    let address: &[u8] = match address {
        IpAddr::V4(address) => {
            ipv4 = address.octets();
            &ipv4
        }
        IpAddr::V6(address) => {
            ipv6 = address.octets();
            &ipv6
        }
    };
    // Neither host nor address can contain the byte that ends them, so different visitors never have the same input.
    let parts = [address, domain.as_bytes(), &[0xff], user_agent.as_bytes()];
    let mut together = [0; TOGETHER_BYTES_MAX];
    let mut bytes = 0;
    for part in parts {
        let Some(room) = together.get_mut(bytes..bytes + part.len()) else {
            return one_by_one(hasher, parts);
        };
        room.copy_from_slice(part);
        bytes += part.len();
    }
    hasher.hash(&together[..bytes])
}

/// The visitor key for a key that another sender supplied: the same for the same key on the same day and domain.
/// Senders choose their keys freely, perhaps small numbers. Counting needs keys that are spread like hashes, and
/// visitors must not be recognised on another day or domain.
pub fn foreign_key(salt: &Salt, (day, domain): (i64, &str), key: u64) -> u64 {
    let mut hasher = SipHasher24::new_with_key(salt);
    hasher.write(&day.to_le_bytes());
    hasher.write(&key.to_le_bytes());
    hasher.write(domain.as_bytes());
    hasher.finish()
}

/// The hash of parts that do not fit into the buffer. The result is the same; one buffer is faster.
#[cold]
fn one_by_one(mut hasher: SipHasher24, parts: [&[u8]; 4]) -> u64 {
    parts.into_iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

/// The day of an instant: whole days since 1970 in UTC.
pub const fn day_of(micros: i64) -> i64 {
    micros.div_euclid(86_400_000_000)
}

/// What is kept of a visitor's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressPolicy {
    /// All of it.
    Full,
    /// The network: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
    #[default]
    Truncated,
    /// Nothing.
    None,
}

/// A string that is not the name of an address policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is no address policy; there are full, truncated and none", crate::Quoted(text))]
pub struct AddressPolicyError {
    text: String,
}

impl AddressPolicy {
    /// What is kept of this address.
    pub fn kept(self, address: IpAddr) -> Option<IpAddr> {
        match (self, address) {
            (Self::Full, address) => Some(address),
            (Self::Truncated, IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Some(Ipv4Addr::new(a, b, c, 0).into())
            }
            (Self::Truncated, IpAddr::V6(address)) => {
                let network = u128::from(address) & !(u128::MAX >> 48);
                Some(Ipv6Addr::from(network).into())
            }
            (Self::None, _) => None,
        }
    }

    /// The policy's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Truncated => "truncated",
            Self::None => "none",
        }
    }
}

impl FromStr for AddressPolicy {
    type Err = AddressPolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let policies = [Self::Full, Self::Truncated, Self::None];
        let found = policies.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| AddressPolicyError { text: crate::quoted::kept(text) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_differ_by_everything_that_goes_in() {
        let key =
            |salt: u8, domain, address: &str, agent| visitor_key(&[salt; 16], domain, address.parse().unwrap(), agent);
        let one = key(1, "go.example", "192.0.2.1", "UA");
        assert_eq!(one, key(1, "go.example", "192.0.2.1", "UA"));
        for other in [
            key(2, "go.example", "192.0.2.1", "UA"),
            key(1, "go.exampl", "192.0.2.1", "eUA"),
            key(1, "", "192.0.2.1", "UA"),
            key(1, "go.example", "192.0.2.2", "UA"),
            key(1, "go.example", "2001:db8::1", "UA"),
            key(1, "go.example", "192.0.2.1", ""),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_key_is_that_of_all_parts_one_after_the_other() {
        let salt = std::array::from_fn(|at| at as u8);
        for length in [0, 1, 7, 8, TOGETHER_BYTES_MAX - 9, TOGETHER_BYTES_MAX - 8, TOGETHER_BYTES_MAX - 7, 5_000] {
            let user_agent = "u".repeat(length);
            let whole = [&[192, 0, 2, 1][..], b"a.b", &[0xff], user_agent.as_bytes()].concat();
            let expect = SipHasher24::new_with_key(&salt).hash(&whole);
            assert_eq!(visitor_key(&salt, "a.b", "192.0.2.1".parse().unwrap(), &user_agent), expect, "{length}");
        }
    }

    #[test]
    fn what_is_kept_of_addresses() {
        let kept = |policy: AddressPolicy, text: &str| policy.kept(text.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(kept(AddressPolicy::Truncated, "192.0.2.77").as_deref(), Some("192.0.2.0"));
        assert_eq!(kept(AddressPolicy::Truncated, "2001:db8:1:2:3::4").as_deref(), Some("2001:db8:1::"));
        assert_eq!(kept(AddressPolicy::Full, "192.0.2.77").as_deref(), Some("192.0.2.77"));
        assert_eq!(kept(AddressPolicy::None, "192.0.2.77"), None);
        assert_eq!("none".parse(), Ok(AddressPolicy::None));
        assert!("some".parse::<AddressPolicy>().is_err());
    }

    #[test]
    fn small_keys_of_others_spread_evenly() {
        let key = |number| foreign_key(&[7; 16], (20_000, "go.example"), number);
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), foreign_key(&[7; 16], (20_001, "go.example"), 1));
        assert_ne!(key(1), foreign_key(&[7; 16], (20_000, "b.example"), 1));
        assert_ne!(key(1), foreign_key(&[8; 16], (20_000, "go.example"), 1));
        // Sixteen parts of the range, each with a sixteenth of 16,000: four standard deviations are 123.
        let mut counts = [0_i32; 16];
        (0..16_000).for_each(|number| counts[(key(number) >> 60) as usize] += 1);
        assert!(counts.iter().all(|count| (count - 1_000).abs() < 123), "{counts:?}");
    }

    #[test]
    fn days_before_1970_count_down() {
        assert_eq!(day_of(0), 0);
        assert_eq!(day_of(-1), -1);
        assert_eq!(day_of(86_400_000_000), 1);
    }
}
