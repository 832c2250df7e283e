//! One connection from its first byte to its last. This crate answers plain requests and handles deadlines and
//! draining. Everything else of HTTP/1.1 is done by hyper, "the engine", which a connection gets at its first request
//! that needs it.
//!
//! A connection that has to end, because of its age or because the server stops, says so in the next answer; one
//! without a request to answer ends at once.
//!
//! Deadlines are kept lazily: one timer, moved only when it fires or when an earlier deadline appears, so a request on
//! a busy connection costs no timer work. (hyper's own header timeout allocates and arms one for every request.)

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep_until};
use waypost_core::page::Page;

use crate::accept::Acceptor;
use crate::activity::Overdue;
use crate::admission::Permit;
use crate::config::Limits;
use crate::input::Refusal;
use crate::plain::PlainRequest;
use crate::plain_answer;
use crate::service::RequestService;
use crate::shared::Shared;
use crate::thread::Thread;
use crate::visitor::Peer;
use crate::wire::{Channel, Left, PlainLimits, Wire};

/// How long, and for how many bytes, a request that was answered early is read to its end so that the answer arrives:
/// most clients read only when they have sent everything.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most requests of one connection that are answered before the other connections of its thread. With answers of
/// the usual size a turn ends earlier, when enough bytes to send have been collected.
const TURN_REQUESTS_MAX: u64 = 128;

/// Notifies the connections of one thread to finish, and counts them.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    started: Cell<bool>,
    open: Cell<usize>,
    /// Wakes every connection when draining starts.
    start: Arc<Notify>,
    /// Wakes the thread when the last connection is gone.
    done: Notify,
}

impl Drain {
    pub(crate) fn start(&self) {
        self.started.set(true);
        self.start.notify_waiters();
    }

    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    pub(crate) async fn until_done(&self) {
        while self.open.get() > 0 {
            self.done.notified().await;
        }
    }
}

/// One open connection; a future that is done when it is closed.
pub(crate) struct Connection {
    /// Created when it is first needed: most connections never need it, and it takes some memory.
    engine: Option<Box<http1::Connection<TokioIo<Wire>, RequestService>>>,
    /// Whether the engine was granted a request and has not finished it.
    is_engine_at_work: bool,
    service: RequestService,
    channel: Rc<Channel>,
    thread: Rc<Thread>,
    stage: Stage,
    shared: Arc<Shared>,
    timer: Pin<Box<Sleep>>,
    /// When it is to close after the running answer; `None` once that has been ordered.
    closes_at: Option<Instant>,
    drain: Rc<Drain>,
    drain_start: Pin<Box<OwnedNotified>>,
    /// Whether the timer and the start of draining have the task's waker, which stays the same: one poll is enough for
    /// that.
    is_registered: bool,
}

enum Stage {
    Serving,
    /// Everything has been sent; bytes that the peer still sends are read and dropped.
    Lingering {
        is_finished: bool,
        bytes_left: usize,
    },
}

