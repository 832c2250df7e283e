//! What background jobs of the control plane share: how they are started and looked after ([`Jobs`]), woken and stopped
//! ([`Switch`]), how long they back off after a failure ([`BackOff`]), what time it is ([`now`]), and how an error is written to
//! the log with its causes ([`Chain`]).
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
