//! The settings of the control plane, and the public URL that every short URL is built from.
//!
//! The binary reads them from files, flags and the environment.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;
use waypost_core::visitor::AddressPolicy;
use waypost_core::webhook::WebhookKeys;
use waypost_core::{Hostname, SchemePolicy};
use waypost_spool::SpoolStats;
use waypost_sync::KvSettings;

/// What a path of a short URL must escape; slugs have nothing else that does.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

/// How many requests one caller may make: `count` in `per_s` seconds on average, and up to `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests within the time.
    pub count: u32,
    /// The time, in seconds.
    pub per_s: u32,
    /// Requests that may come at once after a pause.
    pub burst: u32,
}

/// A link that a visitor has just unlocked, for which a grant is to be made.
#[derive(Clone, Copy, Debug)]
pub struct GrantRequest<'a> {
    /// The link's id, as the edges hold it.
    pub link_id: &'a str,
    /// The version of its record.
    pub version: u64,
    /// The path it was asked for under, percent-encoded, with its leading `/`.
    pub path: &'a str,
}

/// Makes the whole `Set-Cookie` value of a grant.
pub type IssueGrant = Arc<dyn Fn(GrantRequest<'_>) -> String + Send + Sync>;

/// Reads the numbers of the spool, without waiting for anything.
pub type ReadSpoolStats = Arc<dyn Fn() -> SpoolStats + Send + Sync>;

/// Everything that can be set. [`ControlSettings::new`] gives the defaults.
#[derive(Clone)]
pub struct ControlSettings {
    /// Where the default domain is reached from outside.
    pub public_url: PublicUrl,
    /// Which schemes destinations may have.
    pub schemes: SchemePolicy,
    /// Whether anyone may make links without a key.
    pub anonymous_links: bool,
    /// Whether links made without a key may lead to hosts that are addresses or `localhost`.
    pub anonymous_address_hosts: bool,
    /// Links that one address may make without a key.
    pub anonymous_rate: Option<Rate>,
    /// API requests that one key may make.
    pub api_rate: Option<Rate>,
    /// What the audit log keeps of the address of a request.
    pub address_policy: AddressPolicy,
    /// How long a request that changed links waits for the link table to take the change, in milliseconds.
    pub sync_wait_ms: u64,
    /// How often the outbox is looked at without being told to, in milliseconds.
    pub sync_poll_ms: u64,
    /// Makes the cookie of an unlocked link.
    pub issue_grant: IssueGrant,
    /// How the spool of clicks is doing; `None` where this instance has none.
    pub spool_stats: Option<ReadSpoolStats>,
    /// The Workers KV namespace that links are pushed to; `None` where there is none.
    pub kv: Option<KvSettings>,
    /// The keys that senders of signed deliveries may sign with; without any nothing is taken.
    pub webhook_keys: WebhookKeys,
}

impl ControlSettings {
    /// The defaults.
    pub fn new(public_url: PublicUrl, issue_grant: IssueGrant) -> Self {
        Self {
            public_url,
            schemes: SchemePolicy::web(),
            anonymous_links: true,
            anonymous_address_hosts: true,
            anonymous_rate: Some(Rate { count: 60, per_s: 60, burst: 60 }),
            api_rate: Some(Rate { count: 600, per_s: 60, burst: 60 }),
            address_policy: AddressPolicy::default(),
            sync_wait_ms: 5_000,
            sync_poll_ms: 1_000,
            issue_grant,
            spool_stats: None,
            kv: None,
            webhook_keys: WebhookKeys::default(),
        }
    }
}

impl fmt::Debug for ControlSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlSettings").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// Scheme, host and port under which the default domain is reached from outside. Short links are built from it and
/// never from what a request calls its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    host: Hostname,
    is_https: bool,
    port: Option<u16>,
}

/// A text that is no public URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a public URL such as https://go.example ({reason})", waypost_core::Quoted(text))]
pub struct PublicUrlError {
    text: String,
    reason: &'static str,
}

impl PublicUrl {
    /// Reads a public URL: `http` or `https`, a host, perhaps a port, and nothing else.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let error = |reason| PublicUrlError { text: waypost_core::quoted::kept(text), reason };
        let url = Url::parse(text.trim()).map_err(|_| error("it is no absolute URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(error("its scheme is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error("it carries a user name or password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(error("something follows its host and port"));
        }
        let host = url.host_str().and_then(|host| Hostname::parse(host).ok());
        Ok(Self {
            origin: url.origin().ascii_serialization(),
            host: host.ok_or_else(|| error("its host is no host name"))?,
            is_https: url.scheme() == "https",
            port: url.port(),
        })
    }

    /// `https://go.example`, without a trailing `/`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host of the default domain.
    pub const fn host(&self) -> &Hostname {
        &self.host
    }

    /// Whether visitors come over HTTPS.
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// The port visitors come to.
    pub(crate) fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(if self.is_https { 443 } else { 80 })
    }

    /// The address of a link: on the default domain this origin, on any other its host with the same scheme and port.
    pub fn short_url(&self, domain: &str, slug: &str) -> String {
        let path = utf8_percent_encode(slug, PATH);
        if domain == self.host.as_str() {
            return format!("{}/{path}", self.origin);
        }
        let scheme = if self.is_https { "https" } else { "http" };
        match self.port {
            Some(port) => format!("{scheme}://{domain}:{port}/{path}"),
            None => format!("{scheme}://{domain}/{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(PublicUrl::parse(text).ok().as_ref().map(PublicUrl::origin), expect, "{text}");
        };
        check("https://Go.Example", Some("https://go.example"));
        check("https://go.example:443/", Some("https://go.example"));
        check("http://127.0.0.1:8080", Some("http://127.0.0.1:8080"));
        check("http://[::1]:8080/", Some("http://[::1]:8080"));
        check("https://bücher.example", Some("https://xn--bcher-kva.example"));
        for bad in [
            "",
            "go.example",
            "ftp://go.example",
            "https://go.example/x",
            "https://u@go.example",
            "https://a_b.example/",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn short_urls_are_valid_urls() {
        let public = PublicUrl::parse("http://go.example:8080").expect("a public URL");
        assert_eq!(public.short_url("go.example", "a/b"), "http://go.example:8080/a/b");
        assert_eq!(public.short_url("go.example", "größe"), "http://go.example:8080/gr%C3%B6%C3%9Fe");
        assert_eq!(public.short_url("b.example", "x"), "http://b.example:8080/x");
        let public = PublicUrl::parse("https://go.example").expect("a public URL");
        assert_eq!(public.short_url("b.example", "x"), "https://b.example/x");
    }
}
