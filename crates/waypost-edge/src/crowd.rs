//! The connections of one thread, and which of them is closed when there is no room for another.
//!
//! Requests do not record which connections are idle. Only when room is needed, some connections are examined, and
//! others the next time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::Channel;

/// How many connections that have made the server wait are compared.
const LOOKED_AT: usize = 64;
/// How many connections are examined at most, because others are busy or of other networks.
const LOOKED_AT_MAX: usize = 1024;
/// How long sending or answering a request may take before the connection counts as slow.
const YOUNG: Duration = Duration::from_secs(1);
/// So many closed connections are not worth cleaning up.
const GONE_MAX: usize = 64;

/// The connections of a thread, first those that were not examined for longest.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    all: RefCell<VecDeque<Weak<Channel>>>,
}

impl Crowd {
    /// Adds a connection; `open` are open now.
    pub(crate) fn add(&self, channel: &Rc<Channel>, open: usize) {
        let mut all = self.all.borrow_mut();
        if all.len() > 2 * open + GONE_MAX {
            all.retain(|channel| channel.strong_count() > 0);
        }
        all.push_back(Rc::downgrade(channel));
    }

    /// Closes the connection with the least claim to its place, if a network is given one of that network, and frees
    /// the place at once. `false` if there is none. For the share of a network, no request whose peer waits for its
    /// answer is cut off.
    pub(crate) fn evict(&self, network: Option<IpAddr>) -> bool {
        let now = Instant::now();
        let mut all = self.all.borrow_mut();
        let mut least: Option<(Claim, Rc<Channel>)> = None;
        for number in 0..all.len().min(LOOKED_AT_MAX) {
            let is_found = least.as_ref().is_some_and(|(claim, _)| claim.order == Order::LongIdle);
            if number >= LOOKED_AT && is_found && network.is_none() {
                break;
            }
            let Some(channel) = all.pop_front() else { break };
            let Some(peer) = channel.upgrade().filter(|peer| !peer.is_evicted()) else { continue };
            all.push_back(channel);
            if network.is_some_and(|network| !peer.is_from(network)) {
                continue;
            }
            let claim = Claim::of(&peer, now);
            if network.is_some() && claim.is_waiting_for_us {
                continue;
            }
            if least.as_ref().is_none_or(|(least, _)| claim < *least) {
                least = Some((claim, peer));
            }
        }
        least.is_some_and(|(_, peer)| peer.evict())
    }
}

/// The claim of a connection to its place: the least is closed first, among equals the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    order: Order,
    since: Instant,
    /// Whether its peer has sent all and waits for an answer.
    is_waiting_for_us: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    /// Its peer has made us wait for some time.
    LongIdle,
    /// It pipelines requests, so there is never a moment without an unanswered one.
    Pipelines,
    /// It was opened or answered just now, or its answer takes long.
    Usual,
    /// Its request is being answered.
    Answered,
}

impl Claim {
    fn of(peer: &Channel, now: Instant) -> Self {
        let waiting_since = peer.activity.waiting_since();
        let since = waiting_since.unwrap_or_else(|| peer.activity.since());
        let is_long = now.saturating_duration_since(since) >= YOUNG;
        let is_waiting_for_us = waiting_since.is_none() && !peer.has_next_request();
        let order = match (waiting_since, is_long) {
            (Some(_), true) => Order::LongIdle,
            (None, _) if !is_waiting_for_us => Order::Pipelines,
            (Some(_), false) | (None, true) => Order::Usual,
            (None, false) => Order::Answered,
        };
        Self { order, since, is_waiting_for_us }
    }
}
