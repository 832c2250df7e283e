//! What is sent here signed: clicks of edges elsewhere, and the passwords that visitors of theirs have typed.
//!
//! Nobody is believed for where a request comes from; a signature over the body's very bytes is all that counts, and nothing
//! of a body is parsed before it holds. What is done with a click is `waypost-ingest`' work, with a password
//! [`crate::unlock`]'s.

mod authentic;
mod counts;
mod delivery;
mod events;
mod refused;
mod unlock;

use std::time::Duration;

use waypost_core::webhook::WebhookKeys;

pub(crate) use counts::{DeliveryLabels, ResultLabel, WebhookCounts};
pub(crate) use refused::AskedRefused;

/// What webhooks are checked with.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The keys that senders may sign with; without any nothing is taken.
    pub keys: WebhookKeys,
    /// How long a body may take to come.
    pub body_wait: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self { keys: WebhookKeys::default(), body_wait: Duration::from_secs(15) }
    }
}
