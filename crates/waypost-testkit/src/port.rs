//! A TCP port of one's own, for a server that is stopped and started again at the same address, or that is not there.
//!
//! A port that was found free and let go can be another program's a moment later. So a socket stays bound to it and
//! never listens: the kernel gives the port to nobody who asks for any port, and to no outgoing connection, while a
//! program that names it and sets `SO_REUSEADDR`, as servers do, may listen there. Until one does, connections are
//! refused.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// A port of `127.0.0.1`, kept until the drop.
#[derive(Debug)]
pub struct ReservedPort {
    /// Held for its drop.
    _socket: Socket,
    address: SocketAddr,
}

impl ReservedPort {
    /// Reserves a free port.
    ///
    /// # Errors
    /// When no port or no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { _socket: socket, address })
    }

    /// The address on which a server may listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_server_may_listen_there_again_and_again() {
        let port = ReservedPort::new().unwrap();
        for _ in 0..2 {
            assert_eq!(TcpStream::connect(port.address()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let server = TcpListener::bind(port.address()).unwrap();
            TcpStream::connect(port.address()).unwrap();
            assert_eq!(server.local_addr().unwrap(), port.address());
        }
    }

    #[test]
    fn nobody_else_gets_it_who_asks_for_any() {
        let reserved: Vec<ReservedPort> = (0..200).map(|_| ReservedPort::new().unwrap()).collect();
        let others: Vec<TcpListener> = (0..200).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        for other in others {
            let address = other.local_addr().unwrap();
            assert!(reserved.iter().all(|port| port.address() != address), "{address}");
        }
    }
}
