//! Use cases of clicks: reports, raw clicks, the live feed, erasure, and the audit.

mod audit;
mod erasure;
pub(crate) mod export;
pub(crate) mod feeds;
mod follow;
mod reports;
