//! Tests of the spool on a file system in memory, and of the real one.
#![allow(clippy::unwrap_used)]

mod basics;
mod consumer;
mod memory;
