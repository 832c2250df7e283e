//! Passwords of links: setting them, checking them, and limits on attempts.

mod lane;
pub(crate) mod limits;
pub(crate) mod password;
pub(crate) mod unlock;
