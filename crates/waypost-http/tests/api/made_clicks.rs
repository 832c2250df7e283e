//! Clicks for tests, counted by the clicks database itself.

use serde_json::Value;
use waypost_clicks::{ClickBatch, LossCause};
use waypost_core::channel::Channel;
use waypost_core::class::Class;
use waypost_core::device::{Device, Os};
use waypost_core::{Source, Timestamp};
use waypost_ingest::Clicks;
use waypost_rollup::ClickFacts;

pub(crate) const EDGE: &str = "0123456789abcdef";
/// 2026-03-01T00:00:00Z.
pub(crate) const MARCH_S: i64 = 1_772_323_200;

/// A click of a person on this link, as the API shows it, so many seconds after the beginning of March 2026.
pub(crate) fn click(link: &Value, at_s: i64) -> ClickFacts<'_> {
    ClickFacts {
        event_id: [0; 16],
        edge_id: EDGE,
        epoch: 1,
        sequence: 0,
        clicked_at: Timestamp::from_micros((MARCH_S + at_s) * 1_000_000),
        link_id: link["id"].as_str().unwrap(),
        account_id: link["account_id"].as_str().unwrap(),
        domain: "",
        slug: link["slug"].as_str().unwrap(),
        status: 302,
        class: Class::Human,
        class_reason: "none",
        classifier: 1,
        country: Some(*b"DE"),
        device: Device::Mobile,
        os: Os::Android,
        browser: "Firefox",
        channel: Channel::Direct,
        referrer_host: "",
        referrer: "",
        user_agent: "Mozilla/5.0",
        language: "de",
        source: Source::Default,
        rule_id: "",
        ab_test_id: "",
        variant_id: "",
        utm: [""; 5],
        visitor: Some(0x0123_4567_89ab_cdef),
        address: None,
    }
}

/// Counts these, numbered on from `first_sequence`.
pub(crate) async fn count<'c>(clicks: &Clicks, first_sequence: u64, facts: impl IntoIterator<Item = ClickFacts<'c>>) {
    let mut batch = ClickBatch::new();
    for (sequence, facts) in (first_sequence..).zip(facts) {
        let event_id = waypost_core::click::event_id(EDGE, 1, sequence, facts.clicked_at);
        batch.push(&ClickFacts { sequence, event_id, ..facts });
    }
    clicks.store().ingest(batch).await.unwrap();
}

/// Declares these numbers lost for want of room.
pub(crate) async fn lose(clicks: &Clicks, first_sequence: u64, count: u64) {
    let mut batch = ClickBatch::new();
    batch.push_lost(EDGE, 1, first_sequence, count, LossCause::Full);
    clicks.store().ingest(batch).await.unwrap();
}
