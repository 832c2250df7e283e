//! How far the targets of links are, trying again, and comparing.

mod states;
mod view;
