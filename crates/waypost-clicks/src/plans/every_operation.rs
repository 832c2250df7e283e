//! A run through all operations on clicks.

use waypost_core::Source;
use waypost_core::Timestamp;
use waypost_core::channel::Channel;
use waypost_core::class::Class;
use waypost_core::device::{Device, Os};
use waypost_rollup::{ClickFacts, Dimension, Interval, ReportQuery, Scope};

use crate::{ClickBatch, ClickStore, ClicksError, RawQuery, RefusedEvent, ReportError};

const CLICK: ClickFacts<'static> = ClickFacts {
    event_id: [1; 16],
    edge_id: "edge",
    epoch: 1,
    sequence: 1,
    clicked_at: Timestamp::from_micros(0),
    link_id: "link_1",
    account_id: "acc_1",
    domain: "",
    slug: "s",
    status: 302,
    class: Class::Human,
    class_reason: "none",
    classifier: 1,
    country: None,
    device: Device::Other,
    os: Os::Other,
    browser: "",
    channel: Channel::Direct,
    referrer_host: "",
    referrer: "",
    user_agent: "",
    language: "",
    source: Source::Default,
    rule_id: "",
    ab_test_id: "",
    variant_id: "",
    utm: [""; 5],
    visitor: Some(7),
    address: None,
};

pub(super) async fn run(store: &ClickStore) -> Result<(), ClicksError> {
    for sequence in 1..=2 {
        let mut batch = ClickBatch::new();
        batch.push(&ClickFacts { sequence, ..CLICK });
        batch.push(&ClickFacts { sequence: sequence + 2, link_id: "link_2", edge_id: "other", ..CLICK });
        store.ingest(batch).await?;
    }
    store.ingest_events(&[ClickFacts { event_id: [2; 16], sequence: 9, ..CLICK }]).await?;
    let refused = RefusedEvent { edge_id: String::new(), reason: "no event".to_owned(), event: "{}".to_owned() };
    store.ingest_delivery(&[], &[refused]).await?;
    store.refused_events(None, 10).await?;
    store.add_spool("edge").await?;
    store.positions("edge").await?;
    store.audit().await?;
    let account = CLICK.account_id.parse().expect("an account");
    let link = CLICK.link_id.parse().expect("a link");
    let raw = RawQuery { account_id: account, link_id: Some(link), from: None, to: None, limit: 1, cursor: None };
    store.raw_clicks(&raw).await?;
    let RawQuery { account_id, link_id: Some(link_id), .. } = raw else { return Ok(()) };
    for (scope, group_by) in [
        (Scope::Account(account_id.clone()), Some(Dimension::Link)),
        (Scope::Domain(account_id.clone(), String::new()), None),
        (Scope::Link(account_id.clone(), link_id.clone()), None),
    ] {
        report(store, scope, group_by).await?;
    }
    months(store).await?;
    store.erase_visitor(&account_id, 7).await?;
    store.erase_link(&account_id, &link_id).await?;
    store.set_retention_days(&account_id, Some(1)).await?;
    store.retention_days(&account_id).await?;
    store.set_retention_days(&account_id, None).await?;
    let clock = store.retention_clock(std::time::Duration::ZERO).await?;
    store.prune(1, clock.now).await?;
    store.ping().await
}

/// A month large enough to be made, wanted, made, read and thrown away.
async fn months(store: &ClickStore) -> Result<(), ClicksError> {
    let hosts: Vec<String> = (0..3_000).map(|number| format!("a-long-name-{number}.example")).collect();
    for (day, sequence) in [(0, 1), (1, 3_001), (2, 6_001), (0, 9_001)] {
        let mut batch = ClickBatch::new();
        for (number, host) in (sequence..).zip(&hosts) {
            let clicked_at = Timestamp::from_micros(day * 86_400_000_000);
            batch.push(&ClickFacts {
                edge_id: "months",
                sequence: number,
                clicked_at,
                referrer_host: host,
                visitor: Some(number << 48 | number),
                ..CLICK
            });
        }
        store.ingest(batch).await?;
        let scope = Scope::Account(CLICK.account_id.parse().expect("an account"));
        report(store, scope, None).await?;
        store.make_months().await?;
    }
    Ok(())
}

async fn report(store: &ClickStore, scope: Scope, group_by: Option<Dimension>) -> Result<(), ClicksError> {
    let query = ReportQuery {
        scope,
        from: Timestamp::from_micros(0),
        to: Timestamp::from_micros(50 * 86_400_000_000),
        interval: Interval::None,
        time_zone: jiff::tz::TimeZone::UTC,
        classes: Vec::new(),
        filters: Vec::new(),
        group_by,
        groups_max: 10,
    };
    match store.report(&query).await {
        Ok(_) => Ok(()),
        Err(ReportError::Store(error)) => Err(error),
        Err(ReportError::Query(error)) => panic!("{error}"),
    }
}
