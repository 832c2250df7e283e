//! The configuration of an edge, and its defaults.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use hyper::header::HeaderName;
use ipnet::IpNet;

use crate::clicks::ClickRecording;
use crate::country::CountryDatabase;
use crate::grant::GrantKey;
use crate::host::HostPolicy;

/// Everything that [`start`](crate::start) needs besides the table and the control handler.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Addresses to listen on. Port 0 takes a free port, the same one for all threads.
    pub listen: Vec<SocketAddr>,
    /// Threads, each with a runtime and a listener of its own for every address.
    pub threads: NonZeroUsize,
    /// Limits on sizes, times and numbers.
    pub limits: Limits,
    /// Peers whose forwarded headers are trusted. Empty: none.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which a trusted proxy names the visitor's country, such as `cf-ipcountry`. `None`: no country.
    pub country_header: Option<HeaderName>,
    /// What to do with hosts that no domain is configured for.
    pub hosts: HostPolicy,
    /// The source of countries if no header names one. `None`: no source.
    pub countries: Option<Arc<CountryDatabase>>,
    /// Whether plain requests are answered without the HTTP engine. Their answers are the same; off, to compare.
    pub plain_requests: bool,
    /// How clicks are recorded. `None`: not at all.
    pub clicks: Option<ClickRecording>,
    /// The key that unlock grants are signed with. Until it is known, nothing is unlocked.
    pub grant_key: Arc<OnceLock<GrantKey>>,
}

impl EdgeConfig {
    /// The default configuration for these addresses: a thread per core, no trusted proxy, any host served.
    pub fn new(listen: Vec<SocketAddr>, grant_key: Arc<OnceLock<GrantKey>>) -> Self {
        Self {
            listen,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            country_header: None,
            hosts: HostPolicy::AnyIsDefault,
            countries: None,
            plain_requests: true,
            clicks: None,
            grant_key,
        }
    }
}

/// Limits on sizes, times and numbers.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Request line and headers of one request, in bytes; more is answered 431. At least 8,192.
    pub head_bytes_max: usize,
    /// The request target, in bytes; more is answered 414.
    pub target_bytes_max: usize,
    /// From the first byte of a request (or from the connection's start) to the end of its headers; then 408.
    pub head_read_timeout: Duration,
    /// The time for the body of a request to arrive; then 408. Time in which the server does not read it does not
    /// count.
    pub body_read_timeout: Duration,
    /// A body that arrives with at least this many bytes a second may take longer.
    pub body_bytes_per_s_min: u64,
    /// The time between an answer and the next request on the connection; then it is closed.
    pub idle_timeout: Duration,
    /// The time in which the peer accepts no byte that is written to it; then the connection is closed.
    pub write_timeout: Duration,
    /// The age of a connection after which it is closed at the next pause. A running answer is not cut off.
    pub connection_age_max: Duration,
    /// Requests on one connection, after which it is closed. `None`: no limit.
    pub requests_per_connection_max: Option<u64>,
    /// Connections open at once in the whole process. To admit another one, the connection that has made the server
    /// wait longest is closed; if all are being answered, one that pipelines requests, otherwise the one whose answer
    /// takes longest.
    pub connections_max: usize,
    /// Connections open at once from one IPv4 address or IPv6 /64, in the same way, but no answer that a peer waits for
    /// is cut off: the new connection is answered 503 then. Neither loopback nor trusted proxies count.
    pub connections_per_network_max: u32,
    /// How many links that do not exist one IPv4 address or IPv6 /64 may request; then 429 instead of 404. Existing
    /// links still redirect. `None`: no limit.
    pub miss_rate: Option<MissRate>,
}

/// A limit on misses: a number in a time on average, and up to `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissRate {
    /// Misses within the time.
    pub count: u32,
    /// The time, in seconds.
    pub per_s: u32,
    /// Misses that are allowed at once after a pause.
    pub burst: u32,
}

impl MissRate {
    /// Far more than people need, and less than a scanner needs.
    pub const USUAL: Self = Self { count: 300, per_s: 60, burst: 600 };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            target_bytes_max: 8 * 1024,
            head_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(15),
            body_bytes_per_s_min: 64 * 1024,
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            connection_age_max: Duration::from_secs(600),
            requests_per_connection_max: Some(10_000),
            connections_max: 100_000,
            connections_per_network_max: 256,
            miss_rate: Some(MissRate::USUAL),
        }
    }
}
