//! Starts and stops the threads and their runtimes, and lets running requests finish.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use waypost_table::Table;

use crate::accept::{Acceptor, Stop};
use crate::admission::Admission;
use crate::answer::ControlHandler;
use crate::clicks::Recorder;
use crate::client::Proxies;
use crate::config::EdgeConfig;
use crate::error::EdgeError;
use crate::listen::Listeners;
use crate::misses::Misses;
use crate::notices::FaultLog;
use crate::notices::Notices;
use crate::shared::Shared;
use crate::thread::Thread;

/// A running edge. Dropping it cuts every connection; [`Edge::shutdown`] lets them finish.
#[derive(Debug)]
pub struct Edge {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<Option<Stop>>,
    threads: Vec<JoinHandle<DrainReport>>,
}

/// How the connections that were open at a shutdown ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Closed in order: idle ones at once, others after their answer.
    pub finished: usize,
    /// Cut at the deadline.
    pub cut: usize,
}

/// Starts an edge: when this returns, every address is being listened on. Requests that are not redirects go to
/// `control`.
///
/// # Errors
/// If an address cannot be listened on, or a thread cannot be started; nothing is left running then.
pub fn start(config: EdgeConfig, table: Arc<Table>, control: ControlHandler) -> Result<Edge, EdgeError> {
    if config.listen.is_empty() {
        return Err(EdgeError::NoAddress);
    }
    let listeners = Listeners::bind(&config.listen, config.threads.get())?;
    let admission = Arc::new(Admission::new(&config.limits));
    let misses = config.limits.miss_rate.map(Misses::new);
    let shared = Arc::new(Shared {
        table,
        control,
        limits: config.limits,
        proxies: Proxies::new(config.trusted_proxies, config.country_header),
        hosts: config.hosts,
        plain_requests: config.plain_requests,
        countries: config.countries,
        grant_key: config.grant_key,
        faults: FaultLog::default(),
        misses,
        notices: Notices::default(),
    });
    let (stop, stopped) = watch::channel(None);
    let mut edge = Edge { addresses: listeners.addresses, stop, threads: Vec::new() };
    for (number, sockets) in listeners.by_thread.into_iter().enumerate() {
        let recorder = config.clicks.as_ref().map(Recorder::open).transpose()?;
        let parts = ThreadParts {
            sockets,
            shared: shared.clone(),
            admission: admission.clone(),
            recorder,
            stop: stopped.clone(),
        };
        edge.threads.push(parts.spawn(number).map_err(EdgeError::Thread)?);
    }
    Ok(edge)
}

impl Edge {
    /// The addresses listened on, in the order of the configuration and with the ports that were chosen.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What has ended although it was not ordered to: a thread, or one of its accept loops, with which the thread ends.
    /// Its connections are cut then, and new ones come to the other threads, as long as there are any.
    pub fn ended_thread(&self) -> Option<&'static str> {
        self.threads.iter().any(JoinHandle::is_finished).then_some("a thread that redirects")
    }

    /// Stops accepting, closes idle connections at once, lets running requests finish, and cuts what is left after
    /// `deadline`. Blocks the calling thread that long at most.
    pub fn shutdown(mut self, deadline: Duration) -> DrainReport {
        self.stop_threads(deadline)
    }

    fn stop_threads(&mut self, deadline: Duration) -> DrainReport {
        self.stop.send_replace(Some(Stop { cut_at: Instant::now() + deadline }));
        let mut total = DrainReport::default();
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(report) => {
                    total.finished += report.finished;
                    total.cut += report.cut;
                }
                Err(_) => tracing::error!("an edge thread panicked"),
            }
        }
        total
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop_threads(Duration::ZERO);
    }
}

/// The arguments of one thread.
struct ThreadParts {
    sockets: Vec<std::net::TcpListener>,
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    recorder: Option<Recorder>,
    stop: watch::Receiver<Option<Stop>>,
}

