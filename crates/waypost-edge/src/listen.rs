//! Listens: one socket for each thread on each address, all bound before anything is served.
//!
//! The first socket of an address is bound alone, so that a port of another process is refused even if
//! that process shares ports as we do; only then is it opened to the sockets of the other threads.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::error::EdgeError;

/// Connections that wait to be accepted, for each socket.
const BACKLOG: i32 = 4096;
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The sockets of an edge.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// For each thread one socket for each address.
    pub(crate) by_thread: Vec<Vec<TcpListener>>,
    /// The addresses, with the ports that were chosen.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Listeners {
    pub(crate) fn bind(addresses: &[SocketAddr], threads: usize) -> Result<Self, EdgeError> {
        let mut listeners = Self { by_thread: Vec::new(), addresses: Vec::new() };
        listeners.by_thread.resize_with(threads, Vec::new);
        for &wanted in addresses {
            let error = |source: io::Error| match source.kind() {
                io::ErrorKind::AddrInUse => EdgeError::AddressInUse { address: wanted },
                _ => EdgeError::Listen { address: wanted, source },
            };
            let first = bind_alone(wanted).map_err(error)?;
            let address = first.local_addr().map_err(error)?;
            let mut first = Some(first);
            for sockets in &mut listeners.by_thread {
                let socket = match first.take() {
                    Some(first) => first,
                    None => bind_shared(address).map_err(error)?,
                };
                sockets.push(socket);
            }
            listeners.addresses.push(address);
        }
        Ok(listeners)
    }
}

fn bind_alone(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket whose connections inherit its options, which saves setting them on each.
fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use waypost_testkit::port::ReservedPort;

    use super::*;

    #[test]
    fn threads_share_a_port_that_nobody_else_gets() {
        let port = ReservedPort::new().unwrap();
        let address = port.address();
        let ours = Listeners::bind(&[address], 3).unwrap();
        assert_eq!(ours.addresses, [address]);
        for sockets in &ours.by_thread {
            assert_eq!(sockets[0].local_addr().unwrap(), address);
        }
        let error = Listeners::bind(&[address], 1).unwrap_err();
        assert_eq!(error.to_string(), format!("{address} is already in use"));
        drop(ours);
        assert_eq!(Listeners::bind(&[address], 2).unwrap().addresses, [address]);
    }

    #[test]
    fn both_families_take_the_same_port() {
        // A port of one family may be another program's in the other, so more than one is tried.
        let both = (0..20).any(|_| {
            let v6 = Listeners::bind(&["[::]:0".parse().unwrap()], 1).unwrap();
            let port = v6.addresses[0].port();
            Listeners::bind(&[SocketAddr::from(([0, 0, 0, 0], port))], 1).is_ok()
        });
        assert!(both);
    }
}
