//! The settings of the HTTP surface.

use std::fmt;
use std::time::Duration;

use crate::request_memory::OnLargeRequest;

/// Everything that can be set. [`HttpSettings::default`] gives the defaults.
#[derive(Clone)]
pub struct HttpSettings {
    /// The origins whose pages may call `/api/v1` from a browser, as browsers write them: `https://app.example`.
    pub cors_origins: Vec<String>,
    /// The largest body of `POST /api/url` and of the landing page's form, in bytes.
    pub anonymous_body_bytes_max: usize,
    /// The largest body of an API request on one thing, in bytes.
    pub body_bytes_max: usize,
    /// The largest body of a bulk request, in bytes.
    pub bulk_body_bytes_max: usize,
    /// How long the body of a signed delivery may take to come.
    pub signed_body_wait: Duration,
    /// Memory that bodies of requests, and what is made of them, may take altogether, in bytes.
    pub request_memory_bytes_max: usize,
    /// Called after a request that took much memory: a good moment to give some back to the system.
    pub on_large_request: Option<OnLargeRequest>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            cors_origins: Vec::new(),
            anonymous_body_bytes_max: 64 << 10,
            body_bytes_max: 1 << 20,
            bulk_body_bytes_max: 16 << 20,
            signed_body_wait: Duration::from_secs(15),
            request_memory_bytes_max: 128 << 20,
            on_large_request: None,
        }
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings").field("cors_origins", &self.cors_origins).finish_non_exhaustive()
    }
}
