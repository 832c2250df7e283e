//! Hosts that links live on, and the settings that an edge needs for each.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quoted::{Quoted, kept};

/// The most bytes of a host name (RFC 1035 section 2.3.4, without the trailing dot).
pub const HOST_BYTES_MAX: usize = 253;

/// A host name in its ASCII form, lower case, without port or trailing dot; an address literal if `is_address`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(String);

/// A string that is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a host name such as go.example", Quoted(text))]
pub struct HostnameError {
    text: String,
}

impl Hostname {
    /// Reads a host name, Unicode or ASCII, as the URL Standard does; without port and scheme.
    ///
    /// # Errors
    /// If the text is not a host name.
    pub fn parse(text: &str) -> Result<Self, HostnameError> {
        let error = || HostnameError { text: kept(text) };
        if text.len() > HOST_BYTES_MAX * 4 {
            return Err(error());
        }
        let host = url::Host::parse(text).map_err(|_| error())?.to_string();
        // Only now, because the parser maps the full stops of other scripts to `.`.
        let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
        // In some cases the parser accepts underscores and spaces; labels here have only the letters, digits and `-` of
        // DNS.
        let labels_fit = host.starts_with('[')
            || host.split('.').all(|label| {
                let bytes = label.as_bytes();
                (1..=63).contains(&bytes.len())
                    && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
                    && bytes.first() != Some(&b'-')
                    && bytes.last() != Some(&b'-')
            });
        if !labels_fit || host.len() > HOST_BYTES_MAX {
            return Err(error());
        }
        Ok(Self(host))
    }

    /// The host as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host as people read it: Unicode if it has an internationalised form.
    pub fn to_unicode(&self) -> String {
        idna::domain_to_unicode(&self.0).0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Hostname {
    type Error = HostnameError;
    fn try_from(text: String) -> Result<Self, HostnameError> {
        Self::parse(&text)
    }
}

impl From<Hostname> for String {
    fn from(host: Hostname) -> String {
        host.0
    }
}

/// The settings of one domain that an edge needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainSettings {
    /// The host, in ASCII and lower case.
    pub host: String,
    /// Links of the default domain are kept under the empty domain name; there is exactly one.
    #[serde(default)]
    pub is_default: bool,
    /// Slugs of this domain are stored and looked up in lower case.
    #[serde(default)]
    pub case_insensitive: bool,
    /// Where the empty path leads, unless it shows the landing page.
    #[serde(default)]
    pub root_url: Option<String>,
}

impl DomainSettings {
    /// The name under which the link table keeps this domain's links: the host, or nothing for the default domain.
    pub fn table_key(&self) -> &str {
        if self.is_default { "" } else { &self.host }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(Hostname::parse(text).ok().as_ref().map(Hostname::as_str), expect, "{text:?}");
    }

    #[test]
    fn host_names() {
        check("Go.Example", Some("go.example"));
        check("go.example.", Some("go.example"));
        check("bücher.example", Some("xn--bcher-kva.example"));
        for same in [
            "BÜCHER.example",
            "BÜCHER。Example。",
            "bu\u{308}cher.example.",
            "XN--BCHER-KVA.example",
            "xn--bcher-kva.EXAMPLE.",
        ] {
            check(same, Some("xn--bcher-kva.example"));
        }
        check("localhost", Some("localhost"));
        check("127.0.0.1", Some("127.0.0.1"));
        check("[::1]", Some("[::1]"));
        for bad in [
            "",
            ".",
            "..",
            "a..",
            "a..b",
            "a b",
            "go.example:80",
            "https://go.example",
            "a/b",
            "-a.example",
            "a_b.example",
            "a\0b",
        ] {
            check(bad, None);
        }
        check(&"a".repeat(64), None);
        check(&"a.".repeat(200), None);
    }
}
