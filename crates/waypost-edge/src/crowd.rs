//! The connections of one thread, and which of them has to go when there is no room for another.
//!
//! Requests keep no account of who is idle: whoever needs room looks, at some connections at a time, and at others the next time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use crate::wire::Channel;

/// Connections among which the one is found that has been waited for longest.
const LOOKED_AT: usize = 64;
/// Connections looked at where those are none, or of other networks.
const LOOKED_AT_MAX: usize = 1024;
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

    /// Closes the connection, of this network where one is given, whose peer lets us wait for longest, and makes its place free
    /// at once. `false` where there is none: every request that has come is being answered.
    pub(crate) fn evict(&self, network: Option<IpAddr>) -> bool {
        let mut all = self.all.borrow_mut();
        let mut oldest = None;
        for number in 0..all.len().min(LOOKED_AT_MAX) {
            if number >= LOOKED_AT && oldest.is_some() && network.is_none() {
                break;
            }
            let Some(channel) = all.pop_front() else { break };
            let Some(peer) = channel.upgrade().filter(|peer| !peer.is_evicted()) else { continue };
            all.push_back(channel);
            if network.is_some_and(|network| !peer.is_from(network)) {
                continue;
            }
            if let Some(since) = peer.activity.waiting_since()
                && oldest.as_ref().is_none_or(|(oldest, _)| since < *oldest)
            {
                oldest = Some((since, peer));
            }
        }
        oldest.is_some_and(|(_, peer)| peer.evict())
    }
}
