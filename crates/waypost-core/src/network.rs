//! Networks of addresses as conditions have them: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.

use std::net::{IpAddr, Ipv6Addr};

/// A network: addresses with the same first bits. IPv4 addresses are IPv4-mapped IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub(crate) address: [u8; 16],
    /// How many bits all addresses share, of 128.
    pub(crate) bits: u8,
}

impl Network {
    /// Reads an address or a range in CIDR notation; `None` if the string is neither. Bits after the prefix are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let before = if address.is_ipv4() { 96 } else { 0 };
        let bits = match bits {
            None => 128,
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse::<u16>().ok()? + before
            }
            Some(_) => return None,
        };
        let bits = u8::try_from(bits).ok().filter(|bits| *bits <= 128)?;
        Some(Self { address: mapped(address).octets(), bits })
    }

    /// Whether an address is in this network.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        self.covers(Self { address: mapped(address).octets(), bits: 128 })
    }

    /// Whether all addresses of another network are in this one.
    pub fn covers(self, other: Self) -> bool {
        let different = u128::from_be_bytes(self.address) ^ u128::from_be_bytes(other.address);
        self.bits <= other.bits && different.leading_zeros() >= u32::from(self.bits)
    }
}

/// The address as an IPv6 address.
fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let network = Network::parse(network).expect(network);
        for address in inside {
            assert!(network.contains(address.parse().expect("an address")), "{address} in {network:?}");
        }
        for address in outside {
            assert!(!network.contains(address.parse().expect("an address")), "{address} in {network:?}");
        }
    }

    #[test]
    fn addresses_and_ranges() {
        check("192.0.2.7", &["192.0.2.7", "::ffff:192.0.2.7"], &["192.0.2.8", "::192.0.2.7"]);
        check("192.0.2.0/24", &["192.0.2.0", "192.0.2.255"], &["192.0.3.0", "2001:db8::1"]);
        check("192.0.2.99/24", &["192.0.2.0"], &["192.0.3.0"]);
        check("192.0.2.0/23", &["192.0.3.255"], &["192.0.4.0", "192.0.1.255"]);
        check("0.0.0.0/0", &["255.255.255.255"], &["::1", "2001:db8::1"]);
        check("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::", "192.0.2.7"]);
        check("2001:db8::1", &["2001:db8::1"], &["2001:db8::2"]);
        check("::/0", &["192.0.2.7", "::1"], &[]);
        check("::ffff:192.0.2.0/120", &["192.0.2.9"], &["192.0.3.0"]);
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for bad in [
            "",
            "192.0.2",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/-1",
            "192.0.2.0/024x",
            "::/129",
            "::/+1",
            "host",
            "[::1]",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
