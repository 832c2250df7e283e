//! Records what a connection is doing and since when, and so when it has taken too long.
//!
//! Written by the wire (bytes came, bytes cannot leave) and by the request service (a request began, its answer
//! ended), read by the connection. All three live in one task of one thread, hence the cells.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// A peer that reads an answer more slowly than this, and makes us wait, is disconnected in the end.
const WRITE_BYTES_PER_S_MIN: u64 = 1024;

/// What one connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    write: Waits,
    body: Waits,
    /// Bytes of the body that have arrived, without those that arrived together with its head.
    body_bytes: Cell<u64>,
    /// Whether the request whose body is awaited has been answered without it.
    is_body_unneeded: Cell<bool>,
    requests: Cell<u64>,
    /// Whether an answer left bytes of its request unread, so that closing at once could destroy the answer.
    leaves_input: Cell<bool>,
}

/// The total time for which the peer has made us wait.
#[derive(Debug, Default)]
struct Waits {
    since: Cell<Option<Instant>>,
    ended: Cell<Option<Instant>>,
    waited: Cell<Duration>,
}

impl Waits {
    fn begin(&self, now: Instant) {
        if self.since.get().is_none() {
            self.since.set(Some(now));
        }
    }

    fn end(&self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.waited.set(self.waited.get() + now.duration_since(since));
            self.ended.set(Some(now));
        }
    }

    /// Subtracts this much.
    fn forgive(&self, time: Duration) {
        self.waited.set(self.waited.get().saturating_sub(time));
    }

    /// When the sum will reach `most`, if the peer keeps making us wait.
    fn deadline(&self, most: Duration) -> Option<Instant> {
        Some(self.since.get()? + most.saturating_sub(self.waited.get()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connected, and no bytes have arrived yet.
    Silent,
    /// A part of a request's head has arrived.
    Head,
    /// A request is being answered.
    Answer,
    /// Between an answer and the next request.
    Idle,
}

/// What a connection has taken too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The rest of a request's head.
    Head,
    /// The rest of a request's body.
    Body,
    /// Sending any bytes, or reading those it is sent.
    Peer,
}

impl Activity {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Cell::new(Phase::Silent),
            since: Cell::new(now),
            write: Waits::default(),
            body: Waits::default(),
            body_bytes: Cell::new(0),
            is_body_unneeded: Cell::new(false),
            requests: Cell::new(0),
            leaves_input: Cell::new(false),
        }
    }

    /// Bytes have arrived.
    pub(crate) fn received(&self, now: Instant) {
        if matches!(self.phase.get(), Phase::Silent | Phase::Idle) {
            self.enter(Phase::Head, now);
        }
    }

    /// A request is complete up to its body. Returns its number on this connection, from 1.
    pub(crate) fn begin_answer(&self) -> u64 {
        self.phase.set(Phase::Answer);
        self.requests.set(self.requests.get() + 1);
        self.requests.get()
    }

    /// The request was answered at the moment it was read.
    pub(crate) fn end_answer_at_once(&self) {
        self.phase.set(Phase::Idle);
    }

    /// A request was read and answered in the same moment.
    pub(crate) fn answered_at_once(&self) {
        self.begin_answer();
        self.end_answer_at_once();
    }

    /// Requests that were answered or are being answered.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Whether the last answer has been handed to the wire and nothing has arrived since.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle
    }

    /// The answer has been handed to the wire in full.
    pub(crate) fn end_answer(&self, now: Instant) {
        self.enter(Phase::Idle, now);
    }

    /// The peer accepts no more bytes for now.
    pub(crate) fn write_blocked(&self, now: Instant) {
        if let Some(ended) = self.write.ended.take() {
            self.write.forgive(now.duration_since(ended));
        }
        self.write.begin(now);
    }

    /// The peer has accepted bytes.
    #[inline]
    pub(crate) fn write_moved(&self, bytes: usize) {
        if self.write.since.get().is_some() {
            self.write.end(Instant::now());
            self.write.forgive(time_for(bytes as u64, WRITE_BYTES_PER_S_MIN));
        }
    }

    /// A request has begun whose body has not arrived completely.
    pub(crate) fn begin_body(&self) {
        self.body_bytes.set(0);
        self.body.waited.set(Duration::ZERO);
        self.is_body_unneeded.set(false);
    }

    /// The rest of the body is needed and has not arrived.
    pub(crate) fn body_awaited(&self, now: Instant) {
        self.body.begin(now);
    }

    /// More of the body has arrived, or its end.
    pub(crate) fn body_came(&self, bytes: usize, now: Instant) {
        self.body.end(now);
        self.body_bytes.set(self.body_bytes.get() + bytes as u64);
    }

    /// The answer is ready, whether or not the body has arrived.
    pub(crate) fn answer_made(&self) {
        self.is_body_unneeded.set(true);
    }

    /// Whether the request can still be answered in place of the control plane.
    pub(crate) fn is_unanswered(&self) -> bool {
        !self.is_body_unneeded.get()
    }

    /// When the current state began; while a request is answered, about when it arrived.
    pub(crate) fn since(&self) -> Instant {
        self.since.get()
    }

    /// Since when the peer has made us wait: for a request or the rest of one, or to accept its answer. `None` while it
    /// waits for us.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        match self.phase.get() {
            Phase::Silent | Phase::Head | Phase::Idle => Some(self.since.get()),
            Phase::Answer => self.body.since.get().or(self.write.since.get()),
        }
    }

    pub(crate) fn leave_input(&self) {
        self.leaves_input.set(true);
    }

    pub(crate) fn leaves_input(&self) -> bool {
        self.leaves_input.get()
    }

    /// When the connection has taken too long in its current state. Building an answer may take any time.
    #[inline]
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let of_phase = match self.phase.get() {
            Phase::Silent | Phase::Head => Some(self.since.get() + limits.head_read_timeout),
            Phase::Idle => Some(self.since.get() + limits.idle_timeout),
            Phase::Answer => self.body_deadline(limits),
        };
        let Some(of_write) = self.write.deadline(limits.write_timeout) else { return of_phase };
        Some(of_phase.map_or(of_write, |of_phase| of_phase.min(of_write)))
    }

    /// A body has a time limit that grows with its bytes: a peer that sends at the least rate is never late.
    #[cold]
    fn body_deadline(&self, limits: &Limits) -> Option<Instant> {
        self.body.deadline(limits.body_read_timeout + time_for(self.body_bytes.get(), limits.body_bytes_per_s_min))
    }

    /// What has taken too long at `now`, if anything has.
    pub(crate) fn overdue(&self, now: Instant, limits: &Limits) -> Option<Overdue> {
        self.deadline(limits).filter(|deadline| *deadline <= now)?;
        let is_writing = self.write.since.get().is_some();
        Some(match self.phase.get() {
            Phase::Head if !is_writing => Overdue::Head,
            Phase::Answer if self.body_deadline(limits).is_some_and(|deadline| deadline <= now) => Overdue::Body,
            Phase::Silent | Phase::Head | Phase::Answer | Phase::Idle => Overdue::Peer,
        })
    }

    fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }
}

