//! The configuration: the settings, their sources and their defaults.
//!
//! [`settings`] is the one list of settings; flags, environment variables, the file's keys and `docs/configuration.md`
//! all follow from it. [`load`] merges them: flags over environment over file over defaults. All
//! errors are found at once, and nothing starts with a wrong setting.

pub(crate) mod flags;
pub(crate) mod load;
#[cfg(test)]
mod reference;
pub(crate) mod settings;
pub(crate) mod show;
pub(crate) mod types;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use waypost_control::{PublicUrl, Rate};
use waypost_core::SchemePolicy;
use waypost_core::visitor::AddressPolicy;
use waypost_core::webhook::WebhookKeys;
use waypost_edge::Limits;
use waypost_sync::{KvSettings, Secret};

use crate::config::types::{ApiUrl, DatabaseAddress, LogFilter, RateLimit};
use crate::data_dir::{DataDirError, default_data_dir};

/// All settings of an instance.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where database, link table, lock and local socket live. `None` if there is no default.
    pub(crate) data_dir: Option<PathBuf>,
    /// Addresses to listen on.
    pub(crate) listen: Vec<SocketAddr>,
    /// What short URLs begin with; from the first listen address if `None`.
    pub(crate) public_url: Option<PublicUrl>,
    /// The database; `waypost.db` in the data folder if `None`.
    pub(crate) database_url: Option<DatabaseAddress>,
    /// Threads that redirect; one per core if `None`.
    pub(crate) threads: Option<NonZeroUsize>,
    /// Whether look-ups remember where records lie.
    pub(crate) remember_places: bool,
    /// What is logged.
    pub(crate) log: LogFilter,
    /// Schemes that links may lead to besides http and https.
    pub(crate) schemes: SchemeList,
    /// Peers whose forwarded headers are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The header in which a trusted proxy names the visitor's country.
    pub(crate) country_header: Option<http::HeaderName>,
    /// The database of countries; looked for if `None`.
    pub(crate) country_database: Option<PathBuf>,
    /// What is recorded of clicks.
    pub(crate) clicks: ClicksConfig,
    /// Where links are copied to for Cloudflare's edge.
    pub(crate) cloudflare: CloudflareConfig,
    /// What signed deliveries are checked with.
    pub(crate) webhook_keys: WebhookKeys,
    /// Whether anyone may create links on the landing page and by `POST /api/url`.
    pub(crate) anonymous_links: bool,
    /// `None` if it follows from whether there is a public URL.
    pub(crate) anonymous_address_hosts: Option<bool>,
    /// How many links an address may create this way.
    pub(crate) anonymous_rate: RateLimit,
    /// The origins whose pages may call the API from a browser.
    pub(crate) cors_origins: Vec<String>,
    /// How many API requests a key may send.
    pub(crate) api_rate: RateLimit,
    /// Sizes, times and numbers at which the edge says no.
    pub(crate) limits: Limits,
    /// How long running requests may take once the server is ordered to stop.
    pub(crate) drain_timeout: Duration,
}

impl Config {
    /// The data folder.
    ///
    /// # Errors
    /// If none is configured and the environment names no home.
    pub(crate) fn data_dir(&self) -> Result<&Path, DataDirError> {
        self.data_dir.as_deref().ok_or(DataDirError::Unnamed)
    }
}

/// What is recorded of clicks, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct ClicksConfig {
    /// Whether they are recorded at all.
    pub(crate) enabled: bool,
    /// What is kept of visitors' addresses.
    pub(crate) addresses: AddressPolicy,
    /// Whether visitors are distinguished.
    pub(crate) visitors: bool,
    /// For how many days raw clicks are kept if an account has not chosen.
    pub(crate) retention_days: u32,
    /// Clicks that wait to be counted, in bytes on disk.
    pub(crate) spool_bytes_max: u64,
    /// How often they are flushed to the disk.
    pub(crate) flush_interval: Duration,
}

impl Default for ClicksConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            addresses: AddressPolicy::default(),
            visitors: true,
            retention_days: 760,
            spool_bytes_max: 4 << 30,
            flush_interval: Duration::from_millis(200),
        }
    }
}

/// The Workers KV namespace that links are pushed to, and how it is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct CloudflareConfig {
    /// The account's id.
    pub(crate) account_id: Option<String>,
    /// The namespace's id.
    pub(crate) kv_namespace_id: Option<String>,
    /// What opens it.
    pub(crate) api_token: Option<Secret>,
    /// Where the API is.
    pub(crate) api_url: ApiUrl,
}

impl CloudflareConfig {
    /// The namespace, if all its settings are given.
    pub(crate) fn kv_settings(&self) -> Option<KvSettings> {
        Some(KvSettings {
            api_url: self.api_url.as_str().to_owned(),
            account_id: self.account_id.clone()?,
            namespace_id: self.kv_namespace_id.clone()?,
            api_token: self.api_token.clone()?,
        })
    }

    /// The keys that are missing although others are given; empty if none or all are given.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let keys = [
            ("cloudflare.account_id", self.account_id.is_some()),
            ("cloudflare.kv_namespace_id", self.kv_namespace_id.is_some()),
            ("cloudflare.api_token", self.api_token.is_some()),
        ];
        let is_used = keys.iter().any(|(_, is_given)| *is_given) || self.api_url != ApiUrl::default();
        keys.into_iter().filter(|(_, is_given)| is_used && !is_given).map(|(key, _)| key).collect()
    }
}

/// Schemes as they were given, and the policy that they make.
#[derive(Clone, Debug)]
pub(crate) struct SchemeList {
    pub(crate) names: Vec<String>,
    pub(crate) policy: SchemePolicy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: default_data_dir(),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            public_url: None,
            database_url: None,
            threads: None,
            remember_places: true,
            log: LogFilter::default(),
            schemes: SchemeList { names: Vec::new(), policy: SchemePolicy::web() },
            trusted_proxies: Vec::new(),
            country_header: None,
            country_database: None,
            clicks: ClicksConfig::default(),
            cloudflare: CloudflareConfig::default(),
            webhook_keys: WebhookKeys::default(),
            anonymous_links: true,
            cors_origins: Vec::new(),
            anonymous_address_hosts: None,
            anonymous_rate: RateLimit(Some(Rate { count: 60, per_s: 60, burst: 60 })),
            api_rate: RateLimit(Some(Rate { count: 600, per_s: 60, burst: 60 })),
            limits: Limits::default(),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
