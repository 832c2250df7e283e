//! The store's suite: every case runs on SQLite and on PostgreSQL, through the public operations only.
#![allow(clippy::unwrap_used)]

mod accounts;
mod bulk;
mod concurrency;
mod crash;
mod edges;
mod faults;
mod files;
mod links;
mod list;
mod open;
mod sync;
mod testbed;
mod versions;
