//! Which hosts are ours, so that no short link leads to short links of the same instance.

use std::sync::Arc;

use url::{Host, Url};
use waypost_store::Domain;

use crate::settings::PublicUrl;

/// The hosts of this instance.
pub(crate) struct OwnHosts<'a> {
    public_url: &'a PublicUrl,
    domains: Arc<Vec<Domain>>,
}

impl<'a> OwnHosts<'a> {
    pub(crate) const fn new(public_url: &'a PublicUrl, domains: Arc<Vec<Domain>>) -> Self {
        Self { public_url, domains }
    }

    /// Whether a destination leads back here. A host of ours with another port is another service.
    pub(crate) fn lead_back(&self, destination: &str) -> bool {
        let Ok(url) = Url::parse(destination) else { return false };
        let Some(host) = url.host_str() else { return false };
        let host = host.strip_suffix('.').unwrap_or(host);
        let own_port = self.public_url.port_or_default();
        let port = url.port_or_known_default().unwrap_or(own_port);
        // A public address on a standard port is reached over both schemes, the one leading to the other.
        let is_own_port = port == own_port || (matches!(own_port, 80 | 443) && matches!(port, 80 | 443));
        let public_host = self.public_url.host().as_str();
        is_own_port
            && (host == public_host
                || self.domains.iter().any(|domain| domain.host.as_str() == host)
                || (is_loopback(host) && is_loopback(public_host)))
    }
}

/// Whether a host is an address, or a name for this very machine.
pub(crate) fn is_address_or_local(destination: &str) -> bool {
    match Url::parse(destination).as_ref().map(Url::host) {
        Ok(Some(Host::Ipv4(_) | Host::Ipv6(_))) => true,
        Ok(Some(Host::Domain(name))) => is_loopback(name.strip_suffix('.').unwrap_or(name)),
        Ok(None) | Err(_) => false,
    }
}

fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Ok(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(public_url: &str, destination: &str, expect: bool) {
        let public_url = PublicUrl::parse(public_url).expect("a public URL");
        assert_eq!(OwnHosts::new(&public_url, Arc::default()).lead_back(destination), expect, "{destination}");
    }

    #[test]
    fn loops() {
        check("https://go.example", "https://go.example/x", true);
        check("https://go.example", "http://GO.example./x", true);
        check("https://go.example", "https://go.example:8443/x", false);
        check("https://go.example", "https://other.example/x", false);
        check("https://go.example", "https://go.example.other.example/", false);
        check("https://go.example", "mailto:a@go.example", false);
        check("http://127.0.0.1:8080", "http://localhost:8080/x", true);
        check("http://localhost:8080", "http://[::1]:8080/x", true);
        check("http://127.0.0.1:8080", "http://127.0.0.1:9000/x", false);
        check("https://go.example", "http://localhost/x", false);
    }

    #[test]
    fn addresses() {
        for url in ["http://127.0.0.1/", "http://[2001:db8::1]/", "http://localhost./", "http://0x7f.1/"] {
            assert!(is_address_or_local(url), "{url}");
        }
        assert!(!is_address_or_local("https://example.com/"));
    }
}
