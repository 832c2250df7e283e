//! Who sends a request, and what they may do (`operation.rs` has the table): the operator, holders of API keys, and
//! anonymous clients; keys; the audit log; rate limits.

pub(crate) mod audit;
pub(crate) mod author;
pub(crate) mod caller;
mod key_text;
mod keys;
pub(crate) mod operation;
pub(crate) mod permission;
pub(crate) mod throttle;
