//! The pure core of Waypost: what a link is, and where a visit to it leads.
//!
//! Everything here is a function of its arguments. Time, randomness and the facts of a request are arguments. The crate
//! reads no clock, file, network or environment, and logs nothing. So the same code runs in the native edge, in a
//! Cloudflare Worker, behind the API's preview and in the command line, and gives the same answer in all four.
//!
//! The path of a link through this crate:
//! [`record::LinkRecord`] (the JSON an edge is given) is compiled by [`compact::compile`] into one ordered plan in
//! bytes, read without copying by [`compact::CompactLink`]; [`decide::decide`] walks that plan for a [`visit::Visit`].

pub mod access;
pub mod browser;
pub mod channel;
pub mod class;
pub mod click;
mod coded;
pub mod compact;
pub mod decide;
pub mod destination;
pub mod device;
pub mod domain;
pub mod grant;
pub mod id;
pub mod json;
pub mod language;
pub mod lenient;
pub mod look_alike;
pub mod network;
pub mod opening_hours;
pub mod page;
mod quality;
pub mod query;
pub mod quoted;
pub mod record;
pub mod referrer;
pub mod slug;
pub mod split;
pub mod sync;
pub mod time;
mod token;
pub mod trace;
pub mod visit;
pub mod visitor;
pub mod webhook;
pub mod wire;
pub mod written_time;
pub mod zone_rule;

pub use compact::CompactLink;
pub use decide::{Action, CachePolicy, Decision, Source, decide};
pub use destination::{Destination, SchemePolicy};
pub use domain::{DomainSettings, Hostname};
pub use quoted::Quoted;
pub use record::LinkRecord;
pub use slug::Slug;
pub use time::Timestamp;
pub use visit::Visit;
pub use written_time::WrittenTime;
