//! Who sends a request, and what they may do: the operator, holders of API keys, and anonymous clients; keys; rate
//! limits.

pub(crate) mod caller;
mod key_text;
mod keys;
pub(crate) mod permission;
pub(crate) mod throttle;
