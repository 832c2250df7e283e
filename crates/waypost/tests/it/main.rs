//! The program as its users meet it: the real binary, real folders, real sockets.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod clicks;
mod clients;
mod crowd;
mod databases;
mod decide;
mod faults;
mod faulty_server;
mod help;
mod memory;
mod names;
mod newcomer;
mod public_url;
mod real_input;
mod rules_page;
mod setup_notes;
mod start;
mod support;
mod sync;
mod transfer;
mod vectors;
