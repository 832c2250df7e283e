//! The bytes of one connection.
//!
//! Small writes are kept until the connection's task pauses and then leave together, so that a batch of pipelined
//! requests costs one system call to answer. Nothing is kept longer than that, and never more than
//! [`HELD_BYTES_MAX`] and an answer: a slow reader slows the answer down instead of filling memory.
//!
//! Bytes are read by the connection's task, which answers plain requests itself and grants the HTTP engine the others
//! one by one, each once its head has passed [`framing`]. It reads in one turn and answers in the next: in
//! between every other connection that has something reads, too, and what all of them need from memory is fetched
//! together.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use waypost_core::page::Page;

use crate::activity::Activity;
use crate::admission::Permit;
use crate::framing::{self, HeadScan};
use crate::input::{Grant, IDLE_CAPACITY_BYTES_MAX, Input, Progress, Refusal};
use crate::plain::{self, PlainRequest};
use crate::thread::Thread;

/// Bytes held back at most before they must leave.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request's body read from the peer at once.
const BODY_CHUNK_BYTES: usize = 8 * 1024;

/// One end of a connection. The HTTP engine has a [`Wire`] on it; the connection's task has it too, to flush and to end
/// it.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) activity: Activity,
    // Borrowed only inside the functions below, which call out only with `held` or `input` borrowed, and only to the
    // answering of plain requests, which touches neither: a borrow never meets another.
    stream: RefCell<TcpStream>,
    held: RefCell<Held>,
    input: RefCell<Input>,
    /// Whether errors of the engine's request are JSON.
    pub(crate) is_of_api: Cell<bool>,
    /// Whether the body of the engine's request turned out to be none.
    has_bad_body: Cell<bool>,
    /// Whether the next answer is the last.
    pub(crate) is_closing: Cell<bool>,
    /// Whether the connection has to close so that another one can be admitted.
    is_evicted: Cell<bool>,
    permit: RefCell<Option<Permit>>,
    waker: RefCell<Option<Waker>>,
}

/// The limits on the plain requests of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainLimits {
    pub(crate) head_bytes_max: usize,
    pub(crate) target_bytes_max: usize,
    /// The engine answers the one with this number and all after it.
    pub(crate) requests_max: u64,
    /// After so many requests it is the turn of the thread's other connections.
    pub(crate) turn_ends_at: u64,
}

/// The next step after some bytes were read.
#[derive(Debug)]
enum After {
    /// There is no more request, or not a complete one.
    Read,
    /// The peer must accept its answers first.
    Wait,
    /// It is the turn of the other connections.
    Yield,
    /// The engine gets a request.
    Grant(Grant),
    Refuse(Refusal),
    /// The connection has got its last answer.
    Close,
}

/// What is left to do after plain requests were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing until more bytes arrive, or the peer accepts what it was sent.
    Nothing,
    /// The engine was granted a request.
    Granted,
    /// A request has to be refused.
    Refused(Refusal),
    /// The peer has sent everything, or wants no more answers.
    Done,
}

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    sent: usize,
}

impl Held {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }
}

impl Channel {
    pub(crate) fn new(stream: TcpStream, permit: Permit) -> Rc<Self> {
        Rc::new(Self {
            activity: Activity::new(Instant::now()),
            stream: RefCell::new(stream),
            held: RefCell::default(),
            input: RefCell::default(),
            is_of_api: Cell::new(false),
            has_bad_body: Cell::new(false),
            is_closing: Cell::new(false),
            is_evicted: Cell::new(false),
            permit: RefCell::new(Some(permit)),
            waker: RefCell::default(),
        })
    }

    /// Keeps the waker of the connection's task.
    pub(crate) fn set_waker(&self, waker: Waker) {
        self.waker.replace(Some(waker));
    }

    /// Orders the connection to close, and frees its place at once. Returns `false` if that has already happened.
    pub(crate) fn evict(&self) -> bool {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        self.is_evicted.set(true);
        self.permit.take().is_some()
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.is_evicted.get()
    }

    /// Whether the connection is one of those that are counted for this network.
    pub(crate) fn is_from(&self, network: IpAddr) -> bool {
        self.permit.borrow().as_ref().is_some_and(|permit| permit.network() == Some(network))
    }

    /// Whether the engine has read all it was granted and written all its answers, so that it waits for a request.
    pub(crate) fn is_engine_done(&self) -> bool {
        let input = self.input.borrow();
        input.is_all_given() && !input.is_engine_blocked && self.activity.is_idle()
    }

    pub(crate) fn has_bad_body(&self) -> bool {
        self.has_bad_body.get()
    }

    /// Whether there are unread bytes, or the rest of a body has not arrived.
    pub(crate) fn has_input_left(&self) -> bool {
        let input = self.input.borrow();
        input.awaits_body() || !input.rest().is_empty()
    }

    /// Whether the engine reads the unneeded body of its request to the end: all of it has arrived, and not in chunks.
    pub(crate) fn drains_body(&self) -> bool {
        self.input.borrow().is_all_given_in_one()
    }

