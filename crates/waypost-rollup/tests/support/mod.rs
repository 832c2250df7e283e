//! Clicks for tests, made of small numbers.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use waypost_core::class::Class;
use waypost_core::device::{Device, Os};
use waypost_core::{Source, Timestamp};
use waypost_rollup::{Channel, ClickFacts, DayRollup, Dimension};

pub const HOUR: i64 = 3_600_000_000;
pub const DAY: i64 = 24 * HOUR;

const COUNTRIES: [Option<[u8; 2]>; 4] = [None, Some(*b"DE"), Some(*b"US"), Some(*b"AT")];
const BROWSERS: [&str; 3] = ["", "Firefox", "Chrome"];
const LANGUAGES: [&str; 3] = ["", "de", "en"];
const SOURCE_NAMES: [&str; 6] = ["rule", "evolution_rule", "geo_rule", "ab_test", "default", "expired"];
const RULES: [&str; 3] = ["", "r1", "r2"];
const SPLITS: [&str; 2] = ["", "beta"];
const VARIANTS: [&str; 3] = ["", "a", "b"];
const HOSTS: [&str; 4] = ["", "t.co", "example.org", "news.example"];
const UTM: [&str; 3] = ["", "mail", "spring"];

/// A click as numbers: its hour since 1970, its values (each modulo how many there are), its visitor.
#[derive(Clone, Debug)]
pub struct Raw {
    pub hour: i64,
    pub values: [u8; 17],
    pub visitor: Option<u64>,
}

pub fn raw(hours: std::ops::Range<i64>) -> impl Strategy<Value = Raw> {
    // Visitors few enough to come again, and spread as hashes are.
    let visitor = proptest::option::weighted(0.9, (0..200_u64).prop_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    (hours, proptest::array::uniform17(0..12_u8), visitor).prop_map(|(hour, values, visitor)| Raw {
        hour,
        values,
        visitor,
    })
}

pub fn raws(hours: std::ops::Range<i64>, most: usize) -> impl Strategy<Value = Vec<Raw>> {
    vec(raw(hours), 0..most)
}

impl Raw {
    fn pick<T: Copy, const N: usize>(&self, place: usize, from: [T; N]) -> T {
        from[usize::from(self.values[place]) % N]
    }

    pub fn facts(&self) -> ClickFacts<'static> {
        ClickFacts {
            event_id: [0; 16],
            edge_id: "edge",
            epoch: 1,
            sequence: 1,
            clicked_at: Timestamp::from_micros(self.hour * HOUR + 1_234_567),
            link_id: "link_a",
            account_id: "acc_a",
            domain: "",
            slug: "a",
            status: 302,
            class: self.pick(0, Class::NAMES).1,
            class_reason: "none",
            classifier: 1,
            country: self.pick(1, COUNTRIES),
            device: self.pick(2, Device::NAMES).1,
            os: self.pick(3, Os::NAMES).1,
            browser: self.pick(4, BROWSERS),
            channel: self.pick(5, Channel::NAMES).1,
            referrer_host: self.pick(11, HOSTS),
            referrer: "",
            user_agent: "",
            language: self.pick(6, LANGUAGES),
            source: self.pick(7, Source::ALL),
            rule_id: self.pick(8, RULES),
            ab_test_id: self.pick(9, SPLITS),
            variant_id: self.pick(10, VARIANTS),
            utm: [12, 13, 14, 15, 16].map(|place| self.pick(place, UTM)),
            visitor: self.visitor,
            address: None,
        }
    }

    /// The value of a dimension as reports name it.
    pub fn value(&self, dimension: Dimension) -> String {
        let facts = self.facts();
        let text = match dimension {
            Dimension::Class => facts.class.name(),
            Dimension::Country => return facts.country.map_or(String::new(), |c| String::from_utf8(c.into()).unwrap()),
            Dimension::Device => facts.device.name(),
            Dimension::Os => facts.os.name(),
            Dimension::Browser => facts.browser,
            Dimension::Channel => facts.channel.name(),
            Dimension::Language => facts.language,
            Dimension::Source => SOURCE_NAMES[usize::from(self.values[7]) % 6],
            Dimension::Rule => facts.rule_id,
            Dimension::AbTest => facts.ab_test_id,
            Dimension::Variant => facts.variant_id,
            Dimension::ReferrerHost => facts.referrer_host,
            Dimension::UtmSource => facts.utm[0],
            Dimension::UtmMedium => facts.utm[1],
            Dimension::UtmCampaign => facts.utm[2],
            Dimension::UtmTerm => facts.utm[3],
            Dimension::UtmContent => facts.utm[4],
            Dimension::Link => facts.link_id,
        };
        text.to_owned()
    }
}

pub fn rollup(clicks: &[Raw]) -> DayRollup {
    let mut rollup = DayRollup::default();
    clicks.iter().for_each(|click| rollup.add(&click.facts()));
    rollup
}
