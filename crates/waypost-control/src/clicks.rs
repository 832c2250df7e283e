//! What callers do with clicks: reports, single clicks, following them, forgetting them, and the audit.

mod audit;
mod erasure;
pub(crate) mod export;
pub(crate) mod feeds;
mod follow;
mod reports;