/// How long so many bytes take at a rate.
fn time_for(bytes: u64, per_s: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / per_s.max(1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_phase_has_its_own_deadline() {
        let seconds = Duration::from_secs;
        let limits = Limits {
            head_read_timeout: seconds(10),
            idle_timeout: seconds(60),
            write_timeout: seconds(5),
            ..Limits::default()
        };
        let start = Instant::now();
        let activity = Activity::new(start);
        assert_eq!(activity.deadline(&limits), Some(start + seconds(10)));
        assert_eq!(activity.overdue(start + seconds(10), &limits), Some(Overdue::Peer));

        activity.received(start + seconds(1));
        activity.received(start + seconds(9));
        assert_eq!(activity.deadline(&limits), Some(start + seconds(11)), "more bytes do not buy more time");
        assert_eq!(activity.overdue(start + seconds(10), &limits), None);
        assert_eq!(activity.overdue(start + seconds(11), &limits), Some(Overdue::Head));

        assert_eq!(activity.begin_answer(), 1);
        assert_eq!(activity.deadline(&limits), None);
        activity.write_blocked(start + seconds(12));
        activity.write_blocked(start + seconds(13));
        assert_eq!(activity.overdue(start + seconds(17), &limits), Some(Overdue::Peer));
        activity.write_moved(1 << 20);
        assert_eq!(activity.deadline(&limits), None);

        activity.end_answer(start + seconds(20));
        assert_eq!(activity.deadline(&limits), Some(start + seconds(80)));
    }

    #[test]
    fn a_body_has_its_time_and_a_least_rate() {
        let seconds = Duration::from_secs;
        let limits = Limits { body_read_timeout: seconds(15), body_bytes_per_s_min: 1_000, ..Limits::default() };
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.received(start);
        activity.begin_answer();
        activity.begin_body();
        assert_eq!(activity.deadline(&limits), None, "nobody waits for it yet");
        activity.body_awaited(start);
        assert_eq!(activity.deadline(&limits), Some(start + seconds(15)));
        // A byte a second buys nothing.
        for second in 1..=14 {
            activity.body_came(1, start + seconds(second));
            activity.body_awaited(start + seconds(second));
        }
        assert_eq!(activity.overdue(start + seconds(15), &limits), None, "14 bytes are 14 milliseconds");
        assert_eq!(activity.overdue(start + seconds(15) + Duration::from_millis(14), &limits), Some(Overdue::Body));
        // The least rate does.
        for second in 15..=60 {
            activity.body_came(1_000, start + seconds(second));
            activity.body_awaited(start + seconds(second));
            assert_eq!(activity.overdue(start + seconds(second), &limits), None, "second {second}");
        }
        assert_eq!(activity.waiting_since(), Some(start + seconds(60)));
        // What we do with it is not the peer's time.
        activity.body_came(1_000, start + seconds(60));
        activity.body_awaited(start + seconds(600));
        assert_eq!(activity.overdue(start + seconds(600), &limits), None);
        assert_eq!(activity.overdue(start + seconds(700), &limits), Some(Overdue::Body));
        activity.body_came(0, start + seconds(600));
        assert_eq!(activity.deadline(&limits), None);
    }

    #[test]
    fn whoever_takes_an_answer_byte_by_byte_is_late() {
        let limits = Limits { write_timeout: Duration::from_secs(10), ..Limits::default() };
        let start = Instant::now();
        let waits = Waits::default();
        waits.begin(start);
        assert_eq!(waits.deadline(limits.write_timeout), Some(start + Duration::from_secs(10)));
        waits.end(start + Duration::from_secs(9));
        waits.forgive(time_for(1, WRITE_BYTES_PER_S_MIN));
        waits.begin(start + Duration::from_secs(9));
        let deadline = waits.deadline(limits.write_timeout).expect("it waits");
        assert!(deadline < start + Duration::from_millis(10_002), "a byte does not buy ten seconds more");
        waits.end(start + Duration::from_secs(10));
        waits.forgive(time_for(100 << 10, WRITE_BYTES_PER_S_MIN));
        waits.begin(start + Duration::from_secs(20));
        assert_eq!(waits.deadline(limits.write_timeout), Some(start + Duration::from_secs(30)));
    }
}
