//! The bytes of one connection.
//!
//! Small writes are kept until the connection's task pauses and then leave together, so that a batch of pipelined
//! requests costs one system call to answer. Nothing is kept longer than that, and never more than
//! [`HELD_BYTES_MAX`] and an answer: a slow reader slows the answer down instead of filling memory.
//!
//! What comes is read by the connection's task, which answers plain requests itself and grants the HTTP engine the others
//! one by one; or, once it has handed the connection over, by the engine. It reads in one turn and answers in the next: in
//! between every other connection that has something reads, too, and what all of them need from memory is fetched together.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::activity::Activity;
use crate::plain::{self, Begins, PlainRequest};
use crate::thread::Thread;

/// Bytes held back at most before they must leave.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// Capacity that an idle connection may keep for held bytes.
const IDLE_CAPACITY_BYTES_MAX: usize = 2 * 1024;

/// One end of a connection. The HTTP engine has a [`Wire`] on it; the connection's task has it too, to flush and to end it.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) activity: Activity,
    // Borrowed only inside the functions below, which call out only with `held` or `input` borrowed, and only to the
    // answering of plain requests, which touches neither: a borrow never meets another.
    stream: RefCell<TcpStream>,
    held: RefCell<Held>,
    input: RefCell<Input>,
}

/// What has come and was not answered, and who is to have it.
#[derive(Debug, Default)]
struct Input {
    /// Bytes before `taken` are done with.
    bytes: Vec<u8>,
    taken: usize,
    /// So many of the following are for the engine.
    granted: usize,
    /// All that comes is the engine's.
    is_handed_over: bool,
    /// The engine has bytes that the wire did not take.
    is_engine_blocked: bool,
}

impl Input {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(IDLE_CAPACITY_BYTES_MAX);
            self.taken = 0;
        }
    }

    /// Keeps what is to come. `Some` ends the turn of plain requests.
    fn note(&mut self, after: After) -> Option<Left> {
        match after {
            After::Read => None,
            After::Wait => Some(Left::Nothing),
            After::Close => Some(Left::Done),
            After::Grant(bytes) => {
                self.granted = bytes;
                Some(Left::Granted)
            }
            After::HandOver => {
                self.is_handed_over = true;
                Some(Left::HandedOver)
            }
        }
    }

    /// Gives the engine what is meant for it.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let meant = if self.is_handed_over { self.rest().len() } else { self.granted };
        let count = meant.min(buf.remaining());
        buf.put_slice(&self.rest()[..count]);
        self.granted = self.granted.saturating_sub(count);
        self.take(count);
        count > 0
    }
}

/// What bounds the plain requests of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainLimits {
    pub(crate) head_bytes_max: usize,
    /// The engine answers the one with this number, and closes.
    pub(crate) requests_max: u64,
}

/// What is to come after some bytes were looked at.
#[derive(Clone, Copy, Debug)]
enum After {
    /// There is no more, or not all of it.
    Read,
    /// The peer must take its answers first.
    Wait,
    /// The engine gets so many bytes.
    Grant(usize),
    HandOver,
    /// The connection has had its last answer.
    Close,
}

