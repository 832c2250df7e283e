//! The other end of a connection, and the visitor of a request.

use std::net::{IpAddr, SocketAddr};

use waypost_core::Timestamp;

use crate::client::Proxies;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) socket: SocketAddr,
    /// In canonical form: an IPv4 address is never written as an IPv6 one.
    pub(crate) address: IpAddr,
    pub(crate) is_trusted: bool,
}

impl Peer {
    pub(crate) fn new(socket: SocketAddr, proxies: &Proxies) -> Self {
        let address = socket.ip().to_canonical();
        Self { socket, address, is_trusted: proxies.trusts(address) }
    }
}

/// Visitor, country and time of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    pub(crate) address: IpAddr,
    /// Two capital letters.
    pub(crate) country: Option<[u8; 2]>,
    pub(crate) now: Timestamp,
}

impl Visitor {
    /// Two capital letters.
    pub(crate) fn country(&self) -> Option<&str> {
        self.country.as_ref().and_then(|letters| str::from_utf8(letters).ok())
    }
}
