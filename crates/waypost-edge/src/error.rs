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
    /// Somebody else listens there.
    #[error("{address} is already in use")]
    AddressInUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refuses a thread or what its runtime needs.
    #[error("cannot start an edge thread")]
    Thread(#[source] io::Error),
    /// There is no place to record clicks in.
    #[error("cannot record clicks")]
    Clicks(#[from] SpoolError),
}
