//! The pure core of Waypost: what a link is, and where a visit to it goes.
//!
//! Everything here is a function of its arguments. Time, randomness and the facts of a request come in as values;
//! there is no clock, no file, no network, no environment and no logging, so the same code runs in the native edge,
//! in a Cloudflare Worker, behind the API's preview and in the command line, and gives the same answer in all four.

pub mod destination;
pub mod domain;
pub mod id;
pub mod json;
pub mod record;
pub mod slug;
pub mod time;

pub use destination::{Destination, SchemePolicy};
pub use domain::{DomainSettings, Hostname};
pub use record::LinkRecord;
pub use slug::Slug;
pub use time::Timestamp;
