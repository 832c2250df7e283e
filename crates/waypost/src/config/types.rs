//! The types of settings that no other crate has.

use std::fmt;
use std::str::FromStr;

use url::Url;
use waypost_control::Rate;
use waypost_sync::KvSettings;

/// A database's address. Shows itself without its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseAddress(String);

impl DatabaseAddress {
    /// The whole address with its password, only for opening it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The address with `***` for a password.
    pub(crate) fn masked(&self) -> String {
        let Ok(mut url) = Url::parse(&self.0) else { return mask_by_hand(&self.0) };
        // Both fail only for addresses that cannot have a password.
        if url.password().is_some() {
            let _ = url.set_password(Some("***"));
        }
        if url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case("password")) {
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let mut query = url.query_pairs_mut();
            query.clear();
            for (name, value) in &pairs {
                let is_secret = name.eq_ignore_ascii_case("password");
                query.append_pair(name, if is_secret { "***" } else { value });
            }
        }
        url.into()
    }
}

/// For addresses that are not valid URLs: everything before the last `@` may be a secret.
fn mask_by_hand(address: &str) -> String {
    address.rsplit_once('@').map_or_else(|| address.to_owned(), |(_, rest)| format!("***@{rest}"))
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl FromStr for DatabaseAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_known = ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme));
        if is_known || text.starts_with(['/', '.']) {
            return Ok(Self(text.to_owned()));
        }
        Err("give sqlite:///path/waypost.db or postgres://user@host/database".to_owned())
    }
}

/// The URL of an API that gets a secret: HTTPS, or HTTP on this machine. Has no `/` at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiUrl(String);

impl ApiUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ApiUrl {
    fn default() -> Self {
        Self(KvSettings::API_URL.to_owned())
    }
}

impl FromStr for ApiUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || "give a URL such as https://api.example/client/v4; http only to this machine".to_owned();
        let url = Url::parse(text).map_err(|_| error())?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.has_host();
        match url.scheme() {
            "https" if is_plain => {}
            "http" if is_plain && is_this_machine(&url) => {}
            _ => return Err(error()),
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

/// Whether a URL leads to this machine.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(host)) => host == "localhost" || host.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What is logged: a level, or levels by target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        tracing_subscriber::EnvFilter::builder().parse(text).map(|_| Self(text.to_owned())).map_err(|_| {
            "give a level (error, warn, info, debug, trace), or target=level, with commas between".to_owned()
        })
    }
}

/// A rate limit, as `600/minute` or `600/minute burst 60`; `off` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit(pub(crate) Option<Rate>);

/// Names of times, and their seconds.
const TIMES: [(&str, u32); 3] = [("second", 1), ("minute", 60), ("hour", 3_600)];

impl FromStr for RateLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let error = || "give a number and second, minute or hour, such as 60/minute, or off".to_owned();
        let positive = |text: &str| text.trim().parse().ok().filter(|count: &u32| *count > 0).ok_or_else(error);
        let (count, rest) = text.split_once('/').ok_or_else(error)?;
        let (time, burst) = rest.split_once(" burst ").unwrap_or((rest, count));
        let (_, per_s) = TIMES.into_iter().find(|(name, _)| *name == time.trim()).ok_or_else(error)?;
        Ok(Self(Some(Rate { count: positive(count)?, per_s, burst: positive(burst)? })))
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rate) = self.0 else { return f.write_str("off") };
        match TIMES.iter().find(|(_, seconds)| *seconds == rate.per_s) {
            Some((name, _)) => write!(f, "{}/{name}", rate.count)?,
            None => write!(f, "{}/{} seconds", rate.count, rate.per_s)?,
        }
        if rate.burst == rate.count { Ok(()) } else { write!(f, " burst {}", rate.burst) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (text, expect) in [
            ("postgres://u:secret@h:5432/d", "postgres://u:***@h:5432/d"),
            ("postgres://u@h/d?password=secret&sslmode=off", "postgres://u@h/d?password=***&sslmode=off"),
            ("postgres://u:sec ret@h:x/d", "***@h:x/d"),
            ("sqlite:///a/b.db", "sqlite:///a/b.db"),
            ("/a/b.db", "/a/b.db"),
        ] {
            let address: DatabaseAddress = text.parse().unwrap();
            assert_eq!((address.masked().as_str(), address.expose()), (expect, text));
            assert!(!format!("{address:?}").contains("sec"), "{address:?}");
        }
        assert!("mysql://h/d".parse::<DatabaseAddress>().is_err());
    }

    #[test]
    fn an_api_that_gets_a_secret_is_not_reached_in_the_open() {
        for (text, expect) in [
            ("https://api.cloudflare.com/client/v4", Some("https://api.cloudflare.com/client/v4")),
            ("https://proxy.example:8443/", Some("https://proxy.example:8443")),
            ("http://127.0.0.1:9000/client/v4/", Some("http://127.0.0.1:9000/client/v4")),
            ("http://[::1]:9000", Some("http://[::1]:9000")),
            ("http://localhost", Some("http://localhost")),
            ("http://api.cloudflare.com/client/v4", None),
            ("http://127.0.0.1.example.com", None),
            ("https://user:secret@api.example", None),
            ("https://api.example/?a=b", None),
            ("ftp://localhost", None),
            ("api.example", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<ApiUrl>().ok().as_ref().map(ApiUrl::as_str), expect, "{text}");
        }
        assert!(!"https://user:secret@api.example".parse::<ApiUrl>().unwrap_err().contains("secret"));
    }

    #[test]
    fn rates() {
        for text in ["off", "60/minute", "600/minute burst 60", "5/second", "100/hour"] {
            assert_eq!(text.parse::<RateLimit>().map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        for bad in ["", "10", "0/minute", "-1/minute", "10/day", "x/minute", "10/minute burst 0", "10/minute burst"] {
            assert!(bad.parse::<RateLimit>().is_err(), "{bad}");
        }
    }
}
