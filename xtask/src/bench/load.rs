//! Load on one server from one core: wrk with 64 connections, each of which sends the next request after each answer.
//!
//! Only what the server spends per request is taken from such a run. Its latencies would leave out the time that
//! requests wait to be sent; `open_loop.rs` measures those.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::peers::Peer;
use crate::apt;
use crate::run::{program, read, succeeds};

/// Connections of a run.
pub(crate) const CONNECTIONS: u32 = 64;

/// Headers as a browser sends them, for a navigation from another site.
pub(crate) const BROWSER_HEADERS: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
Accept-Language: en-US,en;q=0.9,de;q=0.8\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
Referer: https://news.example/articles/42\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
Sec-Fetch-Site: cross-site\r\nSec-Fetch-User: ?1\r\nUpgrade-Insecure-Requests: 1\r\n";
/// The most of a load with misses that may be answered with errors: about a tenth is requested in vain.
const MISSES_MAX: f64 = 0.12;

/// What is requested, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) links: u64,
    pub(crate) keys: Keys,
    pub(crate) headers: Headers,
    pub(crate) shape: Shape,
}

/// Which links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Each as likely as any other.
    Uniform,
    /// Each as likely as any other, and every tenth request for a link that does not exist.
    Misses,
    /// The k-th most popular one k times less often than the first.
    Zipf,
}

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headers {
    /// `Host` alone, as wrk sends it.
    Bare,
    /// Those of a browser.
    Browser,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One after the other on connections that stay.
    KeepAlive,
    /// Sixteen at a time on connections that stay.
    Pipelined,
    /// Each on a connection of its own.
    Connection,
}

/// A million links as browsers follow them.
pub(crate) const PLAIN: Load =
    Load { links: 1_000_000, keys: Keys::Uniform, headers: Headers::Browser, shape: Shape::KeepAlive };

/// As [`PLAIN`], with so many links.
pub(crate) const fn links(links: u64) -> Load {
    Load { links, ..PLAIN }
}

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    pub(crate) requests: u64,
    pub(crate) requests_per_s: f64,
    /// What the server spent on one, in microseconds, all threads.
    pub(crate) process_us: f64,
    /// The threads that redirect alone.
    pub(crate) edge_us: f64,
}

/// The generator.
#[derive(Debug)]
pub(crate) struct Generator {
    core: usize,
    scripts: PathBuf,
}

impl Generator {
    /// Finds wrk, or installs it. `None`, with a line that says so, where it cannot be had.
    pub(crate) fn find(core: usize, folder: &Path) -> anyhow::Result<Option<Self>> {
        // It prints its usage and fails where it is requested its version.
        if !succeeds(&mut program("sh", ["-c", "command -v wrk"])) {
            if !apt::is_available() {
                println!("SKIPPED: no wrk to make load with; install it (Debian: apt install wrk)");
                return Ok(None);
            }
            apt::install(&["wrk"])?;
        }
        Ok(Some(Self { core, scripts: folder.to_owned() }))
    }

    /// Loads a server for so many seconds.
    pub(crate) fn run(&self, peer: &Peer, load: Load, seconds: f64, seed: u64) -> anyhow::Result<Loaded> {
        let script = self.scripts.join("load.lua");
        fs::write(&script, load.script(seed))?;
        let core = self.core.to_string();
        let (url, connections) = (format!("http://{}", peer.address), CONNECTIONS.to_string());
        let arguments = ["-c", &core, "wrk", "-t", "1", "-c", &connections];
        let mut command = program("taskset", arguments);
        // Whole seconds or none: wrk reads no fractions.
        command.args(["-d", &format!("{}s", seconds.ceil() as u64), "-s"]).arg(&script).arg(url);
        let before = peer.core_time()?;
        let printed = read(&mut command)?;
        let after = peer.core_time()?;
        let (requests, took_s) = read_totals(&printed).with_context(|| format!("wrk printed {printed}"))?;
        ensure!(requests > 0, "{} answered nothing:\n{printed}", peer.name);
        let errors_max = if load.keys == Keys::Misses { MISSES_MAX } else { 0.0 };
        let errors = read_errors(&printed) as f64 / requests as f64;
        ensure!(errors <= errors_max, "{} answered some requests with errors:\n{printed}", peer.name);
        let each_us = |ns: u64| ns as f64 / 1e3 / requests as f64;
        Ok(Loaded {
            requests,
            requests_per_s: requests as f64 / took_s,
            process_us: each_us(after.process_ns - before.process_ns),
            edge_us: each_us(after.edge_ns - before.edge_ns),
        })
    }
}

impl Load {
    /// The Lua script by which wrk makes requests.
    fn script(self, seed: u64) -> String {
        let Self { links, keys, headers, shape } = self;
        let headers = match headers {
            Headers::Bare => String::new(),
            Headers::Browser => BROWSER_HEADERS.replace("\r\n", "\\r\\n"),
        };
        let connection = if shape == Shape::Connection { "Connection: close\\r\\n" } else { "" };
        let at_once = if shape == Shape::Pipelined { 16 } else { 1 };
        // A rank of a Zipf distribution with exponent 1 is close to links ^ u; the product scatters popular links.
        let draw = match keys {
            Keys::Uniform => "random(0, links - 1)",
            Keys::Misses => "random(0, floor(links * 10 / 9))",
            Keys::Zipf => "(floor(links ^ random()) * 1000003) % links",
        };
        format!(
            "local random, floor, links, concat = math.random, math.floor, {links}, table.concat\n\
             math.randomseed({seed})\n\
             local suffix = \" HTTP/1.1\\r\\nHost: go.example\\r\\n{headers}{connection}\\r\\n\"\n\
             local parts = {{}}\n\
             request = function()\n  \
               for i = 1, {at_once} do parts[i] = string.format(\"GET /%08x\", {draw}) .. suffix end\n  \
               return concat(parts, '', 1, {at_once})\n\
             end\n"
        )
    }
}

/// `  123456 requests in 3.00s, 12.3MB read`
fn read_totals(printed: &str) -> Option<(u64, f64)> {
    let line = printed.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let time = rest.split(',').next()?;
    let seconds = match (time.strip_suffix("ms"), time.strip_suffix('s')) {
        (Some(ms), _) => ms.parse::<f64>().ok()? / 1e3,
        (None, Some(s)) => s.parse().ok()?,
        (None, None) => time.strip_suffix('m')?.parse::<f64>().ok()? * 60.0,
    };
    Some((requests.parse().ok()?, seconds))
}

/// `  Non-2xx or 3xx responses: 12`; the line is missing if there were none.
fn read_errors(printed: &str) -> u64 {
    let line = printed.lines().find_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read() {
        assert_eq!(read_errors("  9 requests in 1.00s, 1B read\n  Non-2xx or 3xx responses: 12\n"), 12);
        assert_eq!(read_errors("  9 requests in 1.00s, 1B read\n"), 0);
    }

    #[test]
    fn totals_are_read() {
        assert_eq!(read_totals("x\n  250111 requests in 3.10s, 40.01MB read\n"), Some((250_111, 3.1)));
        assert_eq!(read_totals("  1 requests in 999.50ms, 1B read"), Some((1, 0.9995)));
        assert_eq!(read_totals("  1 requests in 1.50m, 1B read"), Some((1, 90.0)));
        assert_eq!(read_totals("nothing"), None);
    }
}
