//! A click with everything that is known about it, ready to be counted.

use std::net::IpAddr;

use waypost_core::Source;
use waypost_core::Timestamp;
use waypost_core::channel::Channel;
use waypost_core::class::Class;
use waypost_core::device::{Device, Os};

/// One click. Unknown strings are empty. All strings are within the limits of `waypost_core::click`.
#[derive(Clone, Copy, Debug)]
pub struct ClickFacts<'a> {
    /// A UUIDv7; the same click always has the same.
    pub event_id: [u8; 16],
    /// The edge that answered.
    pub edge_id: &'a str,
    /// Which run of a writer on that edge; 0 for edges that do not count.
    pub epoch: u64,
    /// The click's number in that run; 0 for edges that do not count.
    pub sequence: u64,
    /// When it was answered.
    pub clicked_at: Timestamp,
    /// The link's id as a string.
    pub link_id: &'a str,
    /// The account's id as a string.
    pub account_id: &'a str,
    /// The host; empty for the default domain.
    pub domain: &'a str,
    /// The slug.
    pub slug: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// What it is counted as.
    pub class: Class,
    /// What the class was read from.
    pub class_reason: &'a str,
    /// The version of the classifier that chose the class.
    pub classifier: u16,
    /// Two capital letters.
    pub country: Option<[u8; 2]>,
    /// The device.
    pub device: Device,
    /// The operating system.
    pub os: Os,
    /// The browser's family.
    pub browser: &'a str,
    /// The channel: the kind of place that the visitor came from.
    pub channel: Channel,
    /// The host of the referrer, in lower case.
    pub referrer_host: &'a str,
    /// The referrer without its query.
    pub referrer: &'a str,
    /// The `User-Agent` header.
    pub user_agent: &'a str,
    /// The first accepted language's first subtag, in lower case.
    pub language: &'a str,
    /// What supplied the destination.
    pub source: Source,
    /// The rule that supplied it.
    pub rule_id: &'a str,
    /// The split that supplied it.
    pub ab_test_id: &'a str,
    /// Its variant.
    pub variant_id: &'a str,
    /// The UTM values of the final URL, in the order of `waypost_core::query::UTM_NAMES`.
    pub utm: [&'a str; 5],
    /// The visitor key of the day.
    pub visitor: Option<u64>,
    /// The address, as far as it is kept.
    pub address: Option<IpAddr>,
}
