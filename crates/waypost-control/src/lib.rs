//! The control plane: the REST API, the pages for visitors, and the job that brings every change of a link to the edge.
//!
//! [`App::start`] takes an open store and link table and begins to keep the table current; [`router`] is everything that
//! the redirect server does not answer itself. A change that was acknowledged is in the store and in the table.
//!
//! What it does not do: it writes no SQL (`waypost-store` does), decides no redirect (`waypost-core` does), listens on no
//! address and reads no configuration (the binary does).

mod accept;
mod anonymous;
mod api_key;
mod app;
mod asked_host;
mod assets;
mod bulk;
mod bulk_existing;
mod bulk_parts;
mod caller;
mod click_audit;
mod click_erasure;
mod click_export;
mod click_feed;
mod clicks;
mod compiled;
mod compression;
mod condition_check;
mod cors;
mod create_queue;
mod cross_site;
mod csv;
mod decide;
mod domains;
mod fresh;
mod health;
mod idempotency;
mod jobs;
mod json_weight;
mod keys;
mod kv;
mod left_out;
mod link_check;
mod link_input;
mod link_list;
mod link_times;
mod link_view;
mod link_warnings;
mod links;
mod metrics;
mod outbox;
mod own_hosts;
mod pages;
mod password;
mod password_lane;
mod permission;
mod preview;
mod problem;
mod problem_catalogue;
mod rebuild;
mod report_query;
mod reports;
mod request;
mod request_memory;
mod routes;
mod settings;
mod sync;
mod sync_states;
mod sync_view;
mod throttle;
mod unlock;
mod unlock_limits;
mod verify;
mod webhooks;
mod when;

pub use app::{App, StartError};
pub use caller::{ACCOUNT_HEADER, ClientAddress, Principal};
pub use clicks::{ClickEnricher, ClickOrigin, ClickSettings, Clicks, EventResult, IngestStatus};
pub use kv::{
    BULK_BYTES_MAX, BULK_PAIRS_MAX, KvClient, KvFault, KvKeys, KvLimits, KvSetupError, ListPage, ListedKey, Metadata,
    Pair, PairFault, RetryAfter,
};
pub use outbox::{Chance, FaultCounts, OutboxOptions, OutboxStatus, OutboxWorker, Pause};
pub use problem::{FieldError, Problem, ProblemCode};
pub use problem_catalogue::problems_markdown;
pub use request_memory::OnLargeRequest;
pub use routes::router;
pub use settings::{
    ControlSettings, GrantRequest, IssueGrant, KvSettings, PublicUrl, PublicUrlError, Rate, ReadSpoolStats, Secret,
};
pub use webhooks::WebhookSettings;
