//! Converts the facts of a click to the event that exports and the live feed write.

use waypost_core::click::{ClickEvent, event_id_text};

use crate::ClickFacts;

impl ClickFacts<'_> {
    /// The event of this click.
    pub fn to_event(&self) -> ClickEvent {
        let present = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let is_numbered = self.sequence > 0;
        let [utm_source, utm_medium, utm_campaign, utm_term, utm_content] = self.utm.map(present);
        ClickEvent {
            event_id: event_id_text(self.event_id),
            edge_id: self.edge_id.to_owned(),
            epoch: is_numbered.then_some(self.epoch),
            sequence: is_numbered.then_some(self.sequence),
            link_id: self.link_id.to_owned(),
            account_id: self.account_id.to_owned(),
            domain: self.domain.to_owned(),
            slug: self.slug.to_owned(),
            clicked_at: Some(self.clicked_at),
            ip_address: self.address.map(|address| address.to_string()),
            visitor: self.visitor.map(|visitor| format!("{visitor:016x}")),
            user_agent: self.user_agent.to_owned(),
            referrer: self.referrer.to_owned(),
            country_code: self
                .country
                .map(|[a, b]| String::from_iter([char::from(a), char::from(b)]))
                .unwrap_or_default(),
            device_type: self.device.name().to_owned(),
            os: self.os.name().to_owned(),
            browser: self.browser.to_owned(),
            class: self.class.name().to_owned(),
            class_reason: self.class_reason.to_owned(),
            channel: self.channel.name().to_owned(),
            language: self.language.to_owned(),
            source: self.source.name().to_owned(),
            rule_id: present(self.rule_id),
            ab_test_id: present(self.ab_test_id),
            ab_variant_id: present(self.variant_id),
            utm_source,
            utm_medium,
            utm_campaign,
            utm_term,
            utm_content,
            status: self.status,
        }
    }
}
