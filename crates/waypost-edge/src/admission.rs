//! How many connections may be open at once: in the process, and from one network.
//!
//! Asked once per connection, never per request, so a plain mutex serves all threads.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Limits;

/// The connections open now. Shared by the accept loops of all threads.
#[derive(Debug)]
pub(crate) struct Admission {
    connections_max: usize,
    per_network_max: u32,
    open: Mutex<Open>,
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

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Process,
    Network,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections_max: limits.connections_max,
            per_network_max: limits.connections_per_network_max,
            open: Mutex::default(),
        }
    }

    /// Lets a connection in. `counted` is the peer's address where its network's share is limited.
    pub(crate) fn admit(self: &Arc<Self>, counted: Option<IpAddr>) -> Result<Permit, Refusal> {
        let network = counted.map(network_of);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.connections_max {
            return Err(Refusal::Process);
        }
        if let Some(network) = network {
            let count = open.by_network.get(&network).copied().unwrap_or_default();
            if count >= self.per_network_max {
                return Err(Refusal::Network);
            }
            open.by_network.insert(network, count + 1);
        }
        open.total += 1;
        Ok(Permit { admission: self.clone(), network })
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
fn network_of(address: IpAddr) -> IpAddr {
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
        assert_eq!(admission.admit(address("2001:db8:0:1::2")).err(), Some(Refusal::Network));
        let second = admission.admit(address("2001:db8:0:2::1"));
        let third = admission.admit(None);
        assert!(second.is_ok() && third.is_ok());
        assert_eq!(admission.admit(None).err(), Some(Refusal::Process));
        drop(first);
        let again = admission.admit(address("2001:db8:0:1::2"));
        assert!(again.is_ok());
        drop((again, second, third));
        let open = admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!((open.total, open.by_network.len()), (0, 0));
    }
}
