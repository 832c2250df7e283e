//! Signed deliveries: clicks of other edges, and the passwords that their visitors have typed.
//!
//! `waypost-http` verifies the signature before it calls anything here. `waypost-ingest` counts the clicks,
//! [`crate::unlocking::unlock`] checks the passwords.

mod counts;
mod delivery;
mod events;
mod refused;
mod unlock;

pub use counts::{Endpoint, WebhookCounts};