/// What is left to do after plain requests were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing until more comes, or the peer takes what it was sent.
    Nothing,
    /// The engine was granted a request.
    Granted,
    /// The connection was handed over to the engine.
    HandedOver,
    /// The peer has said everything, or wants no more.
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
    pub(crate) fn new(stream: TcpStream) -> Rc<Self> {
        Rc::new(Self {
            activity: Activity::new(Instant::now()),
            stream: RefCell::new(stream),
            held: RefCell::default(),
            input: RefCell::default(),
        })
    }

    /// Gives all that comes from now on to the engine.
    pub(crate) fn hand_over(&self) {
        self.input.borrow_mut().is_handed_over = true;
    }

    pub(crate) fn is_handed_over(&self) -> bool {
        self.input.borrow().is_handed_over
    }

    /// Whether the engine has taken all it was granted and written all it had to say, so that it waits for a request.
    pub(crate) fn is_engine_done(&self) -> bool {
        let input = self.input.borrow();
        !input.is_handed_over && input.granted == 0 && !input.is_engine_blocked && self.activity.is_idle()
    }

    /// Reads what comes and answers the plain requests in it by `answer`, which adds to the bytes held and says whether it
    /// did. Pending requests of the same connection, plain or not, are answered in their order.
    pub(crate) fn poll_plain(
        &self,
        cx: &mut Context<'_>,
        thread: &Thread,
        limits: PlainLimits,
        mut answer: impl FnMut(&PlainRequest<'_>, &mut Vec<u8>) -> bool,
    ) -> Poll<io::Result<Left>> {
        let mut input = self.input.borrow_mut();
        let chunk = &mut *thread.chunk.borrow_mut();
        let mut answer = |bytes: &[u8], held: &mut Vec<u8>| plain::read(bytes, |request| answer(request, held));
        if !input.rest().is_empty() {
            thread.links.approach();
            // Announced before, left behind by the engine's turn, or by a peer that did not take its answers.
            let mut bytes = std::mem::take(&mut *input);
            let (count, after) = self.answer_plain(cx, bytes.rest(), thread, limits, &mut answer)?;
            bytes.take(count);
            *input = bytes;
            if let Some(left) = input.note(after) {
                return Poll::Ready(Ok(left));
            }
        }
        loop {
            let mut buf = ReadBuf::new(chunk);
            ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut buf))?;
            let came = buf.filled();
            if came.is_empty() {
                // What a peer means that leaves in the middle of a head, the engine knows.
                let left = if input.rest().is_empty() { Left::Done } else { Left::HandedOver };
                input.is_handed_over |= left == Left::HandedOver;
                return Poll::Ready(Ok(left));
            }
            self.activity.received(thread.clock.now().instant);
            let is_first = input.rest().is_empty();
            input.bytes.extend_from_slice(came);
            if is_first {
                // Answered when every connection that has something has been read.
                thread.announce(input.rest());
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let (count, after) = match self.answer_plain(cx, input.rest(), thread, limits, &mut answer)? {
                // A head that comes in many small pieces would be read from its beginning with each; the engine does not.
                (0, After::Read) => (0, After::HandOver),
                other => other,
            };
            input.take(count);
            if let Some(left) = input.note(after) {
                return Poll::Ready(Ok(left));
            }
        }
    }

    /// Sees, for an engine that is making an answer, whether the peer goes away meanwhile. As with the engine's own reading, a
    /// request that waits behind the answer says that it does not.
    fn poll_peer_gone(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut input = self.input.borrow_mut();
        if input.rest().is_empty() {
            let mut chunk = [0; 1024];
            let mut buf = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            input.bytes.extend_from_slice(buf.filled());
        }
        // Nobody is woken by more: the end of the answer is what is waited for.
        Poll::Pending
    }

    /// Answers the plain requests at the beginning of `bytes`. Gives how many bytes they had, and what is to come after them.
    fn answer_plain(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        thread: &Thread,
        limits: PlainLimits,
        answer: &mut impl FnMut(&[u8], &mut Vec<u8>) -> Begins,
    ) -> io::Result<(usize, After)> {
        let mut done = 0;
        let mut announced = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            if done > announced {
                // Only the first one was announced when it came; few peers send more at a time.
                announced = done + thread.announce_all(rest);
                thread.links.approach();
            }
            if self.held.borrow().rest().len() > HELD_BYTES_MAX && self.poll_send_held(cx)?.is_pending() {
                return Ok((done, After::Wait));
            }
            // The last one of a connection says so in its answer.
            if self.activity.requests() + 1 >= limits.requests_max {
                return Ok((done, After::HandOver));
            }
            let head = &rest[..rest.len().min(limits.head_bytes_max)];
            match answer(head, &mut self.held.borrow_mut().bytes) {
                Begins::Plain { bytes, is_answered: true, is_last } => {
                    self.activity.answered_at_once();
                    done += bytes;
                    if is_last {
                        return Ok((done, After::Close));
                    }
                }
                Begins::Plain { bytes, is_answered: false, .. } => return Ok((done, After::Grant(bytes))),
                Begins::Partly if rest.len() < limits.head_bytes_max => {
                    self.activity.received(Instant::now());
                    return Ok((done, After::Read));
                }
                Begins::Partly | Begins::Other => return Ok((done, After::HandOver)),
            }
        }
        Ok((done, After::Read))
    }

    /// Sends what is held. Pending while the peer takes no more.
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

    /// Sends these last bytes as far as the peer takes them at once.
    pub(crate) fn send_last(&self, bytes: &[u8]) {
        // What does not fit any more is lost with the connection, which is being given up.
        let _ = self.stream.borrow().try_write(bytes);
    }

    /// Reads and forgets, up to `bytes_max`. Ready at that limit, and at the end of what the peer sends.
    pub(crate) fn poll_discard(&self, cx: &mut Context<'_>, bytes_max: &mut usize) -> Poll<()> {
        let mut stream = self.stream.borrow_mut();
        let mut chunk = [0; 1024];
        while *bytes_max > 0 {
            let mut buf = ReadBuf::new(&mut chunk);
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
                self.activity.write_moved();
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
        if !self.0.is_handed_over() {
            return self.0.poll_peer_gone(cx);
        }
        let before = buf.filled().len();
        let outcome = Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buf);
        if outcome.is_ready() && buf.filled().len() > before {
            self.0.activity.received(Instant::now());
        }
        outcome
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
        ready!(self.0.poll_send_held(cx))?;
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}
