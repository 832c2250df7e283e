//! Who asks, and what they may: the operator, holders of API keys, and people at an address; keys themselves; rate limits.

pub(crate) mod caller;
mod key_text;
mod keys;
pub(crate) mod permission;
pub(crate) mod throttle;
