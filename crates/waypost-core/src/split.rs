//! Splits: which variant a visitor gets, always the same one.
//!
//! Native edges and Workers must agree on the assignment, and reports depend on it. So it is specified here and must
//! not change:
//!
//! - `h0` = XXH3-64 of the test's id as text (`42` and `"42"` are the same test), seed 0;
//! - with a visitor id: `h` = XXH3-64 of the id's bytes, with seed `h0 ^ 1`;
//! - else: `h1` = XXH3-64 of the 16 bytes of the address (IPv4 as IPv4-mapped IPv6; 16 zero bytes if unknown) with seed
//!   `h0 ^ 2`, then `h` = XXH3-64 of the user agent's bytes (none if unknown) with seed `h1`;
//! - the bucket is `h` modulo the total weight; variants occupy ranges of it by their weights, in the order of the
//!   record.
//!
//! XXH3 is described at <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>.

use std::net::{IpAddr, Ipv6Addr};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::visit::Visit;

/// The visitor's bucket in `0..total_weight` of a test. `total_weight` must be positive.
pub fn bucket(test_id: &str, visit: &Visit<'_>, total_weight: u64) -> u64 {
    debug_assert!(total_weight > 0, "a split without weight does not apply");
    let test = xxh3_64(test_id.as_bytes());
    let hash = match visit.visitor_id {
        Some(visitor_id) => xxh3_64_with_seed(visitor_id.as_bytes(), test ^ 1),
        None => {
            let address = match visit.ip {
                Some(IpAddr::V4(v4)) => v4.to_ipv6_mapped(),
                Some(IpAddr::V6(v6)) => v6,
                None => Ipv6Addr::UNSPECIFIED,
            };
            let by_address = xxh3_64_with_seed(&address.octets(), test ^ 2);
            xxh3_64_with_seed(visit.user_agent.unwrap_or("").as_bytes(), by_address)
        }
    };
    hash % total_weight.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn assignment_is_fixed() {
        let visit = Visit::at(Timestamp::from_micros(0));
        let by_id = Visit { visitor_id: Some("visitor-1"), ..visit };
        let by_address =
            Visit { ip: Some("192.0.2.7".parse().expect("address")), user_agent: Some("curl/8.5.0"), ..visit };
        let buckets = [visit, by_id, by_address].map(|visit| bucket("42", &visit, 1_000_000));
        assert_eq!(buckets, [bucket("42", &visit, 1_000_000), buckets[1], buckets[2]]);
        let mapped = Visit { ip: Some("::ffff:192.0.2.7".parse().expect("address")), ..by_address };
        assert_eq!(bucket("42", &mapped, 1_000_000), buckets[2]);
        assert_ne!(bucket("43", &by_id, 1_000_000), buckets[1]);
    }
}
