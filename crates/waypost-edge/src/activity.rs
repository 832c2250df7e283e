//! What a connection is doing and since when, and so when it has taken too long.
//!
//! Written by the wire (bytes came, bytes cannot leave) and by the request service (a request began, its answer
//! ended), read by the connection. All three live in one task of one thread, hence the cells.

use std::cell::Cell;

use tokio::time::Instant;

use crate::config::Limits;

/// What one connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    write_blocked_since: Cell<Option<Instant>>,
    requests: Cell<u64>,
    /// Whether an answer left bytes of its request unread, so that closing at once could destroy the answer.
    leaves_input: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Connected, and nothing came yet.
    Silent,
    /// A part of a request's head has come.
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
    /// Sending anything, or reading what it is sent.
    Peer,
}

impl Activity {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Cell::new(Phase::Silent),
            since: Cell::new(now),
            write_blocked_since: Cell::new(None),
            requests: Cell::new(0),
            leaves_input: Cell::new(false),
        }
    }

    /// Bytes came.
    pub(crate) fn received(&self, now: Instant) {
        if matches!(self.phase.get(), Phase::Silent | Phase::Idle) {
            self.enter(Phase::Head, now);
        }
    }

    /// A request is complete up to its body. Gives its number on this connection, from 1.
    pub(crate) fn begin_answer(&self) -> u64 {
        self.phase.set(Phase::Answer);
        self.requests.set(self.requests.get() + 1);
        self.requests.get()
    }

    /// The answer was made in the same moment as its request was read.
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

    /// Whether the last answer has been handed to the wire and nothing has come since.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle
    }

    /// The answer has been handed to the wire in full.
    pub(crate) fn end_answer(&self, now: Instant) {
        self.enter(Phase::Idle, now);
    }

    /// The peer takes no more bytes for now.
    pub(crate) fn write_blocked(&self, now: Instant) {
        if self.write_blocked_since.get().is_none() {
            self.write_blocked_since.set(Some(now));
        }
    }

    /// The peer took bytes.
    pub(crate) fn write_moved(&self) {
        self.write_blocked_since.set(None);
    }

    pub(crate) fn leave_input(&self) {
        self.leaves_input.set(true);
    }

    pub(crate) fn leaves_input(&self) -> bool {
        self.leaves_input.get()
    }

    /// When the connection has taken too long for what it is doing. An answer may take as long as it wants to be made.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let phase = match self.phase.get() {
            Phase::Silent | Phase::Head => Some(self.since.get() + limits.head_read_timeout),
            Phase::Idle => Some(self.since.get() + limits.idle_timeout),
            Phase::Answer => None,
        };
        let write = self.write_blocked_since.get().map(|since| since + limits.write_timeout);
        match (phase, write) {
            (Some(phase), Some(write)) => Some(phase.min(write)),
            (phase, write) => phase.or(write),
        }
    }

    /// What has taken too long at `now`, if anything has.
    pub(crate) fn overdue(&self, now: Instant, limits: &Limits) -> Option<Overdue> {
        self.deadline(limits).filter(|deadline| *deadline <= now)?;
        let is_head = self.phase.get() == Phase::Head && self.write_blocked_since.get().is_none();
        Some(if is_head { Overdue::Head } else { Overdue::Peer })
    }

    fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }
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
        activity.write_moved();
        assert_eq!(activity.deadline(&limits), None);

        activity.end_answer(start + seconds(20));
        assert_eq!(activity.deadline(&limits), Some(start + seconds(80)));
    }
}
