//! The list of all settings. A new setting is one row here and one field in [`Config`]; its flag, its environment
//! variable, its key in the file and its line in the reference follow from the row.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use waypost_control::{PublicUrl, Rate};
use waypost_core::visitor::AddressPolicyError;
use waypost_core::webhook::WebhookKeys;
use waypost_core::{Quoted, SchemePolicy};
use waypost_edge::MissRate;
use waypost_sync::Secret;

use crate::config::types::RateLimit;
use crate::config::{Config, SchemeList};

/// The least that [`waypost_edge::Limits::head_bytes_max`] may be.
const HEAD_BYTES_LEAST: usize = 8_192;
/// The least disk space that can be set for waiting clicks: a few segments for each thread.
const SPOOL_BYTES_LEAST: u64 = 64 << 20;
/// Shown instead of a secret.
const MASKED: &str = "***";
/// The most characters of a Cloudflare id or token.
const CREDENTIAL_CHARS_MAX: usize = 1_024;
/// The most threads that redirect; each holds descriptors and a slot in the link table.
const THREADS_MAX: usize = 256;

/// One setting.
pub(crate) struct Setting {
    /// Its key in the file; with a dot, a section and a name.
    pub(crate) key: &'static str,
    /// What its value is called in help texts.
    pub(crate) value_name: &'static str,
    /// What it does, with units.
    pub(crate) meaning: &'static str,
    /// The type of its value in the file.
    pub(crate) shape: Shape,
    /// What applies by default, if the default is not a fixed value.
    pub(crate) default_note: Option<&'static str>,
    /// Whether commands other than `serve` read it too.
    pub(crate) is_for_commands: bool,
    /// Reads the value, one string or for lists any number, into the configuration; the error says which values are
    /// accepted.
    pub(crate) set: fn(&mut Config, &[String]) -> Result<(), String>,
    /// The value that is set, without secrets; `None` if there is none.
    pub(crate) show: fn(&Config) -> Option<Shown>,
}

/// The type of a value in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    Number,
    Flag,
    /// An array of strings; in the environment separated by commas.
    List,
}

/// A value as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<String>),
}

impl Setting {
    /// `--limits-idle-timeout-s`
    pub(crate) fn flag(&self) -> String {
        format!("--{}", self.key.replace(['.', '_'], "-"))
    }

