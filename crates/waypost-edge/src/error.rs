//! Why an edge does not start.

use std::io;
use std::net::SocketAddr;

use waypost_spool::SpoolError;

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// No address to listen on was given.
    #[error("no address to listen on is configured")]
    NoAddress,
    /// Another process listens there.
    #[error("{address} is already in use")]
    AddressInUse {
        /// The requested address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// The system refuses a thread or a resource of its runtime.
    #[error("cannot start an edge thread")]
    Thread(#[source] io::Error),
    /// There is no place to record clicks in.
    #[error("cannot record clicks")]
    Clicks(#[from] SpoolError),
}
