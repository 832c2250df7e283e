//! Outcomes of deliveries and events since the start, for the metrics. All names are from closed sets.

use std::sync::atomic::{AtomicU64, Ordering};

use waypost_api::ProblemCode;

use crate::problem::Problem;

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventFate {
    Counted,
    Duplicate,
    /// It cannot be read as an event.
    Malformed,
    /// It says something that cannot be.
    Invalid,
    /// Its link is not one of this instance, or not of that account and domain.
    UnknownLink,
    /// It claims to come from an edge whose clicks are counted here already.
    ForeignEdge,
}

impl EventFate {
    const NAMES: [&str; 6] = ["counted", "duplicate", "malformed", "invalid", "unknown_link", "foreign_edge"];
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// That clicks are counted.
    Analytics,
    /// Whether a password is right.
    Unlock,
}

impl Endpoint {
    const NAMES: [&str; 2] = ["analytics", "unlock"];
}

/// What became of deliveries, by the problem that was answered; the first stands for none, the last for all others.
const OUTCOMES: [&str; 8] =
    ["taken", "unsigned", "too_large", "timeout", "malformed", "unsupported", "switched_off", "failed"];

fn outcome(problem: Option<&Problem>) -> usize {
    match problem.map(Problem::code) {
        None => 0,
        Some(ProblemCode::SignatureInvalid) => 1,
        Some(ProblemCode::BodyTooLarge | ProblemCode::TooManyEvents) => 2,
        Some(ProblemCode::RequestTimeout) => 3,
        Some(ProblemCode::BadJson | ProblemCode::BadRequest | ProblemCode::NotEvents | ProblemCode::InvalidField) => 4,
        Some(ProblemCode::UnsupportedMediaType) => 5,
        Some(ProblemCode::WebhooksOff) => 6,
        Some(_) => 7,
    }
}

/// The counts since the start.
#[derive(Debug, Default)]
pub struct WebhookCounts {
    events: [AtomicU64; EventFate::NAMES.len()],
    deliveries: [[AtomicU64; OUTCOMES.len()]; Endpoint::NAMES.len()],
}

impl WebhookCounts {
    pub(super) fn event(&self, fate: EventFate) {
        self.events[fate as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn delivery(&self, endpoint: Endpoint, problem: Option<&Problem>) {
        self.deliveries[endpoint as usize][outcome(problem)].fetch_add(1, Ordering::Relaxed);
    }

    /// Events by what became of them.
    pub fn events(&self) -> impl Iterator<Item = (&'static str, u64)> {
        EventFate::NAMES.into_iter().zip(self.events.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Deliveries by what was asked for and what became of it.
    pub fn deliveries(&self) -> impl Iterator<Item = ((&'static str, &'static str), u64)> {
        Endpoint::NAMES.into_iter().zip(&self.deliveries).flat_map(|(endpoint, counts)| {
            let counts = OUTCOMES.into_iter().zip(counts);
            counts.map(move |(outcome, count)| ((endpoint, outcome), count.load(Ordering::Relaxed)))
        })
    }
}
