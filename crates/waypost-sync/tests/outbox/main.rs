//! Links on their way to Workers KV, against a stand-in that does what Cloudflare documents, and fails as the worst
//! days have shown.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod crashes;
mod faults;
mod following;
mod sharing;
mod testbed;
