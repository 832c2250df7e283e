//! What background jobs of the control plane share: starting and watching them ([`Jobs`]), waking and stopping them
//! ([`Switch`]), backing off after a failure ([`BackOff`]), the time ([`now`]), and errors in the log with their causes
//! ([`Chain`]).
//!
//! What it does not do: it knows no job, no database and no HTTP.

mod back_off;
mod chain;
mod clock;
mod jobs;
mod switch;

pub use back_off::BackOff;
pub use chain::Chain;
pub use clock::now;
pub use jobs::{Job, Jobs};
pub use switch::{Switch, Waited};