    /// Whether bytes have arrived after the engine's request.
    pub(crate) fn has_next_request(&self) -> bool {
        self.input.borrow().has_next_request()
    }

    /// Whether nothing has come that is to be answered. The beginning of a head counts if `with_heads` is set.
    pub(crate) fn is_silent(&self, with_heads: bool) -> bool {
        let input = self.input.borrow();
        input.rest().is_empty() || !with_heads && input.is_in_head()
    }

    /// The refusal of the head that has begun.
    pub(crate) fn refusal_of_head(&self, page: Page) -> Refusal {
        Refusal::of(page, self.input.borrow().rest())
    }

    /// Adds to the bytes held.
    pub(crate) fn hold(&self, add: impl FnOnce(&mut Vec<u8>)) {
        add(&mut self.held.borrow_mut().bytes);
    }

    /// Reads what comes and answers the plain requests in it by `answer`, which adds to the bytes held and says whether
    /// it did. Pending requests of the same connection, plain or not, are answered in their order.
    pub(crate) fn poll_plain(
        &self,
        cx: &mut Context<'_>,
        thread: &Thread,
        limits: PlainLimits,
        mut answer: impl FnMut(&PlainRequest<'_>, &mut Vec<u8>) -> bool,
    ) -> Poll<io::Result<Left>> {
        let mut input = self.input.borrow_mut();
        let chunk = &mut *thread.chunk.borrow_mut();
        if !input.rest().is_empty() {
            thread.links.prefetch();
            // Prefetched before, left over from the engine's turn, or by a peer that did not accept its answers.
            if let Some(left) = self.answer_input(cx, &mut input, thread, limits, &mut answer)? {
                return Poll::Ready(Ok(left));
            }
        }
        loop {
            let mut buf = ReadBuf::new(chunk);
            ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut buf))?;
            let came = buf.filled();
            if came.is_empty() {
                // A peer that closes in the middle of a head has sent no request.
                return Poll::Ready(Ok(Left::Done));
            }
            self.activity.received(thread.clock.now().instant);
            let is_first = input.rest().is_empty();
            input.append(came);
            if is_first {
                // Answered when all connections with bytes have been read.
                thread.prefetch(input.rest());
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(left) = self.answer_input(cx, &mut input, thread, limits, &mut answer)? {
                return Poll::Ready(Ok(left));
            }
        }
    }

