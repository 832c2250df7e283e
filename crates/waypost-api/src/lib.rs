//! What the API is asked and what it answers: the types of every request and answer, how requests are read with every fault
//! named, and the catalogue of problems. The server writes these types, the command line reads them.
//!
//! What it does not do: it knows no HTTP and no database, says nothing of who may do what, and does not say whether what is
//! asked for makes sense beyond its form.

pub mod api_key;
pub mod clicks;
pub mod decide;
pub mod domain;
mod format;
pub mod health;
pub mod link;
pub mod problem;
pub mod read;
pub mod report;
pub mod short_url;
pub mod sync;
pub mod webhook;

pub use format::Format;
pub use problem::{CodeName, FieldError, FieldProblem, Invalid, ProblemCode, ProblemDocument, problems_markdown};
