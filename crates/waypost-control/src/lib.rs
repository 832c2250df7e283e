//! The control plane: the REST API, the pages for visitors, and the job that brings every change of a link to the edge.
//!
//! [`App::start`] takes an open store and link table and begins to keep the table current; [`router`] is everything that
//! the redirect server does not answer itself. A change that was acknowledged is in the store and in the table.
//!
//! What it does not do: it writes no SQL (`waypost-store` does), decides no redirect (`waypost-core` does), listens on no
//! address and reads no configuration (the binary does).

mod anonymous;
mod api_key;
mod app;
mod assets;
mod bulk;
mod caller;
mod clicks;
mod compiled;
mod create_queue;
mod decide;
mod domains;
mod health;
mod keys;
mod link_check;
mod link_input;
mod link_list;
mod link_view;
mod links;
mod own_hosts;
mod pages;
mod password;
mod preview;
mod problem;
mod problem_catalogue;
mod rebuild;
mod request;
mod routes;
mod settings;
mod sync;
mod throttle;
mod unlock;

pub use app::{App, StartError};
pub use caller::{ACCOUNT_HEADER, ClientAddress, Principal};
pub use clicks::{ClickSettings, ClickSource, Clicks, EventResult, IngestStatus, SourceEntry, SourceError};
pub use problem::{FieldError, Problem, ProblemCode};
pub use problem_catalogue::problems_markdown;
pub use routes::router;
pub use settings::{ControlSettings, GrantRequest, IssueGrant, PublicUrl, PublicUrlError, Rate};
