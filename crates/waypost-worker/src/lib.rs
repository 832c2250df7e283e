//! The redirect edge as a Cloudflare Worker: what the native edge decides, from a value in Workers KV.
//!
//! This crate is the inside: bytes in, bytes out, no clock, no randomness, no network. The module shell in `js/` reads
//! the request, asks KV and sends what comes out of here. Between the two there is one narrow passage ([`exports`]) and
//! no generated glue: a redirect crosses it once with the stored value and the facts of the request, and once back with
//! the whole answer.
//!
//! What JavaScript does better stays there: fetching, timers, streams, the platform's bindings.

mod anonymous;
mod clicks;
mod engine;
mod event;
pub mod exports;
mod facts;
mod home;
mod html;
mod landing;
mod password;
mod preview;
mod problem;
mod records;
mod secrets;
mod settings;

pub use engine::{Answer, Engine, Operation};
