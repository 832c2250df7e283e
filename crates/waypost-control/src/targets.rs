//! Use cases of targets: sync status, retries, and comparisons.

mod states;
mod view;