enum Ended {
    Now,
    /// The peer sends no more. Answers to it may still be in flight.
    Said,
    WithInputLeft,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, peer: Peer, acceptor: &Acceptor, permit: Permit) -> Self {
        let Acceptor { shared, drain, thread, crowd, .. } = acceptor;
        let channel = Channel::new(stream, permit);
        let now = Instant::now();
        let service = RequestService::new(shared.clone(), thread.clone(), peer, channel.clone());
        drain.open.set(drain.open.get() + 1);
        crowd.add(&channel, drain.open.get());
        Self {
            engine: None,
            is_engine_at_work: false,
            service,
            channel,
            thread: thread.clone(),
            stage: Stage::Serving,
            timer: Box::pin(sleep_until(now + shared.limits.head_read_timeout)),
            closes_at: Some(now + shared.limits.connection_age_max),
            drain: drain.clone(),
            drain_start: Box::pin(drain.start.clone().notified_owned()),
            is_registered: false,
            shared: shared.clone(),
        }
    }

    /// Answers what has arrived. Ready when everything has been sent.
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let outcome = self.poll_requests(cx);
        match (outcome, self.channel.poll_send_held(cx)) {
            (Poll::Pending, Poll::Pending | Poll::Ready(Ok(()))) => Poll::Pending,
            // The peer has sent everything, and must still accept the last answers.
            (Poll::Ready(Ended::Said), Poll::Pending) => Poll::Pending,
            (Poll::Ready(ended), _) => Poll::Ready(ended),
            (Poll::Pending, Poll::Ready(Err(error))) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "peer went away while it was written to");
                Poll::Ready(Ended::Now)
            }
        }
    }

    /// Alternates between plain requests and the engine.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let turn_ends_at = self.channel.activity.requests() + TURN_REQUESTS_MAX;
        loop {
            let is_draining = self.drain.started.get();
            if is_draining {
                self.channel.is_closing.set(true);
            }
            if self.is_engine_at_work {
                let outcome = self.poll_engine(cx);
                if self.channel.has_bad_body() {
                    return Poll::Ready(self.refuse_body(Page::BadRequest));
                }
                match outcome {
                    Poll::Ready(ended) => return Poll::Ready(ended),
                    Poll::Pending if self.channel.is_engine_done() => self.is_engine_at_work = false,
                    Poll::Pending => return Poll::Pending,
                }
            }
            let is_closing = self.channel.is_closing.get();
            let Limits { head_bytes_max, target_bytes_max, requests_per_connection_max, .. } = self.shared.limits;
            // The engine marks its last answer itself.
            let is_engines = is_closing || !self.shared.plain_requests;
            let requests_max = if is_engines { 0 } else { requests_per_connection_max.unwrap_or(u64::MAX) };
            let limits = PlainLimits { head_bytes_max, target_bytes_max, requests_max, turn_ends_at };
            let service = &self.service;
            let answer = |request: &PlainRequest<'_>, to: &mut Vec<u8>| service.follow_plain(request, to);
            let outcome = match self.channel.poll_plain(cx, &self.thread, limits, answer) {
                Poll::Pending if is_closing && self.channel.is_silent(!is_draining) => Ok(Left::Done),
                outcome => ready!(outcome),
            };
            match outcome {
                Ok(Left::Nothing) => return Poll::Pending,
                Ok(Left::Granted) => self.is_engine_at_work = true,
                Ok(Left::Refused(refusal)) => return Poll::Ready(self.refuse(refusal)),
                Ok(Left::Done) => return Poll::Ready(Ended::Said),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "connection ended in an error");
                    return Poll::Ready(Ended::Now);
                }
            }
        }
    }

    fn poll_engine(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        match ready!(Pin::new(self.engine()).poll(cx)) {
            Ok(()) if self.channel.activity.leaves_input() || self.channel.has_input_left() => {
                Poll::Ready(Ended::WithInputLeft)
            }
            Ok(()) => Poll::Ready(Ended::Now),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "connection ended in an error");
                Poll::Ready(Ended::Now)
            }
        }
    }

    /// Ends the connection with this answer.
    fn refuse(&mut self, refusal: Refusal) -> Ended {
        // It has nothing to say any more, and what it had to say before is held.
        self.engine = None;
        let date = self.thread.date.at(self.thread.clock.now().wall);
        self.channel.hold(|held| plain_answer::put_refusal(refusal, &date, held));
        Ended::WithInputLeft
    }

    fn engine(&mut self) -> &mut http1::Connection<TokioIo<Wire>, RequestService> {
        self.engine.get_or_insert_with(|| {
            let io = TokioIo::new(Wire(self.channel.clone()));
            Box::new(engine(&self.shared.limits).serve_connection(io, self.service.clone()))
        })
    }

    /// Looks at the clock when the timer has fired, and moves the timer when it must fire earlier or again. Ready when
    /// the connection has taken too long.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if self.timer.is_elapsed() {
            let now = Instant::now();
            if let Some(overdue) = self.channel.activity.overdue(now, &self.shared.limits) {
                return Poll::Ready(self.give_up(overdue));
            }
            if self.closes_at.is_some_and(|at| at <= now) {
                self.closes_at = None;
                self.channel.is_closing.set(true);
                // Whether it can end at once is seen when it is polled next.
                cx.waker().wake_by_ref();
            }
        }
        let deadline =
            [self.channel.activity.deadline(&self.shared.limits), self.closes_at].into_iter().flatten().min();
        // With neither deadline the next event on the wire or in the answer comes first; it looks again.
        let Some(deadline) = deadline else { return Poll::Pending };
        if self.timer.is_elapsed() || deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
            if self.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    fn give_up(&mut self, overdue: Overdue) -> Ended {
        match overdue {
            Overdue::Head => self.refuse(self.channel.refusal_of_head(Page::RequestTimeout)),
            Overdue::Body => self.refuse_body(Page::RequestTimeout),
            Overdue::Peer => Ended::Now,
        }
    }

    /// Ends the connection for the body of the engine's request, with this answer unless it has already got another.
    fn refuse_body(&mut self, page: Page) -> Ended {
        if !self.channel.activity.is_unanswered() {
            return Ended::Now;
        }
        let is_of_api = self.channel.is_of_api.get();
        self.refuse(Refusal { page, is_of_api, is_head_alone: false })
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Stage::Lingering { is_finished, bytes_left } = &mut self.stage else { return Poll::Ready(()) };
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !*is_finished {
            if ready!(self.channel.poll_finish(cx)).is_err() {
                return Poll::Ready(());
            }
            *is_finished = true;
        }
        self.channel.poll_discard(cx, &self.thread, bytes_left)
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.is_registered {
            let _ = this.timer.as_mut().poll(cx);
            let _ = this.drain_start.as_mut().poll(cx);
            this.channel.set_waker(cx.waker().clone());
            this.is_registered = true;
        }
        if let Stage::Serving = this.stage {
            let ended = match this.poll_serve(cx) {
                Poll::Pending => match this.poll_deadlines(cx) {
                    // What has come was answered just now, as far as it can be.
                    Poll::Pending if this.channel.is_evicted() => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(ended) => ended,
                },
                Poll::Ready(ended) => ended,
            };
            if let Ended::Now | Ended::Said = ended {
                return Poll::Ready(());
            }
            this.channel.activity.end_answer(Instant::now());
            this.stage = Stage::Lingering { is_finished: false, bytes_left: LINGER_BYTES_MAX };
            this.timer.as_mut().reset(Instant::now() + LINGER_TIMEOUT);
        }
        if this.channel.is_evicted() {
            return Poll::Ready(());
        }
        this.poll_linger(cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.drain.open.set(self.drain.open.get() - 1);
        if self.drain.open.get() == 0 {
            self.drain.done.notify_one();
        }
    }
}

/// hyper with our limits. Pipelined answers are batched by the wire and not by hyper, whose own batching holds back
/// the whole of a streamed answer while another request waits behind it.
fn engine(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .half_close(false)
        .header_read_timeout(None)
        .max_header_size(limits.head_bytes_max)
        .max_buf_size(limits.head_bytes_max.max(8192))
        .pipeline_flush(false)
        .writev(false);
    builder
}

#[cfg(test)]
mod tests;
