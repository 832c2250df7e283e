//! Events of other edges: validated, and converted to the facts that are counted.
//!
//! What an edge is responsible for (ids, the time) is refused with a reason if it is wrong. What a visitor sent never
//! is: it becomes not known, or is read from the user agent.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;

use waypost_core::channel::Channel;
use waypost_core::class::{CLASSIFIER_VERSION, Class, Classified, classify};
use waypost_core::click::{
    ACCEPT_LANGUAGE_BYTES_MAX, ClickEvent, KEY_BYTES_MAX, REFERRER_BYTES_MAX, USER_AGENT_BYTES_MAX,
    UTM_VALUE_BYTES_MAX, WORD_BYTES_MAX, country_letters, cut, event_id, read_event_id, referrer_without_query,
};
use waypost_core::device::{self, Device, Os};
use waypost_core::id::{AccountId, LinkId};
use waypost_core::visitor::{Salt, day_of, foreign_key};
use waypost_core::{Hostname, Source, Timestamp, Visit, channel, language};
use waypost_rollup::ClickFacts;

use crate::browser;
use crate::enrich::referrer_host;

/// The first instant after the years that a click can have been in.
const CLICKED_BEFORE: Timestamp = Timestamp::from_micros(253_402_300_800_000_000);

/// An event that can be counted.
#[derive(Debug)]
pub struct CheckedEvent {
    event_id: [u8; 16],
    clicked_at: Timestamp,
    /// With texts within their limits.
    event: ClickEvent,
    class: Class,
    reason: String,
    country: Option<[u8; 2]>,
    device: Device,
    os: Os,
    browser: String,
    language: String,
    source: Source,
    visitor: Option<u64>,
    address: Option<IpAddr>,
}

/// Checks an event.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_event(mut event: ClickEvent) -> Result<CheckedEvent, String> {
    let clicked_at = event.clicked_at.ok_or("clicked_at is missing")?;
    if clicked_at.as_micros() < 0 || clicked_at >= CLICKED_BEFORE {
        return Err("clicked_at is not between the years 1970 and 9999".to_owned());
    }
    LinkId::from_str(&event.link_id).map_err(|error| format!("link_id: {error}"))?;
    AccountId::from_str(&event.account_id).map_err(|error| format!("account_id: {error}"))?;
    if event.edge_id.len() > WORD_BYTES_MAX || event.edge_id.contains(char::is_control) {
        return Err(format!("edge_id has more than {WORD_BYTES_MAX} bytes, or control characters"));
    }
    if event.slug.len() > KEY_BYTES_MAX || event.slug.contains('\0') {
        return Err(format!("slug has more than {KEY_BYTES_MAX} bytes, or a NUL"));
    }
    if !event.domain.is_empty() {
        let host = Hostname::parse(&event.domain).map_err(|_| "domain is no host name")?;
        event.domain = host.as_str().to_owned();
    }
    let event_id = id_of(&event, clicked_at)?;
    keep_within_limits(&mut event);
    Ok(read(event_id, clicked_at, event))
}

/// The event's id: its own, or where it has none, the one that its edge and number give it.
fn id_of(event: &ClickEvent, clicked_at: Timestamp) -> Result<[u8; 16], String> {
    if !event.event_id.is_empty() {
        return read_event_id(&event.event_id).ok_or_else(|| "event_id is no UUIDv7".to_owned());
    }
    match event.sequence {
        Some(sequence) if sequence > 0 && !event.edge_id.is_empty() => {
            Ok(event_id(&event.edge_id, event.epoch.unwrap_or(0), sequence, clicked_at))
        }
        Some(_) | None => Err("event_id is missing, and there are no edge_id and sequence in its place".to_owned()),
    }
}

fn keep_within_limits(event: &mut ClickEvent) {
    event.referrer.truncate(referrer_without_query(&event.referrer).len());
    for (text, bytes_max) in [
        (&mut event.user_agent, USER_AGENT_BYTES_MAX),
        (&mut event.referrer, REFERRER_BYTES_MAX),
        (&mut event.browser, WORD_BYTES_MAX),
        (&mut event.class_reason, WORD_BYTES_MAX),
        (&mut event.language, ACCEPT_LANGUAGE_BYTES_MAX),
    ] {
        keep_within(text, bytes_max);
    }
    for (text, bytes_max) in [
        (&mut event.rule_id, WORD_BYTES_MAX),
        (&mut event.ab_test_id, WORD_BYTES_MAX),
        (&mut event.ab_variant_id, WORD_BYTES_MAX),
        (&mut event.utm_source, UTM_VALUE_BYTES_MAX),
        (&mut event.utm_medium, UTM_VALUE_BYTES_MAX),
        (&mut event.utm_campaign, UTM_VALUE_BYTES_MAX),
        (&mut event.utm_term, UTM_VALUE_BYTES_MAX),
        (&mut event.utm_content, UTM_VALUE_BYTES_MAX),
    ] {
        if let Some(text) = text {
            keep_within(text, bytes_max);
        }
    }
}

