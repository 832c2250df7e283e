//! The redirect server: an HTTP/1.1 request in, a redirect out.
//!
//! One single-threaded runtime per core, each with its own listener on the shared address; a redirect touches the link
//! table and `waypost-core`, and nothing else: no SQL, no lock shared with writers, no other thread. Everything on the
//! same listener that is not a redirect (API, pages, previews, unlock forms) is handed to the [`ControlHandler`], which
//! the binary runs on a runtime of its own.
//!
//! What it refuses to do: decide where a link goes (`waypost_core::decide` does), write the table, speak TLS or HTTP/2,
//! or believe a forwarded header from a peer that is not a configured proxy.

mod accept;
mod activity;
mod admission;
mod answer;
mod clicks;
pub mod client;
mod clock;
mod config;
mod connection;
mod country;
mod crowd;
mod date;
mod error;
mod field_name;
mod fields;
mod framing;
mod head;
mod host;
mod input;
mod listen;
mod misses;
mod notices;
mod peer_body;
mod plain;
mod plain_answer;
mod redirect;
mod server;
mod service;
mod shared;
mod strict;
mod target;
mod thread;
mod visitor;
mod wire;

pub use answer::{ANSWER_HEADERS, BoxError, ControlBody, ControlFuture, ControlHandler};
pub use clicks::{ClickRecording, SaltOfDay};
pub use client::ClientFacts;
pub use config::{EdgeConfig, Limits, MissRate};
pub use country::{CountryDatabase, CountryError, Place, Reloaded};
pub use error::EdgeError;
pub use host::HostPolicy;
pub use peer_body::PeerBody;
pub use server::{DrainReport, Edge, start};
pub use strict::StrictStream;
pub use waypost_core::grant;
