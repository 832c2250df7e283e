//! The types of every request and response of the API, the reading of requests, which names every error at once, and
//! the catalogue of problems. The server writes these types, the command line reads them.
//!
//! What it does not do: it knows no HTTP and no database, decides no permission, and checks the form of a request but
//! not whether its values are allowed.

pub mod api_key;
pub mod audit;
pub mod clicks;
pub mod decide;
pub mod domain;
mod format;
pub mod health;
pub mod link;
pub mod lint;
pub mod problem;
pub mod qr;
pub mod read;
pub mod report;
pub mod short_url;
pub mod sync;
pub mod webhook;

pub use format::Format;
pub use problem::{CodeName, FieldError, FieldProblem, Invalid, ProblemCode, ProblemDocument, problems_markdown};
