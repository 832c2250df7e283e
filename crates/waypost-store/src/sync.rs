//! Targets outside the process: what they have to be told, who tells them now, and what became of it.

pub(crate) mod claims;
pub(crate) mod deleted_slugs;
pub(crate) mod health;
pub(crate) mod list;
pub(crate) mod marks;
#[cfg(test)]
mod model;
pub(crate) mod settle;
pub(crate) mod statements;
pub(crate) mod states;
pub(crate) mod unread;
pub(crate) mod walk;
