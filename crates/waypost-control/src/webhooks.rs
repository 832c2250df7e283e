//! What is sent here signed: clicks of edges elsewhere, and the passwords that visitors of theirs have typed.
//!
//! That a signature holds was found out before anything comes here. What is done with a click is `waypost-ingest`'s work, with a
//! password [`crate::unlocking::unlock`]'s.

mod counts;
mod delivery;
mod events;
mod refused;
mod unlock;

pub use counts::{Endpoint, WebhookCounts};
