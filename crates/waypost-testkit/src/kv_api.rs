//! A stand-in for Cloudflare's REST interface for one Workers KV namespace, in memory and on a loopback address.
//!
//! It holds callers to what Cloudflare documents (token, paths, limits, one write a second for one key, envelopes and
//! error codes) and misbehaves as ordered, for one call or until further notice. Every call is kept with its
//! keys, so that a test can say what was sent how often. One thread answers each connection; all end when the value is
//! dropped.

mod answers;
mod wire;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use crate::port::ReservedPort;

/// The account that the stand-in knows.
pub const ACCOUNT: &str = "acc0123456789abcdef";
/// The namespace that the stand-in knows.
pub const NAMESPACE: &str = "ns0123456789abcdef";
/// The token that it accepts.
pub const TOKEN: &str = "cf-token-that-nobody-may-log";

/// How the stand-in misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An answer of the interface with this status and error code; nothing is done.
    Refuse {
        /// The status.
        status: u16,
        /// The error code.
        code: u64,
        /// `Retry-After`, if there is one.
        retry_after: Option<String>,
    },
    /// A page in HTML with this status; nothing is done.
    Page(u16),
    /// No answer for as long as the caller waits; nothing is done.
    Hang,
    /// An answer that comes byte by byte and does not end; nothing is done.
    Drip,
    /// The connection breaks off; nothing is done.
    Reset,
    /// The answer breaks off in the middle; nothing is done.
    Truncated,
    /// The call is done, and the connection breaks off in place of an answer.
    LostAnswer,
}

impl Fault {
    /// An answer of the interface with this status and no special error code.
    pub const fn status(status: u16) -> Self {
        Self::Refuse { status, code: 10_001, retry_after: None }
    }

    /// An answer of the interface with this status and error code.
    pub const fn code(status: u16, code: u64) -> Self {
        Self::Refuse { status, code, retry_after: None }
    }

    /// `429`, with what the header `Retry-After` says.
    pub fn rate_limited(retry_after: Option<&str>) -> Self {
        Self::Refuse { status: 429, code: 10_429, retry_after: retry_after.map(str::to_owned) }
    }
}

/// The kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// One pair written.
    Put,
    /// Many pairs written.
    BulkPut,
    /// One key deleted.
    Delete,
    /// Many keys deleted.
    BulkDelete,
    /// Keys listed.
    List,
    /// A value read.
    Get,
    /// Anything else.
    Unknown,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When, in milliseconds on the stand-in's clock.
    pub at_ms: u64,
    /// The kind of call.
    pub kind: CallKind,
    /// The keys written or deleted, in their order.
    pub keys: Vec<String>,
    /// The status answered; `None` if no answer was given, or not a whole one.
    pub status: Option<u16>,
}

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The value.
    pub value: String,
    /// Its metadata.
    pub metadata: Option<Value>,
}

type ClockMs = Box<dyn Fn() -> u64 + Send>;

struct State {
    values: BTreeMap<String, Stored>,
    /// What reads and lists show, if it is not `values`.
    held: Option<BTreeMap<String, Stored>>,
    written_at_ms: HashMap<String, u64>,
    calls: Vec<Call>,
    fault: Option<Fault>,
    next_faults: VecDeque<Fault>,
    poison: BTreeMap<String, Fault>,
    refused: BTreeSet<String>,
    latency: Duration,
    body_bytes_max: usize,
    clock: ClockMs,
    hold: Hold,
}

/// Whether a call waits before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    None,
    /// The next call will.
    Next,
    /// One does.
    Held,
}

struct Shared {
    state: Mutex<State>,
    is_stopped: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }
}