    /// `WAYPOST_LIMITS_IDLE_TIMEOUT_S`
    pub(crate) fn variable(&self) -> String {
        format!("WAYPOST_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The section of the file that the key stands in; none for those at the top.
    pub(crate) fn section(&self) -> Option<&'static str> {
        self.key.split_once('.').map(|(section, _)| section)
    }

    /// The default as a reader sees it, as Markdown; `None` if there is none.
    pub(crate) fn default_text(&self) -> Option<String> {
        if let Some(note) = self.default_note {
            return Some(note.to_owned());
        }
        match (self.show)(&Config::default())? {
            Shown::Text(text) => Some(format!("`{text}`")),
            Shown::Number(number) => Some(format!("`{number}`")),
            Shown::Flag(flag) => Some(format!("`{flag}`")),
            Shown::List(items) if items.is_empty() => None,
            Shown::List(items) => Some(format!("`{}`", items.join(","))),
        }
    }
}

const PLAIN: Setting = Setting {
    key: "",
    value_name: "",
    meaning: "",
    shape: Shape::Text,
    default_note: None,
    is_for_commands: false,
    set: |_, _| Ok(()),
    show: |_| None,
};

/// Every setting, in the order in which they are listed to people.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        value_name: "DIR",
        meaning: "Folder of the database, the link table and the local socket; created with mode 0700 if it does not exist",
        default_note: Some("`$XDG_DATA_HOME/waypost`, else `~/.local/share/waypost`"),
        is_for_commands: true,
        set: |config, values| {
            let path = PathBuf::from(one(values)?);
            if path.as_os_str().is_empty() {
                return Err("give a path".to_owned());
            }
            config.data_dir = Some(path);
            Ok(())
        },
        show: |config| config.data_dir.as_ref().map(|path| Shown::Text(path.display().to_string())),
        ..PLAIN
    },
    Setting {
        key: "listen",
        value_name: "ADDR",
        meaning: "Address and port to listen on; may be given more than once. Port 0 picks a free port",
        shape: Shape::List,
        set: |config, values| {
            let read = |text: &String| {
                let error = || format!("{} is not an address and port such as 127.0.0.1:8080 or [::]:80", Quoted(text));
                text.parse::<SocketAddr>().map_err(|_| error())
            };
            if values.is_empty() {
                return Err("give at least one address".to_owned());
            }
            config.listen = values.iter().map(read).collect::<Result<_, _>>()?;
            Ok(())
        },
        show: |config| list(&config.listen),
        ..PLAIN
    },
    Setting {
        key: "public_url",
        value_name: "URL",
        meaning: "Scheme and host of this instance as visitors reach it; every short URL begins with it. Once it is set, a request for a host that is not a domain is answered 404; `localhost` and bare IP addresses stay the default domain",
        default_note: Some("`http://localhost` and the port, or the listen address if that is a specific one"),
        is_for_commands: true,
        set: |config, values| {
            config.public_url = Some(PublicUrl::parse(one(values)?).map_err(|error| error.to_string())?);
            Ok(())
        },
        show: |config| config.public_url.as_ref().map(|url| Shown::Text(url.origin().to_owned())),
        ..PLAIN
    },
    Setting {
        key: "database_url",
        value_name: "URL",
        meaning: "The database: `sqlite:///path/waypost.db` or `postgres://user@host/database`",
        default_note: Some("`waypost.db` in the data folder"),
        is_for_commands: true,
        set: |config, values| {
            config.database_url = Some(one(values)?.parse()?);
            Ok(())
        },
        show: |config| config.database_url.as_ref().map(|address| Shown::Text(address.masked())),
        ..PLAIN
    },
    Setting {
        key: "threads",
        value_name: "N",
        meaning: "Threads that answer redirects, each with its own listener",
        shape: Shape::Number,
        default_note: Some("one per core"),
        set: |config, values| {
            let error = || format!("give a number from 1 to {THREADS_MAX}");
            let threads: std::num::NonZeroUsize = one(values)?.parse().map_err(|_| error())?;
            if threads.get() > THREADS_MAX {
                return Err(error());
            }
            config.threads = Some(threads);
            Ok(())
        },
        show: |config| config.threads.map(|threads| Shown::Number(threads.get() as u64)),
        ..PLAIN
    },
    Setting {
        key: "remember_places",
        value_name: "BOOL",
        meaning: "Whether redirects find links at the places in the link table's file where they were found last. `false` turns that off: each look-up then goes the way from the tree's root, which takes longer. The server turns it off itself, and logs that, where a sample at the start differs",
        shape: Shape::Flag,
        set: |config, values| {
            config.remember_places = flag(values)?;
            Ok(())
        },
        show: |config| Some(Shown::Flag(config.remember_places)),
        ..PLAIN
    },
    Setting {
        key: "log",
        value_name: "FILTER",
        meaning: "What is logged to standard error: `error`, `warn`, `info`, `debug` or `trace`, or levels by target such as `info,waypost_edge=debug`",
        set: |config, values| {
            config.log = one(values)?.parse()?;
            Ok(())
        },
        show: |config| Some(Shown::Text(config.log.as_str().to_owned())),
        ..PLAIN
    },
    Setting {
        key: "schemes",
        value_name: "SCHEME",
        meaning: "Schemes that links may lead to besides `http` and `https`, such as `mailto`; may be given more than once",
        shape: Shape::List,
        set: |config, values| {
            let names: Vec<&str> = values.iter().map(String::as_str).collect();
            let policy = SchemePolicy::with(&names).map_err(|error| error.to_string())?;
            config.schemes = SchemeList { names: values.to_vec(), policy };
            Ok(())
        },
        show: |config| list(&config.schemes.names),
        ..PLAIN
    },
    Setting {
        key: "trusted_proxies",
        value_name: "NET",
        meaning: "Networks of the reverse proxies whose `X-Forwarded-For`, `X-Forwarded-Proto` and country header are trusted; may be given more than once",
        shape: Shape::List,
        set: |config, values| {
            config.trusted_proxies = values.iter().map(|text| read_network(text)).collect::<Result<_, _>>()?;
            Ok(())
        },
        show: |config| list(&config.trusted_proxies),
        ..PLAIN
    },
    Setting {
        key: "country_header",
        value_name: "NAME",
        meaning: "Header in which a trusted proxy names the visitor's country, such as `cf-ipcountry`",
        set: |config, values| {
            let name = HeaderName::from_bytes(one(values)?.as_bytes()).map_err(|_| "give the name of a header")?;
            config.country_header = Some(name);
            Ok(())
        },
        show: |config| config.country_header.as_ref().map(|name| Shown::Text(name.to_string())),
        ..PLAIN
    },
    Setting {
        key: "country_database",
        value_name: "FILE",
        meaning: "A country or city database in the MaxMind format (`.mmdb`), for visitors whose country no header gives. It is loaded again when it changes; without one, countries are unknown",
        default_note: Some(
            "`country.mmdb` in the data folder, else `GeoLite2-Country.mmdb`, `GeoLite2-City.mmdb` or `GeoIP2-Country.mmdb` in `/var/lib/GeoIP` or `/usr/share/GeoIP`",
        ),
        set: |config, values| {
            config.country_database = Some(PathBuf::from(one(values)?));
            Ok(())
        },
        show: |config| config.country_database.as_ref().map(|path| Shown::Text(path.display().to_string())),
        ..PLAIN
    },
    Setting {
        key: "anonymous_links",
        value_name: "BOOL",
        meaning: "Whether anyone may create links on the landing page and by `POST /api/url`",
        shape: Shape::Flag,
        set: |config, values| {
            config.anonymous_links = flag(values)?;
            Ok(())
        },
        show: |config| Some(Shown::Flag(config.anonymous_links)),
        ..PLAIN
    },
    Setting {
        key: "anonymous_private",
        value_name: "BOOL",
        meaning: "Whether links created without an API key may lead to IP addresses and to names of a private network, such as `localhost`",
        shape: Shape::Flag,
        default_note: Some("`false` once `public_url` is set"),
        set: |config, values| {
            config.anonymous_address_hosts = Some(flag(values)?);
            Ok(())
        },
        show: |config| config.anonymous_address_hosts.map(Shown::Flag),
        ..PLAIN
    },
    Setting {
        key: "anonymous_rate",
        value_name: "RATE",
        meaning: "How many links one address may create without an API key, such as `60/minute`, or `off`",
        set: |config, values| {
            config.anonymous_rate = one(values)?.parse()?;
            Ok(())
        },
        show: |config| Some(Shown::Text(config.anonymous_rate.to_string())),
        ..PLAIN
    },
    Setting {
        key: "api_rate",
        value_name: "RATE",
        meaning: "How many API requests one key may send, such as `600/minute burst 60`, or `off`",
        set: |config, values| {
            config.api_rate = one(values)?.parse()?;
            Ok(())
        },
        show: |config| Some(Shown::Text(config.api_rate.to_string())),
        ..PLAIN
    },
    Setting {
        key: "cors_origins",
        value_name: "ORIGIN",
        meaning: "Origins whose pages may call `/api/v1` from a browser, such as `https://app.example`; may be given more than once. `POST /api/url` is open to all pages",
        shape: Shape::List,
        set: |config, values| {
            config.cors_origins = values.iter().map(|text| read_origin(text)).collect::<Result<_, _>>()?;
            Ok(())
        },
        show: |config| list(&config.cors_origins),
        ..PLAIN
    },
    Setting {
        key: "drain_timeout_s",
        value_name: "SECONDS",
        meaning: "How long running requests may take after the server was told to stop",
        shape: Shape::Number,
        set: |config, values| seconds(values, &mut config.drain_timeout),
        show: |config| Some(Shown::Number(config.drain_timeout.as_secs())),
        ..PLAIN
    },
    Setting {
        key: "clicks.enabled",
        value_name: "BOOL",
        meaning: "Whether clicks are recorded and counted",
        shape: Shape::Flag,
        set: |config, values| {
            config.clicks.enabled = flag(values)?;
            Ok(())
        },
        show: |config| Some(Shown::Flag(config.clicks.enabled)),
        ..PLAIN
    },
    Setting {
        key: "clicks.addresses",
        value_name: "POLICY",
        meaning: "How much of visitors' addresses is stored: `full`, `truncated` (the first 24 bits of an IPv4 address, 48 of an IPv6 address) or `none`. No more than that is ever written to disk",
        set: |config, values| {
            config.clicks.addresses = one(values)?.parse().map_err(|error: AddressPolicyError| error.to_string())?;
            Ok(())
        },
        show: |config| Some(Shown::Text(config.clicks.addresses.name().to_owned())),
        ..PLAIN
    },
    Setting {
        key: "clicks.visitors",
        value_name: "BOOL",
        meaning: "Whether visitors are counted, by a keyed hash of address and user agent. Its salt is replaced every day and destroyed a day later. Without it only clicks are counted",
        shape: Shape::Flag,
        set: |config, values| {
            config.clicks.visitors = flag(values)?;
            Ok(())
        },
        show: |config| Some(Shown::Flag(config.clicks.visitors)),
        ..PLAIN
    },
    Setting {
        key: "clicks.retention_days",
        value_name: "DAYS",
        meaning: "How long raw clicks are kept if an account has not chosen; totals are kept for ever",
        shape: Shape::Number,
        set: |config, values| {
            let days: u32 = number(values)?;
            if days == 0 {
                return Err("give at least 1".to_owned());
            }
            config.clicks.retention_days = days;
            Ok(())
        },
        show: |config| Some(Shown::Number(config.clicks.retention_days.into())),
        ..PLAIN
    },
    Setting {
        key: "clicks.spool_bytes_max",
        value_name: "BYTES",
        meaning: "How much disk space clicks may use while they wait to be counted, as when the database is down. Beyond it redirects continue, and clicks that are lost are counted as lost. At least 67108864",
        shape: Shape::Number,
        set: |config, values| {
            let bytes: u64 = number(values)?;
            if bytes < SPOOL_BYTES_LEAST {
                return Err(format!("give at least {SPOOL_BYTES_LEAST}"));
            }
            config.clicks.spool_bytes_max = bytes;
            Ok(())
        },
        show: |config| Some(Shown::Number(config.clicks.spool_bytes_max)),
        ..PLAIN
    },
    Setting {
        key: "clicks.flush_interval_ms",
        value_name: "MILLISECONDS",
        meaning: "How often recorded clicks are flushed to disk: a power failure loses at most the clicks of this interval. A crash of the process loses none",
        shape: Shape::Number,
        set: |config, values| {
            let millis: u64 = number(values)?;
            if !(1..=60_000).contains(&millis) {
                return Err("give a number from 1 to 60000".to_owned());
            }
            config.clicks.flush_interval = Duration::from_millis(millis);
            Ok(())
        },
        show: |config| u64::try_from(config.clicks.flush_interval.as_millis()).ok().map(Shown::Number),
        ..PLAIN
    },
    Setting {
        key: "cloudflare.account_id",
        value_name: "ID",
        meaning: "The Cloudflare account whose Workers KV holds a copy of the links for Workers to read. `account_id`, `kv_namespace_id` and `api_token` must be given together",
        set: |config, values| {
            config.cloudflare.account_id = Some(cloudflare_id(values)?);
            Ok(())
        },
        show: |config| config.cloudflare.account_id.clone().map(Shown::Text),
        ..PLAIN
    },
    Setting {
        key: "cloudflare.kv_namespace_id",
        value_name: "ID",
        meaning: "The Workers KV namespace that every link is pushed to. It should hold nothing else",
        set: |config, values| {
            config.cloudflare.kv_namespace_id = Some(cloudflare_id(values)?);
            Ok(())
        },
        show: |config| config.cloudflare.kv_namespace_id.clone().map(Shown::Text),
        ..PLAIN
    },
    Setting {
        key: "cloudflare.api_token",
        value_name: "TOKEN",
        meaning: "An API token of that account with permission to edit Workers KV storage and nothing else. Give it in the environment or the file: every user of the machine can read flags",
        set: |config, values| {
            config.cloudflare.api_token = Some(api_token(values)?);
            Ok(())
        },
        show: |config| config.cloudflare.api_token.as_ref().map(|_| Shown::Text(MASKED.to_owned())),
        ..PLAIN
    },
    Setting {
        key: "cloudflare.api_url",
        value_name: "URL",
        meaning: "URL of Cloudflare's API, to use a proxy in front of it; plain `http` only on this machine",
        set: |config, values| {
            config.cloudflare.api_url = one(values)?.parse()?;
            Ok(())
        },
        show: |config| Some(Shown::Text(config.cloudflare.api_url.as_str().to_owned())),
        ..PLAIN
    },
    Setting {
        key: "webhooks.secrets",
        value_name: "SECRET",
        meaning: "Secrets with which other edges sign clicks (`POST /webhooks/analytics`): `whsec_` and the base64 of 24 to 64 random bytes, such as `echo whsec_$(openssl rand -base64 32)` makes. A signature by any of them is accepted: to change the secret, add the new one, change it at the senders, then delete the old one. Give them in the environment or the file: every user of the machine can read flags. Without a secret, webhooks are refused",
        shape: Shape::List,
        set: |config, values| {
            config.webhook_keys =
                WebhookKeys::parse(values.iter().map(String::as_str)).map_err(|error| error.to_string())?;
            Ok(())
        },
        show: |config| list(&vec![MASKED; config.webhook_keys.len()]),
        ..PLAIN
    },
    Setting {
        key: "limits.head_bytes_max",
        value_name: "BYTES",
        meaning: "Size of the request line and headers of one request; more is answered 431. At least 8192",
        shape: Shape::Number,
        set: |config, values| {
            let bytes = number(values)?;
            if bytes < HEAD_BYTES_LEAST {
                return Err(format!("give at least {HEAD_BYTES_LEAST}"));
            }
            config.limits.head_bytes_max = bytes;
            Ok(())
        },
        show: |config| Some(Shown::Number(config.limits.head_bytes_max as u64)),
        ..PLAIN
    },
    Setting {
        key: "limits.target_bytes_max",
        value_name: "BYTES",
        meaning: "Size of path and query of one request; more is answered 414",
        shape: Shape::Number,
        set: |config, values| {
            config.limits.target_bytes_max = number(values)?;
            Ok(())
        },
        show: |config| Some(Shown::Number(config.limits.target_bytes_max as u64)),
        ..PLAIN
    },
    Setting {
        key: "limits.head_read_timeout_s",
        value_name: "SECONDS",
        meaning: "How long a client may take to send a request's headers; then 408",
        shape: Shape::Number,
        set: |config, values| seconds(values, &mut config.limits.head_read_timeout),
        show: |config| Some(Shown::Number(config.limits.head_read_timeout.as_secs())),
        ..PLAIN
    },
    Setting {
        key: "limits.body_read_timeout_s",
        value_name: "SECONDS",
        meaning: "How long a client may take to send a request's body; then 408. It has longer while it sends at least `limits.body_bytes_per_s_min`",
        shape: Shape::Number,
        set: |config, values| seconds(values, &mut config.limits.body_read_timeout),
        show: |config| Some(Shown::Number(config.limits.body_read_timeout.as_secs())),
        ..PLAIN
    },
    Setting {
        key: "limits.body_bytes_per_s_min",
        value_name: "BYTES",
        meaning: "Bytes per second at which a large body may take longer than `limits.body_read_timeout_s`",
        shape: Shape::Number,
        set: |config, values| {
            let bytes = number(values)?;
            if bytes == 0 {
                return Err("give at least 1".to_owned());
            }
            config.limits.body_bytes_per_s_min = bytes;
            Ok(())
        },
        show: |config| Some(Shown::Number(config.limits.body_bytes_per_s_min)),
        ..PLAIN
    },
    Setting {
        key: "limits.idle_timeout_s",
        value_name: "SECONDS",
        meaning: "How long a connection may wait for its next request before it is closed",
        shape: Shape::Number,
        set: |config, values| seconds(values, &mut config.limits.idle_timeout),
        show: |config| Some(Shown::Number(config.limits.idle_timeout.as_secs())),
        ..PLAIN
    },
    Setting {
        key: "limits.write_timeout_s",
        value_name: "SECONDS",
        meaning: "How long a client may read nothing of its response, or almost nothing, before the connection is closed",
        shape: Shape::Number,
        set: |config, values| seconds(values, &mut config.limits.write_timeout),
        show: |config| Some(Shown::Number(config.limits.write_timeout.as_secs())),
        ..PLAIN
    },
    Setting {
        key: "limits.connection_age_max_s",
        value_name: "SECONDS",
        meaning: "Age of a connection after which it is closed as soon as it is idle",
        shape: Shape::Number,
        set: |config, values| seconds(values, &mut config.limits.connection_age_max),
        show: |config| Some(Shown::Number(config.limits.connection_age_max.as_secs())),
        ..PLAIN
    },
    Setting {
        key: "limits.requests_per_connection_max",
        value_name: "N",
        meaning: "Requests on one connection before it is closed; 0 for no limit",
        shape: Shape::Number,
        set: |config, values| {
            let count: u64 = number(values)?;
            config.limits.requests_per_connection_max = (count > 0).then_some(count);
            Ok(())
        },
        show: |config| Some(Shown::Number(config.limits.requests_per_connection_max.unwrap_or(0))),
        ..PLAIN
    },
    Setting {
        key: "limits.connections_max",
        value_name: "N",
        meaning: "Connections open at once, if there are enough file descriptors: the soft limit is raised to the hard limit at the start, and some are reserved for files. For one more, the oldest idle connection is closed; if none is idle, one that pipelines requests, or else the one whose response takes longest",
        shape: Shape::Number,
        set: |config, values| {
            config.limits.connections_max = number(values)?;
            Ok(())
        },
        show: |config| Some(Shown::Number(config.limits.connections_max as u64)),
        ..PLAIN
    },
    Setting {
        key: "limits.connections_per_network_max",
        value_name: "N",
        meaning: "Connections open at once from one IPv4 address or IPv6 /64, with the same rule, except that no response in progress is cut: the new connection is then answered 503. If file descriptors are scarce, at most a quarter of all connections. Loopback and trusted proxies are not limited",
        shape: Shape::Number,
        set: |config, values| {
            config.limits.connections_per_network_max = number(values)?;
            Ok(())
        },
        show: |config| Some(Shown::Number(config.limits.connections_per_network_max.into())),
        ..PLAIN
    },
    Setting {
        key: "limits.miss_rate",
        value_name: "RATE",
        meaning: "How many links that do not exist one IPv4 address or IPv6 /64 may request, such as `300/minute burst 600`, or `off`; then 429. Links that exist still redirect",
        set: |config, values| {
            config.limits.miss_rate = miss_rate_of(one(values)?.parse()?);
            Ok(())
        },
        show: |config| Some(Shown::Text(shown_miss_rate(config.limits.miss_rate).to_string())),
        ..PLAIN
    },
];