    /// Answers what it can of the input. `Some` ends the turn of plain requests.
    fn answer_input(
        &self,
        cx: &mut Context<'_>,
        input: &mut Input,
        thread: &Thread,
        limits: PlainLimits,
        answer: &mut impl FnMut(&PlainRequest<'_>, &mut Vec<u8>) -> bool,
    ) -> io::Result<Option<Left>> {
        let (bytes, progress) = input.rest_and_progress();
        let (count, after) = self.answer_plain(cx, bytes, progress, thread, limits, answer)?;
        input.take(count);
        Ok(match after {
            After::Read => None,
            After::Wait => Some(Left::Nothing),
            After::Yield => {
                cx.waker().wake_by_ref();
                Some(Left::Nothing)
            }
            After::Close => Some(Left::Done),
            After::Refuse(refusal) => Some(Left::Refused(refusal)),
            After::Grant(grant) => {
                let refusal = Refusal::of(Page::BadRequest, &input.rest()[..grant.head_bytes]);
                match input.grant(grant) {
                    Ok(()) => {
                        if input.awaits_body() {
                            self.activity.begin_body();
                        }
                        Some(Left::Granted)
                    }
                    Err(_) => Some(Left::Refused(refusal)),
                }
            }
        })
    }

    /// Sees, for an engine that is making an answer, whether the peer goes away meanwhile. As with the engine's own
    /// reading, a request that waits behind the answer says that it does not.
    fn poll_peer_gone(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut input = self.input.borrow_mut();
        if input.rest().is_empty() {
            let mut chunk = [0; 1024];
            let mut buf = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            input.append(buf.filled());
        }
        // Nobody is woken by more: the end of the answer is what is waited for.
        Poll::Pending
    }

    /// Reads the part of the body that the engine needs, as it arrives.
    fn poll_body(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; BODY_CHUNK_BYTES];
        let mut came = ReadBuf::new(&mut chunk);
        let Poll::Ready(read) = Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut came) else {
            self.activity.body_awaited(Instant::now());
            return Poll::Pending;
        };
        read?;
        let came = came.filled();
        self.activity.body_came(came.len(), Instant::now());
        let mut input = self.input.borrow_mut();
        if input.append_body(came).is_err() {
            // The connection's task looks at this after the engine's turn.
            self.has_bad_body.set(true);
            return Poll::Pending;
        }
        input.give(buf);
        Poll::Ready(Ok(()))
    }

    /// Answers the plain requests at the beginning of `bytes`. Returns how many bytes they had, and the next step.
    fn answer_plain(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        progress: &mut Progress,
        thread: &Thread,
        limits: PlainLimits,
        answer: &mut impl FnMut(&PlainRequest<'_>, &mut Vec<u8>) -> bool,
    ) -> io::Result<(usize, After)> {
        let Progress { scan, prefetched } = progress;
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            if done > *prefetched {
                // Only for the first one memory was prefetched when it arrived; few peers send more at a time.
                *prefetched = done + thread.prefetch_all(rest);
                thread.links.prefetch();
            }
            if self.held.borrow().rest().len() > HELD_BYTES_MAX {
                let is_sent = self.poll_send_held(cx)?.is_ready();
                return Ok((done, if is_sent { After::Yield } else { After::Wait }));
            }
            if self.activity.requests() >= limits.turn_ends_at {
                return Ok((done, After::Yield));
            }
            if scan.is_begun() {
                if scan.advance(rest).is_ok_and(|end| end.is_some()) {
                    *scan = HeadScan::default();
                } else {
                    return Ok((done, self.look_at_head(rest, scan, limits)));
                }
            }
            // The last one of a connection says so in its answer.
            if self.activity.requests() + 1 < limits.requests_max {
                let head = &rest[..rest.len().min(limits.head_bytes_max)];
                if let Some(request) = plain::read(head) {
                    if !answer(&request, &mut self.held.borrow_mut().bytes) {
                        let grant = Grant { head_bytes: request.bytes, body: None, rewritten: None };
                        return Ok((done, After::Grant(grant)));
                    }
                    self.activity.answered_at_once();
                    done += request.bytes;
                    if request.is_last {
                        return Ok((done, After::Close));
                    }
                    continue;
                }
            }
            return Ok((done, self.look_at_head(rest, scan, limits)));
        }
        Ok((done, After::Read))
    }

    /// Looks for the end of the head of a request that is not plain, and checks it.
    #[cold]
    fn look_at_head(&self, bytes: &[u8], scan: &mut HeadScan, limits: PlainLimits) -> After {
        let refuse = |page| After::Refuse(Refusal::of(page, bytes));
        let head_bytes = match scan.advance(bytes) {
            Ok(Some(head_bytes)) if head_bytes <= limits.head_bytes_max => head_bytes,
            Ok(None) if bytes.len() < limits.head_bytes_max => {
                self.activity.received(Instant::now());
                return After::Read;
            }
            Ok(_) => return refuse(scan.oversize(limits.target_bytes_max)),
            Err(page) => return refuse(page),
        };
        *scan = HeadScan::default();
        match framing::check(&bytes[..head_bytes]) {
            Ok(checked) => {
                let body = Some(checked.body).filter(|body| !body.is_complete());
                After::Grant(Grant { head_bytes, body, rewritten: checked.rewritten })
            }
            Err(page) => refuse(page),
        }
    }

    /// Sends what is held. Pending while the peer accepts no more.
    pub(crate) fn poll_send_held(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.held.borrow_mut();
        while !held.rest().is_empty() {
            let count = ready!(self.poll_send(cx, held.rest()))?;
            held.sent += count;
        }
        held.sent = 0;
        held.bytes.clear();
        held.bytes.shrink_to(IDLE_CAPACITY_BYTES_MAX);
        Poll::Ready(Ok(()))
    }

    /// Sends what is held and says that nothing follows.
    pub(crate) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_held(cx))?;
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx)
    }

    /// Reads and drops, up to `bytes_max`. Ready at that limit, and at the end of what the peer sends.
    pub(crate) fn poll_discard(&self, cx: &mut Context<'_>, thread: &Thread, bytes_max: &mut usize) -> Poll<()> {
        let mut stream = self.stream.borrow_mut();
        let chunk = &mut *thread.chunk.borrow_mut();
        while *bytes_max > 0 {
            let mut buf = ReadBuf::new(chunk);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *bytes_max = bytes_max.saturating_sub(buf.filled().len()),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    fn poll_hold_or_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let held_bytes = self.held.borrow().rest().len();
        if held_bytes + bytes.len() > HELD_BYTES_MAX {
            ready!(self.poll_send_held(cx))?;
            return self.poll_send(cx, bytes);
        }
        self.held.borrow_mut().bytes.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(outcome) => {
                self.activity.write_moved(outcome.as_ref().map_or(0, |count| *count));
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                self.activity.write_blocked(Instant::now());
                Poll::Pending
            }
        }
    }
}

/// What the HTTP engine reads from and writes to.
#[derive(Debug)]
pub(crate) struct Wire(pub(crate) Rc<Channel>);

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0.input.borrow_mut().give(buf) {
            return Poll::Ready(Ok(()));
        }
        if !self.0.input.borrow().awaits_body() {
            return self.0.poll_peer_gone(cx);
        }
        self.0.poll_body(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = self.0.poll_hold_or_send(cx, bytes);
        self.0.input.borrow_mut().is_engine_blocked = outcome.is_pending();
        outcome
    }

    /// Does nothing: the connection's task sends what is held when it pauses.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_finish(cx)
    }
}
