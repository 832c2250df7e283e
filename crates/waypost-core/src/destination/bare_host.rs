//! Hosts that may lead visitors elsewhere or nowhere: bare addresses and names of a private network.

use url::{Host, Url};

use super::Destination;

/// Suffixes that no public host has (RFC 6761, 6762, 8375 and ICANN's reservation of `internal`), and those that
/// routers use.
const PRIVATE_ENDINGS: [&str; 9] =
    ["localhost", "local", "localdomain", "internal", "intranet", "home.arpa", "lan", "home", "corp"];

/// Whether a destination's host is an address of any kind, a name without a dot, or one of a private network.
pub fn is_bare_host(destination: &Destination) -> bool {
    match Url::parse(destination.as_str()).as_ref().map(Url::host) {
        Ok(Some(Host::Ipv4(_) | Host::Ipv6(_))) => true,
        Ok(Some(Host::Domain(name))) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let has_ending =
                |ending: &str| name.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            !name.contains('.') || PRIVATE_ENDINGS.into_iter().any(has_ending)
        }
        Ok(None) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::SchemePolicy;

    #[test]
    fn bare_and_private_hosts() {
        let is_bare = |url: &str| is_bare_host(&Destination::parse(url, &SchemePolicy::web()).expect(url));
        for url in [
            "http://127.0.0.1/",
            "http://10.0.0.1:8080/",
            "http://169.254.169.254/latest/",
            "http://192.0.2.1/",
            "http://[::1]/",
            "http://[2001:db8::1]/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://localhost./",
            "http://a.localhost:3000/",
            "http://router/",
            "http://printer.local/",
            "http://metadata.google.internal/",
            "http://nas.home.arpa/",
        ] {
            assert!(is_bare(url), "{url}");
        }
        for url in
            ["https://example.com/", "https://local.example/", "https://10.example/", "https://b\u{fc}cher.example/"]
        {
            assert!(!is_bare(url), "{url}");
        }
    }
}