fn miss_rate_of(setting: RateLimit) -> Option<MissRate> {
    setting.0.map(|Rate { count, per_s, burst }| MissRate { count, per_s, burst })
}

fn shown_miss_rate(rate: Option<MissRate>) -> RateLimit {
    RateLimit(rate.map(|MissRate { count, per_s, burst }| Rate { count, per_s, burst }))
}

fn one(values: &[String]) -> Result<&str, String> {
    match values {
        [value] => Ok(value),
        _ => Err("give one value".to_owned()),
    }
}

fn number<T: std::str::FromStr>(values: &[String]) -> Result<T, String> {
    one(values)?.parse().map_err(|_| "give a whole number".to_owned())
}

fn flag(values: &[String]) -> Result<bool, String> {
    one(values)?.parse().map_err(|_| "give true or false".to_owned())
}

/// A duration of at least one second and at most a day.
fn seconds(values: &[String], into: &mut Duration) -> Result<(), String> {
    let seconds = one(values)?.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    *into = Duration::from_secs(seconds.ok_or("give whole seconds, 1 to 86400")?);
    Ok(())
}

/// An id of Cloudflare's, which becomes a part of a path.
fn cloudflare_id(values: &[String]) -> Result<String, String> {
    let id = one(values)?;
    let is_id = (1..=CREDENTIAL_CHARS_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_id { Ok(id.to_owned()) } else { Err("give the id, 32 hexadecimal digits".to_owned()) }
}

/// A token. What is wrong with it is said without repeating it.
fn api_token(values: &[String]) -> Result<Secret, String> {
    let token = one(values)?;
    if token == MASKED {
        return Err(format!("give the token itself: `{MASKED}` is what is shown instead of one"));
    }
    if (1..=CREDENTIAL_CHARS_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(token.to_owned()));
    }
    Err("give the token as it was shown, without blanks or line ends".to_owned())
}

