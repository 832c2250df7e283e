//! Signed deliveries through the router, over a real store and clicks database.

#![allow(clippy::unwrap_used)]

mod counting;
#[path = "../api/harness.rs"]
#[allow(dead_code, unused_macros, unused_imports)]
mod harness;
mod hostile;
mod passwords;
mod refused;
mod sender;
