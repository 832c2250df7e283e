//! The bytes of one connection.
//!
//! Small writes are kept until the connection's task pauses and then leave together, so that a batch of pipelined
//! requests costs one system call to answer. Nothing is kept longer than that, and never more than
//! [`HELD_BYTES_MAX`]: a slow reader slows the answer down instead of filling memory.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::activity::Activity;

/// Bytes held back at most before they must leave.
const HELD_BYTES_MAX: usize = 16 * 1024;
/// Capacity that an idle connection may keep for held bytes.
const IDLE_CAPACITY_BYTES_MAX: usize = 2 * 1024;

/// One end of a connection. The HTTP engine has a [`Wire`] on it; the connection's task has it too, to flush and to end it.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) activity: Activity,
    // Borrowed only inside the functions below, none of which calls out: a borrow never meets another.
    stream: RefCell<TcpStream>,
    held: RefCell<Held>,
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
        })
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
        let held_bytes = self.0.held.borrow().rest().len();
        if held_bytes + bytes.len() > HELD_BYTES_MAX {
            ready!(self.0.poll_send_held(cx))?;
            return self.0.poll_send(cx, bytes);
        }
        self.0.held.borrow_mut().bytes.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
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
