//! The way of a click from the spool to the clicks database.
//!
//! A click is in the spool before its redirect is answered. One job reads it, enriches it ([`ClickEnricher`]) and has
//! it counted together with its number; only then does the spool release it. Another job deletes raw clicks after their
//! retention, a third builds months for reports. Events of other edges are validated and counted here, too
//! ([`Clicks::ingest_events`]).
//!
//! What it does not do: it handles no request and verifies no signature (`waypost-http` does), and contains no SQL.
//! `waypost-store` counts and stores clicks; the core knows what a user agent or referrer says.

mod browser;
mod enrich;
mod events;
mod fill;
mod ingest;
mod months;
mod retention;
mod settings;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod user_agents;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ingest::Ingest;
use source::SpoolSource;
use tokio::sync::broadcast;
use waypost_clicks::{ClickStore, ClicksError, EventOutcome, RefusedEvent};
use waypost_core::Hostname;
use waypost_core::click::ClickEvent;
use waypost_jobs::{Job, Jobs};
use waypost_rollup::ClickFacts;
use waypost_spool::Spool;

pub use enrich::{ClickEnricher, ClickOrigin};
pub use events::{CheckedEvent, check_event};
pub use settings::ClickSettings;
pub use status::IngestStatus;

/// How long [`Clicks::stop`] waits for the jobs.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// The clicks of this instance: the jobs that count and delete them, and the database they are counted in. Shared by
/// `Arc`.
#[derive(Debug)]
pub struct Clicks {
    store: ClickStore,
    ingest: Arc<Ingest>,
    has_spool: bool,
    jobs: Jobs,
}

/// What became of an event from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventResult {
    /// It was counted.
    Counted,
    /// It had been counted before.
    Duplicate,
    /// It cannot be counted; says why.
    Rejected(String),
}

impl Clicks {
    /// Begins to count what is in the spool and what comes, and to delete clicks that have had their days. A database
    /// that is down does not keep it from starting. Must be called within a Tokio runtime.
    pub fn start(store: ClickStore, spool: Option<Spool>, settings: ClickSettings) -> Arc<Self> {
        let retention_days = settings.retention_days;
        let ingest = Arc::new(Ingest::new(settings));
        let jobs = Jobs::default();
        jobs.start("the job that deletes old clicks", {
            let (store, ingest) = (store.clone(), Arc::clone(&ingest));
            async move { retention::run(store, retention_days, &ingest).await }
        });
        jobs.start("the job that sums up months", {
            let (store, ingest) = (store.clone(), Arc::clone(&ingest));
            async move { months::run(store, &ingest).await }
        });
        let source = spool.map(SpoolSource::new);
        let has_spool = source.is_some();
        match source {
            Some(Some(source)) => {
                let filler = ingest.filler(Box::new(source));
                let (store, ingest) = (store.clone(), Arc::clone(&ingest));
                jobs.start("the job that counts clicks", async move { ingest.run(store, filler).await });
            }
            Some(None) => ingest.refuse("the click spool is being read by somebody else"),
            None => {}
        }
        Arc::new(Self { store, ingest, has_spool, jobs })
    }

    /// Says what the host of the default domain is: visitors that come from its pages come from nowhere else.
    pub fn set_default_host(&self, host: &Hostname) {
        self.ingest.set_default_host(host.as_str());
    }

    /// What of it has ended although it must not before [`Clicks::stop`].
    pub fn ended_job(&self) -> Option<&'static str> {
        self.jobs.ended()
    }

    /// Counts what is there, as far as that works within a few seconds, and ends the jobs. What is left waits in the
    /// spool.
    pub async fn stop(&self) {
        self.ingest.stop();
        let deadline = tokio::time::Instant::now() + STOP_WAIT;
        for Job { name, mut task } in self.jobs.take() {
            match tokio::time::timeout_at(deadline, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "{name} ended unexpectedly"),
                Err(_) => {
                    tracing::warn!(
                        "a transaction on the clicks takes long: what it does not commit waits in the spool"
                    );
                    task.abort();
                }
            }
        }
    }

    /// Waits until everything that was in the spool at the time of the call is counted. `false` where it is not within
    /// this time.
    pub async fn wait_until_drained(&self, wait: Duration) -> bool {
        !self.has_spool || self.ingest.wait_until_drained(wait).await
    }

    /// Counts events that come from elsewhere, each once however often it comes; one result for each, in their order.
    ///
    /// # Errors
    /// Where the database fails; none was counted then.
    pub async fn ingest_events(&self, events: Vec<ClickEvent>) -> Result<Vec<EventResult>, ClicksError> {
        let check = move || events.into_iter().map(check_event).collect::<Vec<_>>();
        // User agents are read: not on a thread that others wait for.
        let checked = tokio::task::spawn_blocking(check).await.expect("checking events does not panic");
        let countable: Vec<&CheckedEvent> = checked.iter().flatten().collect();
        let mut outcomes = self.count_delivery(&countable, &[]).await?.into_iter();
        let result = |checked: &Result<_, String>| match checked {
            Ok(_) => match outcomes.next() {
                Some(EventOutcome::Counted) => EventResult::Counted,
                Some(EventOutcome::Duplicate) => EventResult::Duplicate,
                Some(EventOutcome::Rejected) | None => EventResult::Rejected("it cannot be counted".to_owned()),
            },
            Err(reason) => EventResult::Rejected(reason.clone()),
        };
        Ok(checked.iter().map(result).collect())
    }

    /// Counts checked events and keeps those that came with them and cannot be counted; one outcome for each of the
    /// first.
    pub async fn count_delivery(
        &self,
        events: &[&CheckedEvent],
        refused: &[RefusedEvent],
    ) -> Result<Vec<EventOutcome>, ClicksError> {
        if events.is_empty() && refused.is_empty() {
            return Ok(Vec::new());
        }
        let default_host = self.ingest.default_host();
        let hosts: Vec<Cow<'_, str>> = events.iter().map(|event| event.referrer_host()).collect();
        let facts: Vec<ClickFacts<'_>> =
            events.iter().zip(&hosts).map(|(event, host)| event.facts(host, &default_host)).collect();
        self.store.ingest_delivery(&facts, refused).await
    }

    /// The clicks database.
    pub fn store(&self) -> &ClickStore {
        &self.store
    }

    /// Clicks as they are counted. Whoever is too slow, or listens while much is counted at once, misses some: of one
    /// transaction the first thousand are shown.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<ClickEvent>>> {
        self.ingest.subscribe()
    }

    /// How the ingest is doing.
    pub fn status(&self) -> IngestStatus {
        self.ingest.status()
    }
}
