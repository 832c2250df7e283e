//! The client: several connections that follow links all the time and count what they sent and what was answered.
//!
//! A connection that breaks is opened again. Breaking is expected only around the death of the process, which is told
//! beforehand in a [`Phase`]; any other, and any answer that is not the redirect, is a fault in the ledger.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use waypost_testkit::clicks::{ClickWorld, write_request};
use waypost_testkit::random::Random;

use super::ledger::Ledger;

/// Connections at a time.
const CONNECTIONS: u64 = 6;
/// The most requests sent before their answers are read.
const PIPELINE_MAX: u64 = 16;
/// Limit on the wait for an answer, from a process that is well.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// The longest pause between two bursts, so that a run makes some thousand requests a second and not all there can be.
const PAUSE_MICROS_MAX: u64 = 8_000;
/// The pause before a connection is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(2);

/// Whether the process is meant to be up: even while it is, odd from before its end until it is ready again.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU64);

impl Phase {
    pub(crate) fn begin_trouble(&self) {
        self.0.fetch_or(1, Ordering::SeqCst);
    }

    pub(crate) fn end_trouble(&self) {
        let number = self.0.load(Ordering::SeqCst);
        self.0.store((number | 1) + 1, Ordering::SeqCst);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether the process was meant to be up all the time since then.
    fn is_calm_since(&self, then: u64) -> bool {
        then.is_multiple_of(2) && self.now() == then
    }
}

/// Connections at work. They end when ordered, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What every connection needs.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) address: SocketAddr,
    pub(crate) world: Arc<ClickWorld>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) phase: Arc<Phase>,
    /// Whether 503 is an answer, too: of a table that is damaged, until it is mended.
    pub(crate) may_be_unavailable: bool,
}

impl Traffic {
    pub(crate) fn start(route: &Route, random: &Random) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |number| {
            let (route, stop) = (route.clone(), Arc::clone(&stop));
            let random = random.fork(&format!("connection {number}"));
            thread::spawn(move || Client { route, random, stop }.run())
        };
        Self { threads: (0..CONNECTIONS).map(spawn).collect(), stop }
    }

    /// Lets every connection read the answers it waits for, and ends.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.threads.drain(..).map(JoinHandle::join).filter(Result::is_err).count();
        anyhow::ensure!(ended == 0, "{ended} connections of the client panicked");
        Ok(())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Client {
    route: Route,
    random: Random,
    stop: Arc<AtomicBool>,
}

/// Why a connection is not gone on with.
enum Broken {
    /// The server said that it would close it.
    Closed,
    /// Anything else.
    Fault(String),
}

