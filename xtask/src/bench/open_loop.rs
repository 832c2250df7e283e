//! The load generator for latencies: requests are due at fixed times, and their time counts from then, not from when
//! the generator came to send them. A server that stands still for a while is charged for all that would have been
//! asked meanwhile.
//!
//! It runs as a process of its own (`xtask bench open-loop`), on its core and before everything else there, and prints
//! one line of JSON. How late it was itself is in there, too: that share of a latency is not the server's.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::OwnedFd;
use serde_json::{Value, json};
use waypost_testkit::random::Random;

use super::load::BROWSER_HEADERS;
use super::schedule::Schedule;

/// Connections of a run.
const CONNECTIONS: u64 = 64;
/// Digits of a time that are told.
const DIGITS: u8 = 3;
/// How long the last answers may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What is asked of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) address: SocketAddr,
    pub(crate) rate_per_s: f64,
    pub(crate) seconds: f64,
    pub(crate) links: u64,
    pub(crate) seed: u64,
}

impl Ask {
    /// As words for the process that asks.
    pub(crate) fn words(&self) -> [String; 5] {
        let Self { address, rate_per_s, seconds, links, seed } = self;
        [address.to_string(), rate_per_s.to_string(), seconds.to_string(), links.to_string(), seed.to_string()]
    }

    fn parse(words: &[&str]) -> anyhow::Result<Self> {
        let [address, rate_per_s, seconds, links, seed] = words else { bail!("five words are needed") };
        Ok(Self {
            address: address.parse()?,
            rate_per_s: rate_per_s.parse()?,
            seconds: seconds.parse()?,
            links: links.parse()?,
            seed: seed.parse()?,
        })
    }
}

/// The process: asks and prints.
pub(crate) fn main(words: &[&str]) -> anyhow::Result<()> {
    let ask = Ask::parse(words)?;
    println!("{}", Run::open(ask)?.run()?);
    Ok(())
}

/// One connection. At most one request is on its way; those that fall due meanwhile wait.
#[derive(Debug)]
struct Client {
    stream: TcpStream,
    /// The next request, or the one that is on its way; `None` after the last.
    request: Option<u64>,
    is_waiting: bool,
    received: Vec<u8>,
}

#[derive(Debug)]
struct Run {
    ask: Ask,
    schedule: Schedule,
    clients: Vec<Client>,
    events: OwnedFd,
    random: Random,
    began: Instant,
    /// From due to answered.
    latencies: Histogram<u64>,
    /// From due to sent, of requests whose connection was free.
    lateness: Histogram<u64>,
}

impl Run {
    fn open(ask: Ask) -> anyhow::Result<Self> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut clients = Vec::new();
        for number in 0..CONNECTIONS {
            let stream = TcpStream::connect(ask.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&events, &stream, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
            clients.push(Client { stream, request: Some(number), is_waiting: false, received: Vec::new() });
        }
        Ok(Self {
            ask,
            schedule: Schedule::new(ask.rate_per_s, CONNECTIONS, ask.seconds),
            clients,
            events,
            random: Random::new(ask.seed),
            began: Instant::now(),
            latencies: Histogram::new(DIGITS)?,
            lateness: Histogram::new(DIGITS)?,
        })
    }

    fn run(mut self) -> anyhow::Result<Value> {
        let requests = self.schedule.requests();
        ensure!(requests >= CONNECTIONS, "{requests} requests are less than one for each connection");
        let mut released = 0;
        let mut events = Vec::with_capacity(CONNECTIONS as usize);
        self.began = Instant::now();
        while self.latencies.len() < requests {
            while released < requests && self.schedule.due(released) <= self.began.elapsed() {
                let number = self.schedule.connection(released);
                if !self.clients[number].is_waiting {
                    self.send(number)?;
                    let late = self.began.elapsed().saturating_sub(self.schedule.due(released));
                    self.lateness.record(late.as_nanos() as u64)?;
                }
                released += 1;
            }
            let until = if released < requests {
                self.schedule.due(released)
            } else {
                self.schedule.due(requests) + ANSWER_TIME_MAX
            };
            let pause = until.saturating_sub(self.began.elapsed());
            ensure!(released < requests || !pause.is_zero(), "some requests are not answered");
            wait_for_answers(&self.events, pause)?;
            events.clear();
            epoll::wait(&self.events, rustix::buffer::spare_capacity(&mut events), Some(&Timespec::default()))?;
            for event in &events {
                self.receive(event.data.u64() as usize, released)?;
            }
        }
        Ok(self.report())
    }

    /// Sends a connection's next request.
    fn send(&mut self, number: usize) -> anyhow::Result<()> {
        let slug = self.random.below(self.ask.links);
        let request = format!("GET /{slug:08x} HTTP/1.1\r\nHost: go.example\r\n{BROWSER_HEADERS}\r\n");
        let client = &mut self.clients[number];
        client.is_waiting = true;
        // Never blocks: the one before has been answered, so there is room.
        client.stream.write_all(request.as_bytes()).context("send")
    }

