//! The namespace that links are pushed to, and the API token for it.

use std::fmt;

/// A text that nobody may read by accident: it shows itself as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret, for using it only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The Workers KV namespace that links are pushed to, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvSettings {
    /// Where Cloudflare's API is, without `/` at the end.
    pub api_url: String,
    /// The Cloudflare account's id.
    pub account_id: String,
    /// The namespace's id.
    pub namespace_id: String,
    /// A token that may edit Workers KV storage.
    pub api_token: Secret,
}

impl KvSettings {
    /// Where Cloudflare's API is.
    pub const API_URL: &'static str = "https://api.cloudflare.com/client/v4";
}
