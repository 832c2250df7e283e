//! Accepts connections: admits or refuses each, and survives running out of descriptors.

use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::admission::{Admission, Crowded, NoRoom};
use crate::connection::{Connection, Drain};
use crate::crowd::Crowd;
use crate::shared::Shared;
use crate::thread::Thread;
use crate::visitor::Peer;

/// Pause after an accept that failed for lack of descriptors or memory: doubled each time in a row, up to the longest.
const PAUSE_SHORTEST: Duration = Duration::from_millis(10);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

const OVERLOAD_ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\
      retry-after: 1\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n";

/// How many refused peers of one thread are read from at once; descriptors are reserved for them.
const TURNED_AWAY_MAX: usize = 8;
/// How long, and for how many bytes, one of them is read from.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_secs(1);
const TURN_AWAY_BYTES_MAX: usize = 64 * 1024;
/// Bytes read from one of them at once.
const DISCARD_CHUNK_BYTES: usize = 2 * 1024;

/// The order to stop, which all threads receive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) cut_at: Instant,
}

/// The state that the accept loops of one thread share.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) drain: Rc<Drain>,
    pub(crate) crowd: Rc<Crowd>,
    pub(crate) thread: Rc<Thread>,
    /// Has one more reference for each refused peer that is still read from.
    pub(crate) turning_away: Rc<()>,
}

impl Acceptor {
    /// Accepts until the order to stop, then accepts the connections that the kernel had already completed, and closes
    /// the listener.
    pub(crate) async fn run(self, listener: TcpListener, mut stop: watch::Receiver<Option<Stop>>) {
        let mut pause = PAUSE_SHORTEST;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(Option::is_some) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    pause = PAUSE_SHORTEST;
                    if self.admit(stream, from) == Admitted::InPlaceOfAnother {
                        // The descriptor of the other one is closed when its task runs next.
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if concerns_one_connection(&error) => (),
                Err(error) => {
                    self.note_crowded(Some(&error), |crowded| crowded.failed += 1);
                    self.crowd.evict(None);
                    let _ = tokio::time::timeout(pause, stop.wait_for(Option::is_some)).await;
                    pause = (pause * 2).min(PAUSE_LONGEST);
                }
            }
        }
        while let Some((stream, from)) = poll_fn(|cx| match listener.poll_accept(cx) {
            Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
        })
        .await
        {
            self.admit(stream, from);
        }
    }

    fn admit(&self, stream: TcpStream, from: SocketAddr) -> Admitted {
        let peer = Peer::new(from, &self.shared.proxies);
        let is_counted = !peer.is_trusted && !peer.address.is_loopback();
        let counted = is_counted.then_some(peer.address);
        let (permit, admitted) = match self.admission.admit(counted) {
            Ok(permit) => (permit, Admitted::Beside),
            Err(no_room) => {
                let network = match no_room {
                    NoRoom::Process => None,
                    NoRoom::Network(network) => Some(network),
                };
                let permit = self.crowd.evict(network).then(|| self.admission.admit(counted).ok()).flatten();
                let Some(permit) = permit else {
                    self.note_crowded(None, |crowded| crowded.refused += 1);
                    self.turn_away(stream);
                    return Admitted::No;
                };
                self.note_crowded(None, |crowded| crowded.closed += 1);
                (permit, Admitted::InPlaceOfAnother)
            }
        };
        tokio::task::spawn_local(Connection::new(stream, peer, self, permit));
        admitted
    }

    /// Answers that there is no room. Closing with an unread request would destroy the answer, so the peer's bytes are
    /// read for a while. The number of peers read at once is limited; of one beyond it, only the bytes that have
    /// already arrived are read.
    fn turn_away(&self, stream: TcpStream) {
        let Ok(mut stream) = stream.into_std() else { return };
        // A peer that does not accept this at once is not waited for.
        let _ = stream.write(OVERLOAD_ANSWER);
        let _ = stream.shutdown(Shutdown::Write);
        if Rc::strong_count(&self.turning_away) <= TURNED_AWAY_MAX {
            let place = self.turning_away.clone();
            tokio::task::spawn_local(async move {
                if let Ok(stream) = TcpStream::from_std(stream) {
                    let _ = tokio::time::timeout(TURN_AWAY_TIMEOUT, discard(stream)).await;
                }
                drop(place);
            });
        } else {
            let mut chunk = [0; DISCARD_CHUNK_BYTES];
            let mut bytes_left = TURN_AWAY_BYTES_MAX;
            while bytes_left > 0
                && let Ok(count @ 1..) = stream.read(&mut chunk)
            {
                bytes_left = bytes_left.saturating_sub(count);
            }
        }
    }

    fn note_crowded(&self, error: Option<&io::Error>, count: impl FnOnce(&mut Crowded)) {
        let Some(Crowded { closed, refused, failed }) = self.admission.note_crowded(Instant::now(), count) else {
            return;
        };
        tracing::warn!(
            closed,
            refused,
            failed,
            error = error.map(|error| error as &dyn std::error::Error),
            "there is no room for more connections: old idle ones are closed for new ones, which are turned away where there \
             are none; the next minute is told in one line"
        );
    }
}

/// Reads to the end, or to a limit.
async fn discard(stream: TcpStream) {
    let mut chunk = [0; DISCARD_CHUNK_BYTES];
    let mut bytes_left = TURN_AWAY_BYTES_MAX;
    while bytes_left > 0 && stream.readable().await.is_ok() {
        match stream.try_read(&mut chunk) {
            Ok(count @ 1..) => bytes_left = bytes_left.saturating_sub(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => break,
        }
    }
}

/// The outcome for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admitted {
    Beside,
    InPlaceOfAnother,
    No,
}

/// Whether an error of accept is about a connection that is already gone again, and not about us.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn being_out_of_descriptors_is_our_own_trouble() {
        // ENFILE, EMFILE and ENOMEM have the same numbers on every Unix.
        for number in [23, 24, 12] {
            let error = io::Error::from_raw_os_error(number);
            assert!(!concerns_one_connection(&error), "{error}");
        }
        assert!(concerns_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    }
}
