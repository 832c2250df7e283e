//! Use cases: what is done with links, domains, keys, clicks and targets, and who may.
//!
//! [`App`] is an instance: [`App::start`] takes an open store and link table and begins to keep the table current. Each use case
//! is one of its methods; it takes and gives the types of `waypost-api`, so that a page, the REST API and an import call the
//! same. A change that was acknowledged is in the store and in the table.
//!
//! What it does not do: it knows no HTTP and no page, writes no SQL (`waypost-store` does), decides no redirect (`waypost-core`
//! does), listens on no address and reads no configuration (the binary does).

mod anonymous;
mod api_key;
mod app;
mod bulk;
mod bulk_existing;
mod caller;
mod click_audit;
mod click_erasure;
mod click_export;
mod click_feed;
mod condition_check;
mod create_queue;
mod decide;
mod domains;
mod feeds;
mod health;
mod idempotency;
mod keys;
mod link_check;
mod link_list;
mod link_warnings;
mod links;
mod own_hosts;
mod password;
mod password_lane;
mod permission;
mod preview;
mod problem;
mod reports;
mod settings;
mod sync_states;
mod sync_view;
mod throttle;
mod unlock;
mod unlock_limits;
mod webhooks;

pub use app::{App, PUBLIC_URL_SETTING, StartError};
pub use caller::{Caller, OperatorsAccount};
pub use click_export::ClickPages;
pub use feeds::FeedEvent;
pub use health::ANSWER_MAX;
pub use idempotency::{Done, Repeatable};
pub use links::Precondition;
pub use permission::Allowed;
pub use preview::{FoundLink, Preview, PreviewedDestination, PreviewedVariant};
pub use problem::Problem;
pub use settings::{ControlSettings, GrantRequest, IssueGrant, PublicUrl, PublicUrlError, Rate, ReadSpoolStats};
pub use throttle::AddressKey;
pub use unlock::{AskedDomain, UnlockVisitor, Unlocked};
pub use webhooks::{Endpoint, WebhookCounts};
