//! `waypost serve`: starts all parts, waits for the signal to stop, and stops them in order.
//!
//! The edge has threads of its own; everything else runs on the control runtime. [`bridge`] passes requests
//! that are not redirects from one to the other.

mod bridge;
mod countries;
mod descriptors;
pub(crate) mod heap;
mod local_socket;
mod opening;
mod running;
mod vital;
mod warm;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use url::Url;
use waypost_control::PublicUrl;
use waypost_core::visitor::day_of;
use waypost_edge::{ClickRecording, Edge, EdgeConfig, EdgeError, HostPolicy};

use crate::clock;
use crate::config::Config;
use crate::config::types::is_this_machine;
use crate::data_dir::{DataDir, InstanceLock, default_data_dir};
use crate::instance::{DatabasePlaces, LocalParts};
use crate::print;
use crate::serve::bridge::Bridge;
use crate::serve::local_socket::LocalSocket;
use crate::serve::opening::Opening;
use crate::serve::running::Running;
use crate::serve::vital::Vital;
use crate::serve::warm::Warmer;
use crate::visitor_salts::VisitorSalts;

/// Threads of the control runtime.
const CONTROL_THREADS: usize = 2;
/// How often expired salts are looked for.
const SALTS_CHECKED_EVERY: Duration = Duration::from_secs(600);
/// How long blocking work of the control plane may continue once everything else has stopped.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(5);

/// Serves until the process gets SIGTERM or SIGINT.
///
/// # Errors
/// If a part cannot be started; nothing is left running then.
pub(crate) fn serve(config: &Config) -> anyhow::Result<()> {
    heap::return_free_memory();
    let descriptors = descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control runtime")?;
    let served = run(&runtime, config, descriptors);
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    served
}

/// Locks the data folder, and warns if the last process that had it did not release it.
fn lock(data_dir: &DataDir) -> anyhow::Result<InstanceLock> {
    let lock = data_dir.lock()?;
    if let Some(process_id) = lock.died() {
        tracing::warn!(
            process.id = process_id,
            "the last process of this data folder did not end by itself: it was killed, or the power failed. If the \
             system's log says SIGBUS, a file in the folder was truncated or overwritten while the process ran"
        );
    }
    Ok(lock)
}

/// `descriptors` is how many files and connections may be open.
fn run(runtime: &Runtime, config: &Config, descriptors: Option<u64>) -> anyhow::Result<()> {
    probe_addresses(&config.listen).map_err(|error| with_advice(error, config))?;
    let data_dir = DataDir::create(config.data_dir()?)?;
    let lock = lock(&data_dir)?;
    // Before anything starts that an early signal would interrupt.
    let signals = runtime.block_on(async { Signals::listen() })?;
    let opening = runtime.block_on(Opening::begin(DatabasePlaces::new(config, &data_dir)?, &data_dir.table()))?;
    let local = runtime.block_on(LocalParts::open(config, &data_dir, lock))?;
    let bridge = Bridge::new(runtime.handle().clone(), Arc::clone(&local.table));
    let countries = countries::database(config.country_database.as_deref(), &data_dir);
    let mut edge_config = EdgeConfig { countries: Some(Arc::clone(&countries)), ..edge_config(config, &local) };
    let threads = edge_config.threads.get();
    descriptors::fit_connections(&mut edge_config.limits, descriptors, threads);
    let edge = waypost_edge::start(edge_config, Arc::clone(&local.table), bridge.handler())?;
    let warmer = Warmer::start(Arc::clone(&local.table)).context("start the thread that reads the table ahead")?;
    let vital = Arc::new(Vital::default());
    let countries = runtime.spawn(countries::keep_current(countries, config.country_database.is_some()));
    vital.watch_task("the task that reads the country database", &countries);
    let salts = runtime.spawn(destroy_old_salts(Arc::clone(&local.visitor_salts)));
    vital.watch_task("the task that destroys old salts", &salts);
    let public_url = config.public_url.clone().map_or_else(|| default_public_url(edge.local_addrs()), Ok)?;
    let (refuse, refused) = oneshot::channel();
    let (control, waiting) = match opening {
        Ok(databases) => {
            let started = opening::start(databases, local.clone(), config, public_url.clone(), (&bridge, &vital));
            (Some(runtime.block_on(started)?), None)
        }
        Err(opening) => {
            let (asked, parts) = ((config.clone(), public_url.clone()), (bridge.clone(), Arc::clone(&vital)));
            let waiting = runtime.spawn(opening.start_when_open(local.clone(), asked, parts, refuse));
            let (task, bridge) = (waiting.abort_handle(), bridge.clone());
            vital
                .watch(move || (task.is_finished() && !bridge.is_open()).then_some("the task that opens the database"));
            (None, Some(waiting))
        }
    };
    let socket = runtime.block_on(async { LocalSocket::open(&data_dir, bridge.router()) })?;
    print_start(&edge, &public_url, config.public_url.is_none(), &data_dir)?;

    let spool = local.spool.clone();
    vital.watch(move || spool.ended_thread());
    let look = || edge.ended_thread().or_else(|| warmer.ended_thread()).or_else(|| socket.ended_task());
    let end = runtime.block_on(async {
        tokio::select! {
            name = signals.wait() => End::Signal(name),
            name = vital.ends(look) => End::PartEnded(name),
            Ok(error) = refused => End::Refused(error),
        }
    });
    match end {
        End::Signal(name) => tracing::info!("{name}: stopping"),
        End::PartEnded(name) => {
            tracing::error!("{name} has ended unexpectedly: stopping, so that the process is restarted");
            vital::end_for_certain(config.drain_timeout);
        }
        End::Refused(_) => {}
    }
    drop(vital);
    Running { edge, warmer, control, waiting, socket, local }.stop(runtime, config.drain_timeout);
    match end {
        End::Signal(_) => tracing::info!("stopped"),
        End::PartEnded(_) => return Err(PartEnded.into()),
        End::Refused(error) => return Err(error),
    }
    Ok(())
}

