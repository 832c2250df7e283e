//! The hosts of this instance, so that no short link leads to another of its short links.

use std::sync::Arc;

use url::Host;
use waypost_core::destination::Destination;
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

    /// Whether a destination leads back here, on any port: one that is forwarded may be this same server. Only where
    /// this instance is reached by a name of the machine itself is another port another service.
    pub(crate) fn lead_back(&self, destination: &Destination) -> bool {
        let Some((host, port)) = host_and_port(destination.as_str()) else { return false };
        let host = host.strip_suffix('.').unwrap_or(host);
        let public_host = self.public_url.host().as_str();
        if is_loopback(public_host) && is_loopback(host) {
            let own_port = self.public_url.port_or_default();
            let port = port.unwrap_or(own_port);
            // A standard port is reached over both schemes, the one leading to the other.
            return port == own_port || (matches!(own_port, 80 | 443) && matches!(port, 80 | 443));
        }
        host == public_host || self.domains.iter().any(|domain| domain.host.as_str() == host)
    }
}

/// Host and port of a destination. It is serialised and has no user name, so they stand between `://` and the path: no
/// second parsing, which would take longer than all other checks of a link.
fn host_and_port(serialised: &str) -> Option<(&str, Option<u16>)> {
    let (scheme, rest) = serialised.split_once(':')?;
    let authority = rest.strip_prefix("//")?.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    match authority.rsplit_once(':') {
        // Any other colon is one of an IPv6 address in its brackets.
        Some((host, port)) if !port.ends_with(']') => Some((host, port.parse().ok())),
        Some(_) | None => {
            let port = match scheme {
                "http" => Some(80),
                "https" => Some(443),
                "ftp" => Some(21),
                _ => None,
            };
            Some((authority, port))
        }
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
    use proptest::prelude::*;
    use url::Url;
    use waypost_core::SchemePolicy;

    use super::*;

    fn schemes() -> SchemePolicy {
        SchemePolicy::with(&["mailto", "ftp", "app"]).expect("schemes")
    }

    #[track_caller]
    fn check(public_url: &str, destination: &str, expect: bool) {
        let public_url = PublicUrl::parse(public_url).expect("a public URL");
        let parsed = Destination::parse(destination, &schemes()).expect("a destination");
        assert_eq!(OwnHosts::new(&public_url, Arc::default()).lead_back(&parsed), expect, "{destination}");
    }

    #[track_caller]
    fn check_host_and_port(text: &str) {
        let Ok(destination) = Destination::parse(text, &schemes()) else { return };
        let url = Url::parse(destination.as_str()).expect("a destination is a URL");
        let expect = url.host_str().map(|host| (host, url.port_or_known_default()));
        assert_eq!(host_and_port(destination.as_str()), expect, "{destination:?}");
    }

    #[test]
    fn hosts_and_ports_are_those_of_the_url_parser() {
        for text in [
            "https://go.example",
            "http://GO.example:80?a=b:c",
            "https://go.example:8443#x:1",
            "http://[::1]",
            "http://[::1]:8080/",
            "http://127.1/",
            "https:go.example",
            "https:/\\go.example\\x",
            "https://b\u{fc}cher.example/a:b//c",
            "ftp://go.example/",
            "ftp://go.example:21/",
            "app://Host:1/x",
            "app://[::1]:1?x",
            "app:///x",
            "app://host#x",
            "app:x",
            "app:/x//y:1",
            "mailto:a@go.example",
        ] {
            check_host_and_port(text);
        }
    }

    proptest! {
        #[test]
        fn of_any_destination(scheme in "https?|ftp|app", rest in "[:/]{0,3}[a-zA-Z0-9.:/?#\\[\\]\\\\% -]{0,24}") {
            check_host_and_port(&format!("{scheme}:{rest}"));
        }
    }

    #[test]
    fn loops() {
        check("https://go.example", "https://go.example/x", true);
        check("https://go.example", "http://GO.example./x", true);
        check("https://go.example", "https://go.example:8443/x", true);
        check("https://go.example", "https://other.example/x", false);
        check("https://go.example", "https://go.example.other.example/", false);
        check("https://go.example", "mailto:a@go.example", false);
        check("http://127.0.0.1:8080", "http://localhost:8080/x", true);
        check("http://localhost:8080", "http://[::1]:8080/x", true);
        check("http://127.0.0.1:8080", "http://127.0.0.1:9000/x", false);
        check("https://go.example", "http://localhost/x", false);
        check("http://192.0.2.1:8080", "http://192.0.2.1:9000/x", true);
        check("https://go.example", "http://go.example:80/x", true);
    }
}
