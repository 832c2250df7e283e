//! The running parts of the server, and how they are stopped.
//!
//! Normally the listeners close first; then running requests finish, and the remaining clicks are counted. If the
//! database does not answer, that would wait long while nothing redirects. So the control plane then ends first, in
//! little time, and links redirect until it has ended; requests that wait for the database are cut off.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use waypost_edge::Edge;

use crate::instance::LocalParts;
use crate::serve::local_socket::LocalSocket;
use crate::serve::opening::ControlPlane;
use crate::serve::warm::Warmer;

/// How long a database may take to answer when the server stops. Links redirect meanwhile.
const ANSWER_MAX: Duration = Duration::from_millis(1_500);
/// How long the control plane may take to end if the database does not answer. Links redirect meanwhile.
const CONTROL_END_MAX: Duration = Duration::from_millis(500);
/// How long requests may then take once the listeners are closed: nearly all of them wait for the database.
const DRAIN_MAX: Duration = Duration::from_millis(500);
/// How long the connections to such a database, and those of commands, may take to close.
const CLOSE_MAX: Duration = Duration::from_millis(250);
/// How long the jobs may take to end if the database answered.
const JOBS_END_MAX: Duration = Duration::from_secs(10);

/// How long running commands on the local socket may take to end.
const COMMANDS_END_MAX: Duration = Duration::from_secs(5);

/// Everything that has to be stopped.
pub(super) struct Running {
    pub(super) edge: Edge,
    pub(super) warmer: Warmer,
    pub(super) control: Option<ControlPlane>,
    /// The task of a control plane that waits for its database.
    pub(super) waiting: Option<JoinHandle<ControlPlane>>,
    pub(super) socket: LocalSocket,
    pub(super) local: LocalParts,
}

impl Running {
    pub(super) fn stop(self, runtime: &Runtime, drain_timeout: Duration) {
        let Self { edge, warmer, mut control, waiting, socket, local } = self;
        if let Some(waiting) = waiting {
            waiting.abort();
            // `None` if the database never answered.
            control = runtime.block_on(waiting).ok();
        }
        drop(warmer);
        let Some(control) = control else {
            close_edge(edge, drain_timeout);
            runtime.block_on(async {
                socket.close(COMMANDS_END_MAX).await;
                local.close().await;
            });
            return;
        };
        let answered =
            runtime.block_on(async { timeout(ANSWER_MAX, control.instance.reach_databases()).await.is_ok() });
        // Live feeds would not end while somebody listens.
        control.app.close_feeds();
        if answered {
            close_edge(edge, drain_timeout);
            runtime.block_on(async {
                socket.close(COMMANDS_END_MAX).await;
                if timeout(JOBS_END_MAX, control.app.stop()).await.is_err() {
                    tracing::warn!("jobs wait for the database: ending without them");
                }
                control.instance.close().await;
            });
            return;
        }
        tracing::warn!("the database does not answer: stopping without it; clicks wait in the spool");
        // What does not end by itself ends with the runtime.
        let _ = runtime.block_on(async {
            let ends = async { tokio::join!(control.app.stop(), control.instance.clicks.stop()) };
            timeout(CONTROL_END_MAX, ends).await
        });
        close_edge(edge, drain_timeout.min(DRAIN_MAX));
        runtime.block_on(async {
            socket.close(CLOSE_MAX).await;
            local.close().await;
            let _ = timeout(CLOSE_MAX, control.instance.close_databases()).await;
        });
    }
}

fn close_edge(edge: Edge, drain_timeout: Duration) {
    let report = edge.shutdown(drain_timeout);
    tracing::info!(finished = report.finished, cut = report.cut, "all connections are closed");
}
