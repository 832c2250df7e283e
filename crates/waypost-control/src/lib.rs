//! Use cases: what can be done with links, domains, keys, clicks and targets, and who may do it.
//!
//! [`App`] is an instance: [`App::start`] takes an open store and link table and starts to keep the table up to date.
//! Each use case is one of its methods; it takes and returns the types of `waypost-api`, so a page, the REST API and an
//! import call the same method. An acknowledged change is in the store and in the table.
//!
//! What it does not do: it knows no HTTP and no page, contains no SQL (`waypost-store` does), decides no redirect
//! (`waypost-core` does), listens on no address and reads no configuration (the binary does).

mod access;
mod app;
mod clicks;
mod domains;
mod health;
mod idempotency;
mod links;
mod problem;
mod settings;
mod targets;
mod unlocking;
mod webhooks;

pub use access::caller::{Caller, OperatorsAccount};
pub use access::operation::{Operation, Reach, Requirement};
pub use access::permission::Allowed;
pub use access::throttle::AddressKey;
pub use app::{App, PUBLIC_URL_SETTING, StartError};
pub use clicks::export::ClickPages;
pub use clicks::feeds::FeedEvent;
pub use health::ANSWER_MAX;
pub use idempotency::{Done, Repeatable};
pub use links::Precondition;
pub use links::preview::{FoundLink, Preview, PreviewedDestination, PreviewedVariant};
pub use links::qr::PublicQr;
pub use problem::Problem;
pub use settings::{ControlSettings, GrantRequest, IssueGrant, PublicUrl, PublicUrlError, Rate, ReadSpoolStats};
pub use unlocking::unlock::{AskedDomain, UnlockVisitor, Unlocked};
pub use webhooks::{Endpoint, WebhookCounts};
