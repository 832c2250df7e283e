//! Limits how many connections are open at once: in the process, and from one network.
//!
//! Asked once per connection, never per request, so a plain mutex serves all threads. If there is no room, the accept
//! loop closes an old connection ([`crate::crowd`]) and asks again; the results are logged once a minute.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// How often it is logged that there is no room.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// The connections open now. Shared by the accept loops of all threads.
#[derive(Debug)]
pub(crate) struct Admission {
    connections_max: usize,
    per_network_max: u32,
    open: Mutex<Open>,
    crowding: Mutex<Crowding>,
}

/// How often there was no room since that was last logged.
#[derive(Debug, Default)]
struct Crowding {
    logged_at: Option<Instant>,
    counts: Crowded,
}

/// How often there was no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crowded {
    /// Old connections that were closed for new ones.
    pub(crate) closed: u64,
    /// New ones that were refused.
    pub(crate) refused: u64,
    /// Those that could not be accepted because descriptors or memory were missing.
    pub(crate) failed: u64,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// Only networks with a connection open; so never more entries than connections.
    by_network: HashMap<IpAddr, u32>,
}

/// One admitted connection; dropping it makes room again.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    network: Option<IpAddr>,
}

/// Why a connection cannot be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    Process,
    Network(IpAddr),
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections_max: limits.connections_max,
            per_network_max: limits.connections_per_network_max,
            open: Mutex::default(),
            crowding: Mutex::default(),
        }
    }

    /// Counts a connection for which there was no room. Returns the counts to log: the first at once, later ones once a
    /// minute.
    pub(crate) fn note_crowded(&self, now: Instant, count: impl FnOnce(&mut Crowded)) -> Option<Crowded> {
        let mut crowding = self.crowding.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut crowding.counts);
        if crowding.logged_at.is_some_and(|at| now < at + LOGGED_EVERY) {
            return None;
        }
        crowding.logged_at = Some(now);
        Some(std::mem::take(&mut crowding.counts))
    }

    /// Admits a connection. `counted` is the peer's address if the share of its network is limited.
    pub(crate) fn admit(self: &Arc<Self>, counted: Option<IpAddr>) -> Result<Permit, NoRoom> {
        let network = counted.map(network_of);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.connections_max {
            return Err(NoRoom::Process);
        }
        if let Some(network) = network {
            let count = open.by_network.get(&network).copied().unwrap_or_default();
            if count >= self.per_network_max {
                return Err(NoRoom::Network(network));
            }
            open.by_network.insert(network, count + 1);
        }
        open.total += 1;
        Ok(Permit { admission: self.clone(), network })
    }
}

impl Permit {
    /// The network that the connection counts for.
    pub(crate) fn network(&self) -> Option<IpAddr> {
        self.network
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        let Some(network) = self.network else { return };
        if let Some(count) = open.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.by_network.remove(&network);
            }
        }
    }
}

/// One IPv4 address, or the /64 an IPv6 address belongs to: what one subscriber has.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_process_and_by_network() {
        let limits = Limits { connections_max: 3, connections_per_network_max: 1, ..Limits::default() };
        let admission = Arc::new(Admission::new(&limits));
        let address = |text: &str| text.parse::<IpAddr>().ok();
        let first = admission.admit(address("2001:db8:0:1::1"));
        assert!(first.is_ok());
        assert_eq!(
            admission.admit(address("2001:db8:0:1::2")).err(),
            Some(NoRoom::Network("2001:db8:0:1::".parse().expect("an address")))
        );
        let second = admission.admit(address("2001:db8:0:2::1"));
        let third = admission.admit(None);
        assert!(second.is_ok() && third.is_ok());
        assert_eq!(admission.admit(None).err(), Some(NoRoom::Process));
        drop(first);
        let again = admission.admit(address("2001:db8:0:1::2"));
        assert!(again.is_ok());
        drop((again, second, third));
        let open = admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!((open.total, open.by_network.len()), (0, 0));
    }

    #[test]
    fn a_minute_without_room_is_one_line() {
        let admission = Admission::new(&Limits::default());
        let start = Instant::now();
        let refuse = |after: u64| {
            admission
                .note_crowded(start + Duration::from_secs(after), |crowded| crowded.refused += 1)
                .map(|c| c.refused)
        };
        assert_eq!(refuse(0), Some(1), "the first is told at once");
        assert_eq!([refuse(1), refuse(30), refuse(59)], [None; 3]);
        assert_eq!(refuse(60), Some(4));
        assert_eq!(refuse(61), None);
    }
}
