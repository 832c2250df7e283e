//! What a running edge can be told, with the defaults it has otherwise.

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

/// Everything [`start`](crate::start) needs beside the table and the control handler.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Addresses to listen on. Port 0 takes a free port, the same one for all threads.
    pub listen: Vec<SocketAddr>,
    /// Threads, each with a runtime and a listener of its own for every address.
    pub threads: NonZeroUsize,
    /// Sizes, times and numbers at which the edge says no.
    pub limits: Limits,
    /// Peers whose forwarded headers are believed. Empty: nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which a trusted proxy names the visitor's country, such as `cf-ipcountry`. `None`: no country.
    pub country_header: Option<HeaderName>,
    /// What to do with hosts that no domain is configured for.
    pub hosts: HostPolicy,
    /// Where countries come from when no header says. `None`: nowhere.
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

/// Sizes, times and numbers at which the edge says no.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Request line and headers of one request, in bytes; more is answered 431. At least 8,192.
    pub head_bytes_max: usize,
    /// The request target, in bytes; more is answered 414.
    pub target_bytes_max: usize,
    /// From the first byte of a request (or from the connection's start) to the end of its headers; then 408.
    pub head_read_timeout: Duration,
    /// For the body of a request to come; then 408. Time in which the server does not ask for more of it does not count.
    pub body_read_timeout: Duration,
    /// At least so many bytes a second a body may come and take longer than that.
    pub body_bytes_per_s_min: u64,
    /// Between an answer and the next request on the connection; then it is closed.
    pub idle_timeout: Duration,
    /// Without the peer taking a single byte of what is written to it; then the connection is closed.
    pub write_timeout: Duration,
    /// Age of a connection after which it is closed at the next pause. A running answer is not cut.
    pub connection_age_max: Duration,
    /// Requests on one connection, after which it is closed. `None`: no limit.
    pub requests_per_connection_max: Option<u64>,
    /// Connections open at once in the whole process. For another one the one that has been waited for longest is closed; where
    /// all are being answered, one that pipelines requests, or else the one whose answer takes longest.
    pub connections_max: usize,
    /// Connections open at once from one IPv4 address or IPv6 /64, in the same way, but no answer is cut that is
    /// waited for: the new one is told 503 then. Neither loopback nor trusted proxies count.
    pub connections_per_network_max: u32,
    /// How many links that do not exist one IPv4 address or IPv6 /64 may ask for; then 429 in place of 404. Links that exist
    /// are followed all the same. `None`: no limit.
    pub miss_rate: Option<MissRate>,
}

/// So many misses in a time on average, and up to `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissRate {
    /// Misses within the time.
    pub count: u32,
    /// The time, in seconds.
    pub per_s: u32,
    /// Misses that may come at once after a pause.
    pub burst: u32,
}

impl MissRate {
    /// More than people make, by far, and less than a scanner needs.
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
