//! The connections of one thread, and which of them has to go when there is no room for another.
//!
//! Requests keep no account of who is idle: whoever needs room looks, at some connections at a time, and at others the next time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::Channel;

/// Connections among which one is found that has been waited for long.
const LOOKED_AT: usize = 64;
/// Connections looked at where those are none, or of other networks.
const LOOKED_AT_MAX: usize = 1024;
/// What a peer may take to send its request, and a request to be answered, before it counts as slow.
const YOUNG: Duration = Duration::from_secs(1);
/// Gone connections that are not worth cleaning up.
const GONE_MAX: usize = 64;

/// The connections of a thread, those first that were not looked at for longest.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    all: RefCell<VecDeque<Weak<Channel>>>,
}

impl Crowd {
    /// Adds a connection, of which there are so many now.
    pub(crate) fn add(&self, channel: &Rc<Channel>, open: usize) {
        let mut all = self.all.borrow_mut();
        if all.len() > 2 * open + GONE_MAX {
            all.retain(|channel| channel.strong_count() > 0);
        }
        all.push_back(Rc::downgrade(channel));
    }

    /// Closes the connection, of this network where one is given, that has the least claim to its place, and makes the place free
    /// at once. `false` where there is none. For the share of a network, no request is cut whose peer waits for its answer.
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

/// How much a connection has to be left alone: the least one goes first, among equals the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    order: Order,
    since: Instant,
    /// Whether its peer has said all and waits for an answer.
    is_waiting_for_us: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    /// Its peer has let us wait for some time.
    LongIdle,
    /// It asks for more before it has its answers, so that there is never a moment without one.
    Pipelines,
    /// It came or was answered just now, or its answer takes long.
    Usual,
    /// Its answer is on its way.
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