impl Client {
    fn run(mut self) {
        while !self.is_stopped() {
            let phase = self.route.phase.now();
            match self.serve_connection() {
                Ok(()) | Err(Broken::Closed) => {}
                Err(Broken::Fault(text)) if self.route.phase.is_calm_since(phase) => self.route.ledger.fault(text),
                // While the process is down, or is not meant to be up yet.
                Err(Broken::Fault(_)) => thread::sleep(RETRY_PAUSE),
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Some hundred bursts on one connection.
    fn serve_connection(&mut self) -> Result<(), Broken> {
        let fault = |what: &str, error: std::io::Error| Broken::Fault(format!("{what}: {error}"));
        let stream = TcpStream::connect_timeout(&self.route.address, ANSWER_DEADLINE);
        let stream = stream.map_err(|error| fault("connect", error))?;
        let prepared = stream.set_read_timeout(Some(ANSWER_DEADLINE)).and_then(|()| stream.set_nodelay(true));
        prepared.map_err(|error| fault("connect", error))?;
        let mut answers = Answers { stream, received: Vec::new() };
        let mut bursts = self.random.between(1, 400);
        while bursts > 0 && !self.is_stopped() {
            self.burst(&mut answers)?;
            bursts -= 1;
            thread::sleep(Duration::from_micros(self.random.below(PAUSE_MICROS_MAX)));
        }
        Ok(())
    }

    /// One request, or several at once, and their answers.
    fn burst(&mut self, answers: &mut Answers) -> Result<(), Broken> {
        let requests = if self.random.chance(0.3) { self.random.between(2, PIPELINE_MAX + 1) } else { 1 };
        let host = self.route.address.to_string();
        let (mut bytes, mut asked) = (Vec::new(), Vec::new());
        for _ in 0..requests {
            let (link, click) = self.route.world.draw(&mut self.random);
            write_request(&click, &host, &mut bytes);
            asked.push((link, click.is_head));
        }
        asked.iter().for_each(|(link, _)| self.route.ledger.count_sent(*link));
        let (sent_at, phase) = (Instant::now(), self.route.phase.now());
        answers.stream.write_all(&bytes).map_err(|error| Broken::Fault(format!("send: {error}")))?;
        for (link, is_head) in asked {
            let status = answers.status()?;
            if status == 302 || status == 301 {
                self.route.ledger.count_answered(link);
            } else if !(status == 503 && self.route.may_be_unavailable) {
                // No excuse: a process that answers at all must redirect.
                self.route.ledger.fault(format!("answered {status}"));
            }
            answers.finish(is_head)?;
        }
        if self.route.phase.is_calm_since(phase) {
            self.route.ledger.note_wait(sent_at.elapsed().as_micros() as u64);
        }
        Ok(())
    }
}

/// The answers of one connection, one after the other.
struct Answers {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Answers {
    /// The status of the next answer, as soon as that much of it is there.
    fn status(&mut self) -> Result<u16, Broken> {
        const BYTES: usize = "HTTP/1.1 302".len();
        while self.received.len() < BYTES {
            self.receive()?;
        }
        let line = &self.received[..BYTES];
        let digits = line.strip_prefix(b"HTTP/1.1 ").and_then(|digits| str::from_utf8(digits).ok());
        let status = digits.and_then(|digits| digits.parse().ok());
        status.ok_or_else(|| Broken::Fault(format!("no status line: {:?}", line.escape_ascii().to_string())))
    }

    /// Takes the rest of that answer.
    fn finish(&mut self, is_head: bool) -> Result<(), Broken> {
        let end = loop {
            match self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.receive()?,
            }
        };
        let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let body_bytes: usize = field("content-length:").and_then(|bytes| bytes.parse().ok()).unwrap_or_default();
        let whole = if is_head { end } else { end + body_bytes };
        while self.received.len() < whole {
            self.receive()?;
        }
        let is_last = field("connection:") == Some("close");
        self.received.drain(..whole);
        if is_last { Err(Broken::Closed) } else { Ok(()) }
    }

    fn receive(&mut self) -> Result<(), Broken> {
        let mut chunk = [0_u8; 8 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Broken::Fault("the connection was closed before the answer".to_owned())),
            Ok(bytes) => {
                self.received.extend_from_slice(&chunk[..bytes]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(Broken::Fault(format!("waiting for an answer: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;

    use waypost_testkit::clicks::ClickWorldOptions;

    use super::*;

    #[test]
    fn trouble_excuses_only_what_meets_it() {
        let phase = Phase::default();
        let before = phase.now();
        assert!(phase.is_calm_since(before));
        phase.begin_trouble();
        let during = phase.now();
        assert!(!phase.is_calm_since(before));
        assert!(!phase.is_calm_since(during));
        phase.begin_trouble();
        assert_eq!(phase.now(), during, "trouble in trouble is the same trouble");
        phase.end_trouble();
        assert!(!phase.is_calm_since(before));
        assert!(!phase.is_calm_since(during));
        assert!(phase.is_calm_since(phase.now()));
    }

    /// Serves one connection: answers the first request with `answer`, and closes.
    fn one_answer(answer: &'static [u8]) -> Ledger {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = ClickWorld::new(ClickWorldOptions { links: 1, ..ClickWorldOptions::default() });
        let route = Route {
            address: listener.local_addr().unwrap(),
            world: Arc::new(world),
            ledger: Arc::new(Ledger::new(1)),
            phase: Arc::default(),
            may_be_unavailable: false,
        };
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4_096];
            let _ = stream.read(&mut head).unwrap();
            stream.write_all(answer).unwrap();
        });
        let mut client = Client { route: route.clone(), random: Random::new(1), stop: Arc::default() };
        if let Err(Broken::Fault(text)) = client.serve_connection() {
            route.ledger.fault(text);
        }
        server.join().unwrap();
        drop(client);
        Arc::into_inner(route.ledger).unwrap()
    }

    #[test]
    fn a_status_line_counts_even_when_the_rest_never_comes() {
        let tally = one_answer(b"HTTP/1.1 302").tally(&["link_a".to_owned()]);
        assert_eq!(tally.answered(), 1);
        assert!(tally.sent() >= 1);
        assert_eq!(tally.faults, 1, "{tally:?}");
    }

    #[test]
    fn other_answers_are_faults() {
        let tally = one_answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .tally(&["link_a".to_owned()]);
        assert_eq!(tally.answered(), 0);
        assert_eq!(tally.faults, 1);
        assert!(tally.fault_texts[0].contains("answered 503"), "{tally:?}");
    }
}
