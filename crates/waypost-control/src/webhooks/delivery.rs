//! A delivery of clicks: read, compared with the links here, counted, and answered event by event.
//!
//! All of it is one transaction of the clicks database. If that fails nothing was counted, and the sender tries again;
//! a repeated event changes nothing.

use std::collections::HashMap;

use waypost_api::webhook::{DeliveryResult, EventResult};
use waypost_clicks::EventOutcome;
use waypost_core::id::LinkId;
use waypost_ingest::CheckedEvent;
use waypost_store::LinkOwner;

use super::counts::{Endpoint, EventFate, WebhookCounts};
use super::events::{Arrived, Refusal, read_events};
use crate::app::App;
use crate::problem::Problem;

impl App {
    /// Keeps what became of a signed request.
    pub fn note_delivery(&self, endpoint: Endpoint, problem: Option<&Problem>) {
        self.webhooks.delivery(endpoint, problem);
    }

    /// What became of deliveries since the start.
    pub const fn webhook_counts(&self) -> &WebhookCounts {
        &self.webhooks
    }

    /// Takes the body of a signed delivery of clicks.
    ///
    /// # Errors
    /// Where nothing of it can be read, or the database fails: then nothing was counted.
    pub async fn take_clicks(&self, body: Vec<u8>) -> Result<DeliveryResult, Problem> {
        let now = waypost_jobs::now();
        // User agents are read, too: not on a thread that others wait for.
        let arrived = tokio::task::spawn_blocking(move || read_events(&body, now)).await;
        let mut arrived = arrived.map_err(|error| Problem::internal("reading a delivery", &error))??;
        self.refuse_foreign_edges(&mut arrived).await?;
        self.refuse_unknown_links(&mut arrived).await?;
        self.hash_visitors(&mut arrived);
        let events: Vec<&CheckedEvent> = arrived.iter().filter_map(|event| event.checked.as_ref().ok()).collect();
        let refused: Vec<_> = arrived.iter().filter_map(Arrived::refused).collect();
        let outcomes = self.clicks.count_delivery(&events, &refused).await?;
        Ok(self.delivery_result(arrived, outcomes))
    }

    /// Senders' visitor keys are hashed again, under a salt that follows from the newest secret: every process on the
    /// database has the same.
    fn hash_visitors(&self, arrived: &mut [Arrived]) {
        let derived = self.settings.webhook_keys.derive(b"waypost visitor keys on arrival 1\0", b"");
        let salt = derived.and_then(|derived| derived.first_chunk::<16>().copied()).unwrap_or_default();
        arrived.iter_mut().filter_map(|event| event.checked.as_mut().ok()).for_each(|event| event.hash_visitor(&salt));
    }

    /// Refuses events in the name of edges whose clicks are counted from a spool.
    async fn refuse_foreign_edges(&self, arrived: &mut [Arrived]) -> Result<(), Problem> {
        let mut edge_ids: Vec<&str> =
            arrived.iter().filter_map(|event| Some(event.checked.as_ref().ok()?.said().edge_id.as_str())).collect();
        edge_ids.sort_unstable();
        edge_ids.dedup();
        if edge_ids.is_empty() {
            return Ok(());
        }
        let spools = self.click_store().spools_among(&edge_ids).await?;
        for event in arrived {
            if matches!(&event.checked, Ok(checked) if spools.contains(&checked.said().edge_id)) {
                let reason = "the clicks of this edge are counted from its own log";
                event.checked = Err(Refusal::new(EventFate::ForeignEdge, reason));
            }
        }
        Ok(())
    }

    /// Refuses events whose link is not here, or not that account's and on that domain. Deleted links are still here.
    async fn refuse_unknown_links(&self, arrived: &mut [Arrived]) -> Result<(), Problem> {
        let mut link_ids: Vec<LinkId> =
            arrived.iter().filter_map(|event| event.checked.as_ref().ok()?.said().link_id.parse().ok()).collect();
        link_ids.sort_unstable();
        link_ids.dedup();
        if link_ids.is_empty() {
            return Ok(());
        }
        let owners = self.store.read("link_owners").await?.link_owners(&link_ids).await?;
        let owners: HashMap<&str, &LinkOwner> = owners.iter().map(|owner| (owner.link_id.as_str(), owner)).collect();
        for event in arrived {
            let Ok(checked) = &mut event.checked else { continue };
            let owner = owners.get(checked.said().link_id.as_str());
            if !owner.is_some_and(|owner| self.is_of(checked, owner)) {
                event.checked = Err(Refusal::new(EventFate::UnknownLink, "link unknown here"));
            }
        }
        Ok(())
    }

    /// Whether a click can be one of this link; where it is on the default domain, it is said so in the one way that
    /// counts.
    fn is_of(&self, click: &mut CheckedEvent, owner: &LinkOwner) -> bool {
        let said = click.said();
        if said.account_id != owner.account_id.as_str() {
            return false;
        }
        let is_its_host = said.domain == owner.host;
        if owner.domain_id != self.setup.default_domain.domain_id {
            return is_its_host;
        }
        let is_default = said.domain.is_empty() || is_its_host;
        if is_default {
            click.set_default_domain();
        }
        is_default
    }

    fn delivery_result(&self, arrived: Vec<Arrived>, outcomes: Vec<EventOutcome>) -> DeliveryResult {
        let mut outcomes = outcomes.into_iter();
        let mut answer = DeliveryResult::default();
        for event in arrived {
            let (fate, error) = match event.checked {
                Ok(_) => match outcomes.next() {
                    Some(EventOutcome::Counted) => (EventFate::Counted, None),
                    Some(EventOutcome::Duplicate) => (EventFate::Duplicate, None),
                    Some(EventOutcome::Rejected) | None => {
                        (EventFate::Invalid, Some("it cannot be counted".to_owned()))
                    }
                },
                Err(refusal) => (refusal.fate, Some(refusal.reason)),
            };
            self.webhooks.event(fate);
            let (result, count) = match fate {
                EventFate::Counted => ("counted", &mut answer.counted),
                EventFate::Duplicate => ("duplicate", &mut answer.duplicates),
                EventFate::Malformed | EventFate::Invalid | EventFate::UnknownLink | EventFate::ForeignEdge => {
                    ("refused", &mut answer.refused)
                }
            };
            *count += 1;
            answer.results.push(EventResult { event_id: event.event_id, result: result.to_owned(), error });
        }
        answer
    }
}
