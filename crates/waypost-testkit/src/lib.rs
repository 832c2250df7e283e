//! What integration tests of several crates need: a private PostgreSQL cluster and a database of one's own, a port of
//! one's own, a running `waypost` server, an HTTP/1.1 client that sends exactly the bytes it is given, a stand-in for
//! Workers KV, made-up clicks, numbers from a seed, disks and connections that fail, and waiting on a condition.
//!
//! Development only: no crate of the product depends on it except under `[dev-dependencies]` (and `xtask`). Everything
//! is blocking and speaks to loopback addresses only. It knows nothing of link records or rules; tests that need
//! them build them with `waypost-core`.

pub mod clicks;
pub mod faults;
pub mod http;
pub mod kv_api;
pub mod port;
pub mod postgres;
pub mod random;
pub mod server;
mod wait;

pub use wait::wait_until;
