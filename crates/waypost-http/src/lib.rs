//! The control plane over HTTP: the REST API, the pages for visitors, signed deliveries, the live feed, health and
//! metrics.
//!
//! [`router`] is everything that the redirect server does not answer itself. A handler reads a request into a type of
//! `waypost-api`, calls a use case of `waypost-control`, and writes the result; nothing else happens here.
//!
//! What it does not do: it decides no permission, knows no database, and listens on no address (the binary does).

mod accept;
mod answer;
mod asked_host;
mod assets;
mod caller;
mod click_export;
mod compression;
mod cors;
mod cross_site;
mod csv;
mod idempotency;
mod live_feed;
mod metrics;
mod pages;
mod permission;
mod report_csv;
mod request;
mod request_memory;
mod routes;
mod settings;
mod signed;
mod state;

pub use caller::{ACCOUNT_HEADER, ClientAddress, Principal};
pub use request_memory::OnLargeRequest;
pub use routes::router;
pub use settings::HttpSettings;
