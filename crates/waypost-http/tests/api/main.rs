//! The control plane through its own router, over a real store and a real link table in a temporary folder.

#![allow(clippy::unwrap_used)]

mod anonymous;
mod as_written;
mod audit;
mod browsers;
mod bulk_existing;
mod commits;
mod harness;
mod idempotency;
mod kv_bench;
mod links;
mod long_answers;
mod made_clicks;
mod openapi;
mod pages;
mod permissions;
mod problems;
mod qr;
mod reports;
mod rules;
mod sync;
mod sync_kv;
mod sync_states;
mod tenants;
mod unlock_limits;
mod verify;
mod whole;
