//! The servers that are measured side by side, each on the same core: the product, nginx with one hard-coded redirect,
//! and an empty hyper server as the floor.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use waypost_testkit::port::ReservedPort;
use waypost_testkit::{http, wait_until};

use crate::apt;
use crate::run::{program, read, succeeds};

/// How long a server may take until it answers: ten million links are opened, not read.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Looks in a row at which a thread has had no more time; there is some between one and the next.
const QUIET_LOOKS: u32 = 30;
/// How long the product may take to read its table ahead.
const READ_AHEAD_TIME_MAX: Duration = Duration::from_secs(120);

/// A running server that is measured. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// The process whose time is counted.
    process_id: u32,
    process: Child,
    /// Held, because a program that cannot say where it listens ends.
    _output: Option<BufReader<ChildStdout>>,
}

/// Time on the core since the start, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CoreTime {
    /// Of all threads.
    pub(crate) process_ns: u64,
    /// Of the threads that redirect; of all where they have no names of their own.
    pub(crate) edge_ns: u64,
}

impl Peer {
    /// The time that it has had on a core so far.
    pub(crate) fn core_time(&self) -> anyhow::Result<CoreTime> {
        let mut time = CoreTime::default();
        let mut has_edge = false;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process_id))? {
            let folder = thread?.path();
            // A thread may have ended since it was listed.
            let Ok(text) = fs::read_to_string(folder.join("schedstat")) else { continue };
            let ns: u64 = text.split_whitespace().next().context("schedstat is empty")?.parse()?;
            time.process_ns += ns;
            if fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.starts_with("edge-")) {
                has_edge = true;
                time.edge_ns += ns;
            }
        }
        if !has_edge {
            time.edge_ns = time.process_ns;
        }
        Ok(time)
    }

    /// The time on a core of its threads whose names begin so, in nanoseconds.
    fn thread_ns(&self, name: &str) -> anyhow::Result<u64> {
        let mut ns = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process_id))? {
            let folder = thread?.path();
            // A thread may have ended since it was listed.
            let Ok(text) = fs::read_to_string(folder.join("schedstat")) else { continue };
            if fs::read_to_string(folder.join("comm")).is_ok_and(|comm| comm.starts_with(name)) {
                ns += text.split_whitespace().next().context("schedstat is empty")?.parse::<u64>()?;
            }
        }
        Ok(ns)
    }

    /// Memory that is its own, in bytes: what it shares with files (the link table) is not counted.
    pub(crate) fn private_bytes(&self) -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process_id))?;
        let kilobytes = |field: &str| {
            let line = text.lines().find(|line| line.starts_with(field))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let anonymous = kilobytes("Anonymous:").context("smaps_rollup has no Anonymous")?;
        Ok(anonymous << 10)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // SIGTERM, so that nginx takes its worker along; both fail only when it is already gone.
        let _ = program("kill", ["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// The cores of what is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// Of everything that redirects.
    pub(crate) edge: usize,
    /// Of the load, and of what the product does beside redirecting.
    pub(crate) other: usize,
}

/// Starts the product on a data folder, with one thread that redirects, which has its core to itself.
pub(crate) fn waypost(name: &str, binary: &Path, folder: &Path, clicks: bool, cores: Cores) -> anyhow::Result<Peer> {
    let mut command = pinned(cores.other, binary);
    command.arg("serve").arg("--data-dir").arg(folder).args(["--listen", "127.0.0.1:0", "--threads", "1"]);
    // Clients of a measurement ask on one connection for ever, and some of them for what is not there.
    command.args(["--limits-requests-per-connection-max", "0", "--limits-miss-rate", "off"]);
    command.args(["--log", "warn", "--api-rate", "off", "--clicks-enabled", if clicks { "true" } else { "false" }]);
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("start the product")?;
    let mut output = BufReader::new(process.stdout.take().context("standard output")?);
    let mut printed = String::new();
    output.read_line(&mut printed)?;
    let address = printed.split("http://").nth(1).and_then(|address| address.trim().parse().ok());
    let Some(address) = address else {
        let _ = process.kill();
        let _ = process.wait();
        bail!("the product printed {printed:?} and no address");
    };
    part_threads(process.id(), cores)?;
    Ok(Peer { name: name.to_owned(), address, process_id: process.id(), process, _output: Some(output) })
}

/// Moves the threads that redirect to their core. Threads that start later stay on the other.
fn part_threads(process_id: u32, cores: Cores) -> anyhow::Result<()> {
    for thread in fs::read_dir(format!("/proc/{process_id}/task"))? {
        let folder = thread?.path();
        if fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.starts_with("edge-")) {
            let id = folder.file_name().context("a thread has an id")?.to_string_lossy().into_owned();
            ensure!(succeeds(&mut program("taskset", ["-pc", &cores.edge.to_string(), &id])), "a thread has no core");
        }
    }
    Ok(())
}

/// Starts nginx, installing it where it is not here. One worker, no log, a hard-coded redirect.
pub(crate) fn nginx(folder: &Path, core: usize) -> anyhow::Result<Option<Peer>> {
    if !succeeds(&mut program("nginx", ["-v"])) {
        if !apt::is_available() {
            println!("SKIPPED: no nginx to compare with; install it (Debian: apt install nginx-light)");
            return Ok(None);
        }
        apt::install(&["nginx-light"])?;
    }
    let port = ReservedPort::new()?;
    let address = port.address();
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder)?;
    let configuration = format!(
        "worker_processes 1;\nworker_cpu_affinity {:b};\nerror_log stderr crit;\npid {}/pid;\ndaemon off;\n\
         events {{ worker_connections 20000; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n  tcp_nodelay on;\n  server_tokens off;\n  \
         server {{ listen {address} backlog=4096; location / {{ return 302 https://example.com/articles/2026/00000000; }} }}\n}}\n",
        1_u64 << core,
        folder.display(),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = program("nginx", ["-p".into(), folder.clone(), "-c".into(), file]);
    let process = command.stdin(Stdio::null()).spawn().context("start nginx")?;
    let mut peer = Peer { name: "nginx".to_owned(), address, process_id: process.id(), process, _output: None };
    wait_answering(&peer)?;
    // The master only waits; the worker redirects.
    let workers = read(&mut program("pgrep", ["-P", &peer.process_id.to_string()]))?;
    peer.process_id = workers.trim().parse().context("nginx has one worker")?;
    Ok(Some(peer))
}

/// Starts the empty hyper server.
pub(crate) fn floor(binary: &Path, core: usize) -> anyhow::Result<Peer> {
    let port = ReservedPort::new()?;
    let address = port.address();
    let process = pinned(core, binary).arg(address.to_string()).stdin(Stdio::null()).spawn()?;
    let peer = Peer { name: "hyper".to_owned(), address, process_id: process.id(), process, _output: None };
    wait_answering(&peer)?;
    Ok(peer)
}

/// Waits until the product has read its table ahead: until the thread that does so has had no time on a core for a
/// while.
pub(crate) fn wait_read_ahead(peer: &Peer) -> anyhow::Result<()> {
    let (mut last, mut looks) = (None, 0);
    let is_done = || {
        let now = peer.thread_ns("table-warm").unwrap_or_default();
        looks = if last.replace(now) == Some(now) { looks + 1 } else { 0 };
        looks >= QUIET_LOOKS
    };
    wait_until(READ_AHEAD_TIME_MAX, "the table in memory", is_done)
        .with_context(|| format!("read the table of {}", peer.name))
}

/// Waits until it redirects.
pub(crate) fn wait_answering(peer: &Peer) -> anyhow::Result<()> {
    let answers = || http::get(peer.address, "/00000000").is_ok_and(|answer| answer.status == 302);
    wait_until(START_TIME_MAX, "a redirect", answers).with_context(|| format!("start {}", peer.name))
}

/// A program on one core.
fn pinned(core: usize, binary: &Path) -> Command {
    let mut command = program("taskset", ["-c", &core.to_string()]);
    command.arg(binary);
    command
}

/// Makes a data folder with so many links, unless an earlier run left it: ten million take a while. What that run
/// counted of clicks goes, so that every run begins alike.
pub(crate) fn filled_folder(programs: &Path, under: &Path, links: u64, kind: &str) -> anyhow::Result<PathBuf> {
    let folder = under.join(format!("links-{kind}-{links}"));
    let marker = folder.join("filled");
    if !marker.exists() {
        let _ = fs::remove_dir_all(&folder);
        fill(programs, &folder, links, kind)?;
        fs::write(&marker, "")?;
    }
    forget_clicks(&folder)?;
    Ok(folder)
}

/// Removes what the product keeps of clicks in a data folder.
fn forget_clicks(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "spool" {
            fs::remove_dir_all(entry.path())?;
        } else if name.starts_with("clicks.db") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Fills the table of a new data folder.
pub(crate) fn fill(programs: &Path, folder: &Path, links: u64, kind: &str) -> anyhow::Result<()> {
    println!("filling a table with {links} {kind} links ...");
    let mut command = Command::new(programs.join("examples/fill_table"));
    command.arg(folder).args([&links.to_string(), kind]);
    ensure!(command.status()?.success(), "the table could not be filled");
    Ok(())
}
