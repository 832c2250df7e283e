//! A click as this edge reports it: the JSON of [`waypost_core::click::ClickEvent`], written from borrowed strings.
//!
//! Everything about the visitor that leaves the Worker is in here: of the address what the policy keeps, and the
//! visitor key, which tells visitors of one domain apart for a day.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;
use waypost_core::class::classify;
use waypost_core::click::{
    REFERRER_BYTES_MAX, RuleNameRoom, USER_AGENT_BYTES_MAX, country_letters, cut, referrer_without_query, rule_name,
    utm_pairs, utm_values,
};
use waypost_core::compact::{CompactId, CompactLink};
use waypost_core::decide::{Decision, Source};
use waypost_core::query::is_scan;
use waypost_core::{Timestamp, device, language};

use crate::facts::Facts;

/// One click. Texts that are not known are left out, which the format reads as empty.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a> {
    event_id: &'a str,
    edge_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    link_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    account_id: &'a str,
    domain: &'a str,
    slug: &'a str,
    clicked_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitor: Option<String>,
    user_agent: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    referrer: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    country_code: &'a str,
    device_type: &'static str,
    os: &'static str,
    class: &'static str,
    class_reason: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    channel: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    language: Cow<'a, str>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ab_test_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ab_variant_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    utm_source: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    utm_medium: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    utm_campaign: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    utm_term: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    utm_content: Cow<'a, str>,
    status: u16,
}

/// What a click is made of, beside what is said of this edge.
pub(crate) struct Clicked<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) link: &'a CompactLink<'a>,
    pub(crate) decision: &'a Decision<'a>,
    pub(crate) source: Source,
}

/// What this edge adds to a click.
pub(crate) struct Told<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) edge_id: &'a str,
    /// The address, as far as it is kept.
    pub(crate) address: Option<IpAddr>,
    pub(crate) visitor: Option<u64>,
}

/// Writes the event to the end of `out`.
pub(crate) fn write_event(clicked: &Clicked<'_>, told: &Told<'_>, out: &mut Vec<u8>) {
    let Clicked { facts, link, decision, source } = *clicked;
    let visit = &facts.visit;
    let user_agent = visit.user_agent.unwrap_or_default();
    let referrer = referrer_without_query(visit.referrer.unwrap_or_default());
    let pairs = decision.location.as_deref().map_or(Cow::Borrowed(""), utm_pairs);
    let [utm_source, utm_medium, utm_campaign, utm_term, utm_content] = utm_values(&pairs);
    let classified = classify(visit);
    let (device, os) = device::device_and_os(user_agent);
    let country = visit.country.and_then(country_letters);
    let mut rule_name_room = RuleNameRoom::default();
    let event = Event {
        event_id: told.event_id,
        edge_id: told.edge_id,
        link_id: link.link_id().unwrap_or_default(),
        account_id: link.account_id().unwrap_or_default(),
        domain: facts.domain,
        slug: facts.slug,
        clicked_at: visit.now,
        ip_address: told.address,
        visitor: told.visitor.map(|visitor| format!("{visitor:016x}")),
        user_agent: cut(user_agent, USER_AGENT_BYTES_MAX),
        referrer: cut(referrer, REFERRER_BYTES_MAX),
        country_code: country.as_ref().and_then(|letters| str::from_utf8(letters).ok()).unwrap_or_default(),
        device_type: device.name(),
        os: os.name(),
        class: classified.class.name(),
        class_reason: classified.reason,
        // Every other channel is read where the click is counted.
        channel: if visit.query.is_some_and(is_scan) { "qr" } else { "" },
        language: visit.accept_language.map_or(Cow::Borrowed(""), language::primary),
        source: source.name(),
        rule_id: Some(rule_name(decision, &mut rule_name_room)).filter(|name| !name.is_empty()),
        ab_test_id: decision.ab_test_id.as_ref().map(CompactId::to_text),
        ab_variant_id: decision.variant_id.as_ref().map(CompactId::to_text),
        utm_source,
        utm_medium,
        utm_campaign,
        utm_term,
        utm_content,
        status: decision.status,
    };
    serde_json::to_writer(out, &event).expect("a click has nothing that JSON cannot hold");
}