/// A network, or an address as the network of it alone.
fn read_network(text: &str) -> Result<ipnet::IpNet, String> {
    let network = text.parse::<ipnet::IpNet>().ok();
    let network = network.or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from));
    network.ok_or_else(|| format!("{} is not a network such as 10.0.0.0/8", Quoted(text)))
}

/// An origin as browsers write it, so that it can be compared byte for byte.
fn read_origin(text: &str) -> Result<String, String> {
    let origin = PublicUrl::parse(text).map(|url| url.origin().to_owned());
    origin.map_err(|_| format!("{} is not an origin such as https://app.example", Quoted(text)))
}

fn list<T: ToString>(items: &[T]) -> Option<Shown> {
    Some(Shown::List(items.iter().map(ToString::to_string).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_in_every_form() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            for other in &SETTINGS[index + 1..] {
                assert_ne!(setting.flag(), other.flag());
                assert_ne!(setting.variable(), other.variable());
            }
        }
    }

    #[test]
    fn every_default_can_be_given_back() {
        for setting in SETTINGS {
            let Some(shown) = (setting.show)(&Config::default()) else { continue };
            let values = match &shown {
                Shown::Text(text) => vec![text.clone()],
                Shown::Number(number) => vec![number.to_string()],
                Shown::Flag(flag) => vec![flag.to_string()],
                Shown::List(items) => items.clone(),
            };
            let mut config = Config::default();
            assert_eq!((setting.set)(&mut config, &values), Ok(()), "{}", setting.key);
            assert_eq!((setting.show)(&config), Some(shown), "{}", setting.key);
        }
    }
}
