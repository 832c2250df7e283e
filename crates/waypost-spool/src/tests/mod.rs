//! Tests of the spool on a file system in memory, and of the real one.
#![allow(clippy::unwrap_used)]

mod basics;
mod consumer;
mod damage;
mod disk;
mod faults;
mod killed;
mod lost_files;
mod memory;
mod model;
mod power;
mod sparse;
mod world;
