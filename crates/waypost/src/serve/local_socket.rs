//! The local socket: the control plane's router for commands on this machine. Everybody who can open it
//! acts as the operator, so it is in the data folder with mode 0600.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use axum::serve::Listener;
use axum::{Extension, Router};
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use waypost_edge::StrictStream;
use waypost_http::Principal;

use crate::data_dir::{DataDir, SocketPath};

/// Reads requests as strictly as the edge does.
struct StrictListener(UnixListener);

impl Listener for StrictListener {
    type Io = StrictStream<UnixStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (StrictStream::new(stream), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// The open socket.
pub(crate) struct LocalSocket {
    path: PathBuf,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl LocalSocket {
    /// Opens the socket of this data folder and serves `router` on it. The caller holds the folder's lock, so an
    /// existing socket is left from an earlier process.
    ///
    /// # Errors
    /// If the socket cannot be created.
    pub(crate) fn open(data_dir: &DataDir, router: Router) -> anyhow::Result<Self> {
        let path = data_dir.socket();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove the old socket {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let context = || format!("cannot open the local socket {}", path.display());
        let reachable = SocketPath::of(data_dir).with_context(context)?;
        let listener = UnixListener::bind(reachable.path()).with_context(context)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).with_context(context)?;
        let (stop, stopped) = oneshot::channel();
        let router = router.layer(Extension(Principal::Operator));
        let server = axum::serve(StrictListener(listener), router).with_graceful_shutdown(async {
            // A dropped sender means the same.
            let _ = stopped.await;
        });
        let server = tokio::spawn(server.into_future());
        Ok(Self { path, stop, server })
    }

    /// The name of the task that serves it, if the task ended before [`LocalSocket::close`].
    pub(crate) fn ended_task(&self) -> Option<&'static str> {
        self.server.is_finished().then_some("the task that serves the local socket")
    }

    /// Stops accepting, waits at most this long for running commands, and removes the socket.
    pub(crate) async fn close(self, wait: Duration) {
        // Fails only if the server has already ended.
        let _ = self.stop.send(());
        if tokio::time::timeout(wait, self.server).await.is_err() {
            tracing::warn!("a request on the local socket was cut off");
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "the local socket could not be removed");
        }
    }
}
