//! The suite of the clicks database: clicks are counted once, read in pages, erased, deleted after their time. Cases
//! run on both engines, through the public operations only.
#![allow(clippy::unwrap_used)]

mod batches;
mod counting;
mod damage;
mod erasing;
mod events;
mod faults;
mod months;
mod opening;
mod paging;
mod refused;
mod testbed;
mod totals;

use waypost_clicks::{ClickBatch, ClickPage, ClickStore, RawQuery};
use waypost_core::channel::Channel;
use waypost_core::class::Class;
use waypost_core::click::event_id;
use waypost_core::device::{Device, Os};
use waypost_core::id::{AccountId, LinkId};
use waypost_core::{Source, Timestamp};
use waypost_rollup::{ClickFacts, Dimension, Interval, Report, ReportQuery, Scope};

/// 2026-01-15T00:00:00Z.
pub(crate) const DAY: i64 = 20_468;
pub(crate) const DAY_US: i64 = 86_400_000_000;

pub(crate) const ACCOUNT: &str = "acc_1";

/// A human's click on a link of the first account: everything that is not known is empty.
pub(crate) fn click(sequence: u64, link_id: &str) -> ClickFacts<'_> {
    let clicked_at = Timestamp::from_micros(DAY * DAY_US + 1_000_000 * sequence as i64);
    ClickFacts {
        event_id: event_id("edge", 1, sequence, clicked_at),
        edge_id: "edge",
        epoch: 1,
        sequence,
        clicked_at,
        link_id,
        account_id: ACCOUNT,
        domain: "",
        slug: "s",
        status: 302,
        class: Class::Human,
        class_reason: "none",
        classifier: 1,
        country: Some(*b"AT"),
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
        visitor: Some(sequence << 32 | 7),
        address: None,
    }
}

/// The click at another time, with the id that follows.
pub(crate) fn at(click: ClickFacts<'_>, micros: i64) -> ClickFacts<'_> {
    let clicked_at = Timestamp::from_micros(micros);
    ClickFacts { clicked_at, event_id: event_id(click.edge_id, click.epoch, click.sequence, clicked_at), ..click }
}

pub(crate) fn batch<'a>(clicks: impl IntoIterator<Item = ClickFacts<'a>>) -> ClickBatch {
    let mut batch = ClickBatch::new();
    for click in clicks {
        batch.push(&click);
    }
    batch
}

pub(crate) fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

pub(crate) fn link(link_id: &str) -> LinkId {
    link_id.parse().unwrap()
}

/// All clicks ever of a scope, group by group.
pub(crate) async fn report(store: &ClickStore, scope: Scope, group_by: Option<Dimension>) -> Report {
    store.report(&query(scope, group_by)).await.unwrap()
}

pub(crate) fn query(scope: Scope, group_by: Option<Dimension>) -> ReportQuery {
    ReportQuery {
        scope,
        from: Timestamp::from_micros((DAY - 10) * DAY_US),
        to: Timestamp::from_micros((DAY + 100) * DAY_US),
        interval: Interval::None,
        time_zone: jiff::tz::TimeZone::UTC,
        classes: Vec::new(),
        filters: Vec::new(),
        group_by,
        groups_max: 1_000,
    }
}

pub(crate) fn of_account() -> Scope {
    Scope::Account(account())
}

pub(crate) fn of_link(link_id: &str) -> Scope {
    Scope::Link(account(), link(link_id))
}

pub(crate) fn raw_query(limit: usize) -> RawQuery {
    RawQuery { account_id: account(), link_id: None, from: None, to: None, limit, cursor: None }
}

/// Every page, one after the other, as one.
pub(crate) async fn all_pages(store: &ClickStore, mut query: RawQuery) -> ClickPage {
    let mut all = ClickPage::default();
    loop {
        let page = store.raw_clicks(&query).await.unwrap();
        assert!(page.events.len() <= query.limit);
        all.events.extend(page.events);
        all.damaged += page.damaged;
        query.cursor = page.next;
        if query.cursor.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn writing_is_tried_where_nothing_was_written() {
    let testbed = crate::testbed::Testbed::sqlite().await;
    assert!(testbed.store.is_writable().await, "a database without a clock yet");
    let clock = testbed.store.retention_clock(std::time::Duration::ZERO).await.unwrap();
    assert_eq!(clock.held, None, "the row of the try is not the clock's");
}