fn keep_within(text: &mut String, bytes_max: usize) {
    // Not every database can store NUL.
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
    text.truncate(cut(text, bytes_max).len());
}

/// Reads what the event says, and what it does not say from the user agent.
fn read(event_id: [u8; 16], clicked_at: Timestamp, event: ClickEvent) -> CheckedEvent {
    let user_agent = &*event.user_agent;
    let visit = Visit { user_agent: Some(user_agent), ..Visit::at(clicked_at) };
    let (class, reason) = match Class::from_name(&event.class) {
        Some(class) => (class, event.class_reason.clone()),
        None => {
            let Classified { class, reason } = classify(&visit);
            (class, reason.to_owned())
        }
    };
    let named = |names: &[(&str, Device)]| names.iter().find(|(name, _)| *name == event.device_type).map(|(_, d)| *d);
    let device = named(&Device::NAMES).unwrap_or_else(|| device::device(user_agent));
    let named = |names: &[(&str, Os)]| names.iter().find(|(name, _)| *name == event.os).map(|(_, os)| *os);
    let os = named(&Os::NAMES).unwrap_or_else(|| device::os(user_agent));
    let browser = match &*event.browser {
        "" => browser::family(user_agent).map(Cow::into_owned).unwrap_or_default(),
        named => named.to_owned(),
    };
    let is_key = |text: &&String| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    CheckedEvent {
        event_id,
        clicked_at,
        class,
        reason,
        country: country_letters(&event.country_code),
        device,
        os,
        browser,
        language: language::primary(&event.language).into_owned(),
        source: Source::from_name(&event.source).unwrap_or(Source::Default),
        visitor: event.visitor.as_ref().filter(is_key).and_then(|text| u64::from_str_radix(text, 16).ok()),
        address: event.ip_address.as_deref().and_then(|text| text.parse().ok()),
        event,
    }
}

impl CheckedEvent {
    /// What it says of itself, with texts within their limits.
    pub const fn said(&self) -> &ClickEvent {
        &self.event
    }

    /// Says that it was on the default domain, which goes without a host.
    pub fn set_default_domain(&mut self) {
        self.event.domain.clear();
    }

    /// Makes the sender's visitor key one that is counted by. Done once what is said of the domain is as it is counted.
    pub fn hash_visitor(&mut self, salt: &Salt) {
        let day = day_of(self.clicked_at.as_micros());
        self.visitor = self.visitor.map(|key| foreign_key(salt, (day, &self.event.domain), key));
    }

    /// The facts. `referrer_host` is [`Self::referrer_host`], `default_host` is the host of the default domain.
    pub(super) fn facts<'a>(&'a self, referrer_host: &'a str, default_host: &str) -> ClickFacts<'a> {
        let event = &self.event;
        let own_host = if event.domain.is_empty() { default_host } else { &event.domain };
        let utm = [&event.utm_source, &event.utm_medium, &event.utm_campaign, &event.utm_term, &event.utm_content]
            .map(|value| value.as_deref().unwrap_or_default());
        ClickFacts {
            event_id: self.event_id,
            edge_id: &event.edge_id,
            epoch: event.epoch.unwrap_or(0),
            sequence: event.sequence.unwrap_or(0),
            clicked_at: self.clicked_at,
            link_id: &event.link_id,
            account_id: &event.account_id,
            domain: &event.domain,
            slug: &event.slug,
            status: event.status,
            class: self.class,
            class_reason: &self.reason,
            classifier: CLASSIFIER_VERSION,
            country: self.country,
            device: self.device,
            os: self.os,
            browser: &self.browser,
            channel: Channel::from_name(&event.channel)
                .unwrap_or_else(|| channel::channel(referrer_host, utm[1], own_host)),
            referrer_host,
            referrer: &event.referrer,
            user_agent: &event.user_agent,
            language: &self.language,
            source: self.source,
            rule_id: event.rule_id.as_deref().unwrap_or_default(),
            ab_test_id: event.ab_test_id.as_deref().unwrap_or_default(),
            variant_id: event.ab_variant_id.as_deref().unwrap_or_default(),
            utm,
            visitor: self.visitor,
            address: self.address,
        }
    }

    /// The host of the referrer, in lower case.
    pub(super) fn referrer_host(&self) -> Cow<'_, str> {
        referrer_host(&self.event.referrer)
    }
}