impl ThreadParts {
    /// Starts the thread and waits until it listens.
    fn spawn(self, number: usize) -> io::Result<JoinHandle<DrainReport>> {
        let (ready, is_ready) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(format!("edge-{number}")).spawn(move || {
            let wakes = Arc::new(AtomicU64::new(0));
            let woken = wakes.clone();
            let started = Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .on_thread_unpark(move || {
                    woken.fetch_add(1, Ordering::Relaxed);
                })
                .build_local(LocalOptions::default())
                .and_then(|runtime| Ok((self.start(&runtime, wakes)?, runtime)));
            match started {
                Ok((started, runtime)) => {
                    // A gone receiver is a gone edge; the thread sees that in `stop`.
                    let _ = ready.send(Ok(()));
                    runtime.block_on(started.serve())
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                    DrainReport::default()
                }
            }
        })?;
        match is_ready.recv() {
            Ok(outcome) => outcome.map(|()| thread),
            Err(_) => Err(io::Error::other("the thread ended while it started")),
        }
    }

    fn start(self, runtime: &LocalRuntime, wakes: Arc<AtomicU64>) -> io::Result<Started> {
        let acceptor = Acceptor {
            thread: Rc::new(Thread::new(self.shared.table.clone(), self.recorder, wakes)),
            shared: self.shared,
            admission: self.admission,
            drain: Rc::default(),
            crowd: Rc::default(),
            turning_away: Rc::default(),
        };
        let _entered = runtime.handle().enter();
        let listeners = self.sockets.into_iter().map(tokio::net::TcpListener::from_std).collect::<io::Result<_>>()?;
        Ok(Started { listeners, acceptor, stop: self.stop })
    }
}

/// One thread that listens.
struct Started {
    listeners: Vec<tokio::net::TcpListener>,
    acceptor: Acceptor,
    stop: watch::Receiver<Option<Stop>>,
}

impl Started {
    async fn serve(self) -> DrainReport {
        let Self { listeners, acceptor, mut stop } = self;
        let drain = acceptor.drain.clone();
        let mut accept_loops = JoinSet::new();
        for listener in listeners {
            accept_loops.spawn_local(acceptor.clone().run(listener, stop.clone()));
        }
        drop(acceptor);
        let order = until_stopped(&mut stop, &mut accept_loops).await;
        let Some(Stop { cut_at }) = order else { return DrainReport::default() };
        while accept_loops.join_next().await.is_some() {}
        let open = drain.open();
        drain.start();
        let _ = tokio::time::timeout_at(cut_at, drain.until_done()).await;
        let cut = drain.open();
        DrainReport { finished: open - cut, cut }
    }
}

/// Waits for the order to stop. `None` if a loop ends before that.
async fn until_stopped(stop: &mut watch::Receiver<Option<Stop>>, loops: &mut JoinSet<()>) -> Option<Stop> {
    let is_gone = tokio::select! {
        biased;
        order = stop.wait_for(Option::is_some) => order.is_err(),
        _ = loops.join_next() => false,
    };
    // The loops may hear of the order first. Without a word, the edge is gone.
    let order = *stop.borrow();
    order.or_else(|| is_gone.then(|| Stop { cut_at: Instant::now() }))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn until_stopped_beside(work: impl Future<Output = ()> + 'static, is_told: bool) -> Option<Stop> {
        let runtime =
            Builder::new_current_thread().enable_time().build_local(LocalOptions::default()).expect("a runtime");
        runtime.block_on(async {
            let (order, mut stop) = watch::channel(is_told.then(|| Stop { cut_at: Instant::now() }));
            let mut loops = JoinSet::new();
            loops.spawn_local(pending());
            loops.spawn_local(work);
            let ended = tokio::time::timeout(Duration::from_secs(10), until_stopped(&mut stop, &mut loops)).await;
            drop(order);
            ended.expect("it does not wait for the order alone")
        })
    }

    #[test]
    fn a_thread_ends_with_any_of_its_accept_loops() {
        assert!(until_stopped_beside(async {}, false).is_none());
        assert!(until_stopped_beside(async { panic!("on purpose") }, false).is_none());
        assert!(until_stopped_beside(pending(), true).is_some());
        assert!(until_stopped_beside(async {}, true).is_some(), "a loop that has heard of the order");
    }
}