/// Why the server ends.
enum End {
    /// By this signal.
    Signal(&'static str),
    /// This part ended unexpectedly.
    PartEnded(&'static str),
    /// The database refuses us.
    Refused(anyhow::Error),
}

/// A part ended unexpectedly.
#[derive(Debug, thiserror::Error)]
#[error("a part of the server ended unexpectedly")]
struct PartEnded;

/// Finds a port that is in use before anything is opened or created. The edge binds the ports again later.
fn probe_addresses(addresses: &[SocketAddr]) -> Result<(), EdgeError> {
    for &address in addresses.iter().filter(|address| address.port() != 0) {
        TcpListener::bind(address).map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => EdgeError::AddressInUse { address },
            _ => EdgeError::Listen { address, source },
        })?;
    }
    Ok(())
}

/// An address that cannot be listened on, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{source}: {advice}")]
struct PortTaken {
    source: EdgeError,
    advice: String,
}

fn with_advice(error: EdgeError, config: &Config) -> anyhow::Error {
    let EdgeError::AddressInUse { address } = error else { return error.into() };
    let data_dir = config.data_dir().ok();
    let advice = match data_dir.and_then(|path| Some((path, DataDir::process_in(path)?))) {
        Some((path, process_id)) => format!(
            "Waypost (process {process_id}) already runs on the data folder {}, and commands such as `waypost link create` work \
             while it runs. To start it again, stop that process first",
            path.display()
        ),
        None => {
            let another = SocketAddr::new(address.ip(), address.port().checked_add(1).unwrap_or(8080));
            format!("stop the program that listens there, or choose another address, such as --listen {another}")
        }
    };
    PortTaken { source: error, advice }.into()
}

fn edge_config(config: &Config, local: &LocalParts) -> EdgeConfig {
    let defaults = EdgeConfig::new(config.listen.clone(), Arc::clone(&local.grant_key));
    EdgeConfig {
        threads: config.threads.unwrap_or(defaults.threads),
        limits: config.limits.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        country_header: config.country_header.clone(),
        clicks: config.clicks.enabled.then(|| recording(config, local)),
        hosts: if config.public_url.is_some() { HostPolicy::Strict } else { HostPolicy::AnyIsDefault },
        ..defaults
    }
}

fn recording(config: &Config, local: &LocalParts) -> ClickRecording {
    let salts = config.clicks.visitors.then(|| Arc::clone(&local.visitor_salts));
    ClickRecording {
        spool: local.spool.clone(),
        address_policy: config.clicks.addresses,
        salt_of_day: Arc::new(move |day| salts.as_ref()?.of_day(day)),
    }
}

/// Destroys expired salts within an hour, even if there are no clicks.
async fn destroy_old_salts(salts: Arc<VisitorSalts>) {
    loop {
        salts.destroy_old(day_of(clock::now().as_micros()));
        tokio::time::sleep(SALTS_CHECKED_EVERY).await;
    }
}

/// The public URL if none is set: the first listen address as this machine reaches it.
pub(crate) fn default_public_url(addresses: &[SocketAddr]) -> anyhow::Result<PublicUrl> {
    let address = addresses.first().context("no address to listen on is configured")?;
    let ip = address.ip();
    let text = match ip {
        _ if ip.is_loopback() || ip.is_unspecified() => format!("http://localhost:{}", address.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => format!("http://{address}"),
    };
    Ok(PublicUrl::parse(&text)?)
}

fn print_start(edge: &Edge, public_url: &PublicUrl, is_guessed: bool, data_dir: &DataDir) -> anyhow::Result<()> {
    for address in edge.local_addrs() {
        print::line(&format!("Listening on      http://{address}"))?;
    }
    print::line(&format!("Short links       {}/...", public_url.origin()))?;
    if is_guessed && edge.local_addrs().iter().any(|address| !address.ip().is_loopback()) {
        let is_local = Url::parse(public_url.origin()).is_ok_and(|url| is_this_machine(&url));
        let reach = if is_local { "works on this machine only" } else { "is a guess" };
        print::line(&format!(
            "                  No public URL is set: short URLs begin with {}, which {reach}.",
            public_url.origin()
        ))?;
        print::line("                  Give the address that visitors use, such as --public-url https://go.example")?;
    }
    print::line(&format!("Data              {}", data_dir.path().display()))?;
    print::line(&format!("New API key       waypost key create --name me{}", folder_flag(data_dir.path())))?;
    Ok(())
}

/// The flag with which a command finds this data folder; empty if it is the default one.
fn folder_flag(path: &Path) -> String {
    let default = default_data_dir().and_then(|default| default.canonicalize().ok());
    if default.as_deref() == Some(path) {
        return String::new();
    }
    let text = path.display().to_string();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if is_plain { format!(" --data-dir {text}") } else { format!(" --data-dir '{}'", text.replace('\'', r#"'"'"'"#)) }
}

/// The signals to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn default_public_urls() {
        for (address, expect) in [
            ("127.0.0.1:8080", "http://localhost:8080"),
            ("[::]:80", "http://localhost"),
            ("192.0.2.7:8080", "http://192.0.2.7:8080"),
            ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ] {
            assert_eq!(default_public_url(&[address.parse().unwrap()]).unwrap().origin(), expect);
        }
    }
}