/// A running stand-in.
pub struct KvApi {
    /// Kept while the stand-in is stopped, so that calls are refused and nobody else answers them.
    port: ReservedPort,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl KvApi {
    /// Starts a stand-in with an empty namespace on a free port.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start() -> anyhow::Result<Self> {
        let port = ReservedPort::new()?;
        let listener = TcpListener::bind(port.address()).context("listen for calls of the KV interface")?;
        let began = Instant::now();
        let state = State {
            values: BTreeMap::new(),
            held: None,
            written_at_ms: HashMap::new(),
            calls: Vec::new(),
            fault: None,
            next_faults: VecDeque::new(),
            poison: BTreeMap::new(),
            refused: BTreeSet::new(),
            latency: Duration::ZERO,
            hold: Hold::None,
            body_bytes_max: answers::BULK_BYTES_MAX,
            clock: Box::new(move || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), is_stopped: AtomicBool::new(false) });
        let of_listener = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &of_listener));
        Ok(Self { port, shared, listener: Some(thread) })
    }

    /// The URL of the interface, below which the accounts are.
    pub fn url(&self) -> String {
        format!("http://{}/client/v4", self.port.address())
    }

    /// Stops answering: from now on connections are refused.
    pub fn stop(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.shared.is_stopped.store(true, Ordering::SeqCst);
            // Wakes the listener, which then sees that it is to end.
            let _ = TcpStream::connect(self.port.address());
            let _ = listener.join();
        }
    }

    /// Uses this clock, in milliseconds, for the limit of one write a second and for what is kept of calls.
    pub fn set_clock(&self, now_ms: impl Fn() -> u64 + Send + 'static) {
        self.shared.state().clock = Box::new(now_ms);
    }

    /// Delays every answer by this time.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.state().latency = latency;
    }

    /// Holds the next call until it is released, as if it were delayed in the network.
    pub fn hold_next_call(&self) {
        self.shared.state().hold = Hold::Next;
    }

    /// Whether a call is being held.
    pub fn holds_call(&self) -> bool {
        self.shared.state().hold == Hold::Held
    }

    /// Releases the call that is held.
    pub fn release_call(&self) {
        self.shared.state().hold = Hold::None;
    }

    /// Answers 413 to bodies of more bytes than this.
    pub fn set_body_bytes_max(&self, bytes: usize) {
        self.shared.state().body_bytes_max = bytes;
    }

    /// Misbehaves like this at every call from now on, or not any more.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
    }

    /// Misbehaves like these at the next calls, one after the other.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().next_faults.extend(faults);
    }

    /// Misbehaves like this at every call that has this key in it.
    pub fn poison(&self, key: &str, fault: Fault) {
        self.shared.state().poison.insert(key.to_owned(), fault);
    }

    /// Names these keys as unsuccessful in the answers of bulk calls, and does not do them. Replaces those named
    /// before.
    pub fn refuse_in_bulk(&self, keys: &[&str]) {
        self.shared.state().refused = keys.iter().map(|key| (*key).to_owned()).collect();
    }

    /// Ends all misbehaviour.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.fault = None;
        state.next_faults.clear();
        state.poison.clear();
        state.refused.clear();
        state.body_bytes_max = answers::BULK_BYTES_MAX;
    }

    /// From now on reads and lists show what is stored now, whatever is written.
    pub fn hold_reads(&self) {
        let mut state = self.shared.state();
        state.held = Some(state.values.clone());
    }

    /// Reads and lists show what is stored.
    pub fn release_reads(&self) {
        self.shared.state().held = None;
    }

    /// Everything stored.
    pub fn values(&self) -> BTreeMap<String, Stored> {
        self.shared.state().values.clone()
    }

    /// How many keys are stored.
    pub fn count(&self) -> usize {
        self.shared.state().values.len()
    }

    /// What is stored under this key.
    pub fn get(&self, key: &str) -> Option<Stored> {
        self.shared.state().values.get(key).cloned()
    }

    /// Stores a value without a call of the interface.
    pub fn db_put(&self, key: &str, value: &str) {
        let stored = Stored { value: value.to_owned(), metadata: None };
        self.shared.state().values.insert(key.to_owned(), stored);
    }

    /// Removes a value without a call of the interface.
    pub fn db_delete(&self, key: &str) {
        self.shared.state().values.remove(key);
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// How many calls there were so far.
    pub fn call_count(&self) -> usize {
        self.shared.state().calls.len()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.shared.state().calls.clear();
    }

    /// How often each key was written or deleted with success.
    pub fn write_counts(&self) -> HashMap<String, u32> {
        let mut counts = HashMap::new();
        for call in self.shared.state().calls.iter().filter(|call| call.status == Some(200)) {
            for key in &call.keys {
                *counts.entry(key.clone()).or_default() += 1;
            }
        }
        counts
    }
}

impl Drop for KvApi {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.is_stopped() {
            break;
        }
        let shared = Arc::clone(shared);
        connections.push(std::thread::spawn(move || wire::serve(stream, &shared)));
    }
    for connection in connections {
        let _ = connection.join();
    }
}