    /// Takes what has come in; after a whole answer sends what has fallen due meanwhile.
    fn receive(&mut self, number: usize, released: u64) -> anyhow::Result<()> {
        let client = &mut self.clients[number];
        let mut chunk = [0; 2_048];
        let bytes = match client.stream.read(&mut chunk) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("receive"),
        };
        ensure!(bytes > 0, "the server closed a connection");
        client.received.extend_from_slice(&chunk[..bytes]);
        let Some(whole) = redirect_bytes(&client.received)? else { return Ok(()) };
        ensure!(client.is_waiting && client.received.len() == whole, "more came than was asked for");
        let request = client.request.context("the answer has a request")?;
        client.received.clear();
        client.is_waiting = false;
        client.request = self.schedule.next_on_connection(request);
        let took = self.began.elapsed().saturating_sub(self.schedule.due(request));
        self.latencies.record(took.as_nanos() as u64)?;
        if self.clients[number].request.is_some_and(|next| next < released) {
            self.send(number)?;
        }
        Ok(())
    }

    fn report(&self) -> Value {
        let micros = |ns: u64| ns as f64 / 1e3;
        let at = |share: f64| micros(self.latencies.value_at_quantile(share));
        json!({
            "requests": self.latencies.len(), "requests_per_s": self.latencies.len() as f64 / self.began.elapsed().as_secs_f64(),
            "p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "p999_us": at(0.999), "max_us": micros(self.latencies.max()),
            "late_p50_us": micros(self.lateness.value_at_quantile(0.5)), "late_p99_us": micros(self.lateness.value_at_quantile(0.99)),
        })
    }
}

/// Waits until an answer has come, or for so long. Not by `epoll::wait`, which counts in milliseconds.
fn wait_for_answers(events: &OwnedFd, at_most: Duration) -> anyhow::Result<()> {
    let at_most = Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) };
    poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&at_most))?;
    Ok(())
}

/// How long the redirect at the beginning is, once its head is there.
fn redirect_bytes(received: &[u8]) -> anyhow::Result<Option<usize>> {
    let head_end = received.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(head_end) = head_end else {
        ensure!(received.len() <= ANSWER_BYTES_MAX, "an answer is too long");
        return Ok(None);
    };
    let head = &received[..head_end];
    ensure!(head.starts_with(b"HTTP/1.1 302 "), "no redirect: {:?}", head.escape_ascii().to_string());
    let mut body_bytes = 0;
    for line in head.split(|byte| *byte == b'\n') {
        if let Some((name, value)) = line.split_at_checked(15)
            && name.eq_ignore_ascii_case(b"content-length:")
        {
            body_bytes = str::from_utf8(value)?.trim().parse()?;
        }
    }
    let whole = head_end + 4 + body_bytes;
    Ok((received.len() >= whole).then_some(whole))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use waypost_testkit::wait_until;

    use super::*;

    #[test]
    fn answers_end_where_they_say() {
        let answer = b"HTTP/1.1 302 Found\r\nLocation: /x\r\ncontent-Length: 3\r\n\r\nabc";
        assert_eq!(redirect_bytes(answer).unwrap(), Some(answer.len()));
        assert_eq!(redirect_bytes(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(redirect_bytes(&answer[..20]).unwrap(), None);
        assert_eq!(redirect_bytes(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n").unwrap(), Some(36));
        assert!(redirect_bytes(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(redirect_bytes(b"HTTP/1.1 302 Found\r\nContent-Length: x\r\n\r\n").is_err());
    }

    #[test]
    fn words_are_read_back() {
        let ask = Ask { address: ([127, 0, 0, 1], 80).into(), rate_per_s: 1_000.5, seconds: 2.0, links: 3, seed: 4 };
        let words = ask.words();
        let read = Ask::parse(&words.each_ref().map(String::as_str)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{ask:?}"));
        assert!(Ask::parse(&["127.0.0.1:80"]).is_err());
    }

    /// Answers every request at once, but the first on the first connection only after so many others.
    fn serve(listener: &TcpListener, others: u64) {
        let answered = Arc::new(AtomicU64::new(0));
        for number in 0..CONNECTIONS {
            let (mut stream, _) = listener.accept().unwrap();
            let answered = Arc::clone(&answered);
            thread::spawn(move || {
                let mut chunk = [0; 4_096];
                let mut is_first = number == 0;
                while stream.read(&mut chunk).is_ok_and(|bytes| bytes > 0) {
                    if std::mem::take(&mut is_first) {
                        let are_answered = || answered.load(Ordering::Relaxed) >= others;
                        wait_until(Duration::from_secs(10), "other requests", are_answered).unwrap();
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                    stream.write_all(b"HTTP/1.1 302 Found\r\n\r\n").unwrap();
                }
            });
        }
    }

    #[test]
    fn a_pause_is_charged_to_all_that_fell_due_in_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || serve(&listener, 350));
        // The 350th request is due after more than 350 ms, and one of these 64 connections every 64 ms.
        let run = Run::open(Ask { address, rate_per_s: 1_000.0, seconds: 0.4, links: 10, seed: 1 }).unwrap();
        server.join().unwrap();
        let report = run.run().unwrap();
        assert_eq!(report["requests"], 400);
        assert!(report["max_us"].as_f64().unwrap() >= 350_000.0, "{report}");
        // The fifth slowest of 400: timed from when they could be sent, the four before the last would have been quick.
        assert!(report["p99_us"].as_f64().unwrap() >= 50_000.0, "{report}");
    }
}
