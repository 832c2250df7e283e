//! Passwords of links: setting them, trying them, and how often that may be done.

mod lane;
pub(crate) mod limits;
pub(crate) mod password;
pub(crate) mod unlock;
