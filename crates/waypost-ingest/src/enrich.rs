//! Enriches a click: computes the facts that are counted from what the edge recorded.
//!
//! Nothing here refuses a click. A fact that cannot be read is counted as not known.

use std::borrow::Cow;
use std::sync::Arc;

use waypost_core::channel::Channel;
use waypost_core::class::{CLASSIFIER_VERSION, Class, Classified, classify};
use waypost_core::click::{Click, event_id, utm_values};
use waypost_core::visit::Method;
use waypost_core::{Visit, channel, language, referrer};
use waypost_rollup::ClickFacts;

use crate::user_agents::UserAgents;

/// The most bytes of a host name.
const HOST_BYTES_MAX: usize = 253;

/// Which click of which edge.
#[derive(Clone, Copy, Debug)]
pub struct ClickOrigin<'a> {
    /// The edge that answered.
    pub edge_id: &'a str,
    /// Which run of a writer on that edge.
    pub epoch: u64,
    /// The click's number in that run.
    pub sequence: u64,
}

/// Makes facts of clicks. Remembers what user agents say: use one for many clicks.
#[derive(Debug)]
pub struct ClickEnricher {
    user_agents: UserAgents,
    default_host: Arc<str>,
}

impl ClickEnricher {
    /// `default_host` is the host of the default domain, in lower case.
    pub fn new(default_host: &str) -> Self {
        Self { user_agents: UserAgents::new(), default_host: default_host.into() }
    }

    /// Says what the host of the default domain is, in lower case.
    pub fn set_default_host(&mut self, default_host: &Arc<str>) {
        self.default_host = Arc::clone(default_host);
    }

    /// Hands the facts of a click to `then`.
    pub fn enrich<R>(
        &mut self,
        origin: ClickOrigin<'_>,
        click: &Click<'_>,
        then: impl FnOnce(&ClickFacts<'_>) -> R,
    ) -> R {
        let agent = self.user_agents.facts(&click.user_agent);
        let Classified { class, reason: class_reason } =
            said_of_itself(click).unwrap_or(Classified { class: agent.class, reason: agent.reason });
        let utm = utm_values(&click.utm);
        let referrer_host = referrer_host(&click.referrer);
        let own_host = if click.domain.is_empty() { &self.default_host } else { &*click.domain };
        let language = language::primary(&click.accept_language);
        then(&ClickFacts {
            event_id: event_id(origin.edge_id, origin.epoch, origin.sequence, click.clicked_at),
            edge_id: origin.edge_id,
            epoch: origin.epoch,
            sequence: origin.sequence,
            clicked_at: click.clicked_at,
            link_id: &click.link_id,
            account_id: &click.account_id,
            domain: &click.domain,
            slug: &click.slug,
            status: click.status,
            class,
            class_reason,
            classifier: CLASSIFIER_VERSION,
            country: click.country,
            device: agent.device,
            os: agent.os,
            browser: self.user_agents.family(agent),
            channel: match click.is_scan {
                true => Channel::Qr,
                false => channel::channel(&referrer_host, &utm[1], own_host),
            },
            referrer_host: &referrer_host,
            referrer: &click.referrer,
            user_agent: &click.user_agent,
            language: &language,
            source: click.source,
            rule_id: &click.rule_id,
            ab_test_id: &click.ab_test_id,
            variant_id: &click.variant_id,
            utm: utm.each_ref().map(|value| &**value),
            visitor: click.visitor,
            address: click.address,
        })
    }

    /// User agents that no browser was read from, because too many new ones came at once.
    pub fn unparsed_user_agents(&self) -> u64 {
        self.user_agents.unparsed()
    }
}

/// The class that the request names itself, by its method or a purpose header; `None` where that is left to the user
/// agent.
fn said_of_itself(click: &Click<'_>) -> Option<Classified> {
    let method = if click.is_head { Method::Head } else { Method::Get };
    let purpose = (!click.purpose.is_empty()).then_some(&*click.purpose);
    let said = classify(&Visit { method, purpose, user_agent: None, ..Visit::at(click.clicked_at) });
    (said.class != Class::Human).then_some(said)
}

/// The host of a referrer in lower case; empty where there is none that could be one.
pub(super) fn referrer_host(referrer: &str) -> Cow<'_, str> {
    let is_host = |host: &&str| host.len() <= HOST_BYTES_MAX && !host.contains(|c: char| c.is_control() || c == ' ');
    let host = referrer::host(referrer).filter(is_host).unwrap_or("");
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}
