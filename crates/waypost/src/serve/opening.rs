//! Starts the control plane, which waits for the databases for as long as necessary, while the edge redirects from the
//! existing link table.
//!
//! The first attempt decides: if a database refuses us (it belongs to another program, has a newer schema, or the
//! password is wrong), the start fails. If it does not answer, or refuses us only later, it is tried again and again.
//! If there is a link table, links in it redirect before the database has answered; only requests for other slugs have
//! to wait.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use waypost_clicks::ClicksError;
use waypost_control::{App, PublicUrl};
use waypost_store::StoreError;

use crate::config::Config;
use crate::fault::describe;
use crate::instance::{DatabasePlaces, Databases, Instance, LocalParts, http_settings};
use crate::serve::bridge::Bridge;
use crate::serve::vital::Vital;

/// For how long a refusal by a database ends the start: a working database answers within this time. Without a link
/// table, the listeners wait as long.
const FIRST_WAIT: Duration = Duration::from_secs(3);
/// How long the listeners wait if there is a link table.
const WAIT_WITH_TABLE: Duration = Duration::from_millis(300);
/// The wait before the next attempt: doubled each time, from the first value up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The databases while they are being opened.
pub(crate) struct Opening {
    places: DatabasePlaces,
    attempt: JoinHandle<anyhow::Result<Databases>>,
    /// Until when a refusal ends the start.
    decides_until: Instant,
    /// The reason for waiting that was last logged.
    said: Option<String>,
}

/// The running control plane.
pub(crate) struct ControlPlane {
    pub(crate) app: Arc<App>,
    pub(crate) instance: Instance,
}

impl Opening {
    /// Starts to open them; returns them if they answer at once.
    ///
    /// # Errors
    /// If a database refuses us.
    pub(crate) async fn begin(places: DatabasePlaces, table: &Path) -> anyhow::Result<Result<Databases, Self>> {
        let decides_until = Instant::now() + FIRST_WAIT;
        let wait = if table.exists() { WAIT_WITH_TABLE } else { FIRST_WAIT };
        let mut attempt = tokio::spawn(places.clone().open());
        let attempt = match timeout(wait, &mut attempt).await {
            Err(_) => attempt,
            Ok(opened) => match opened? {
                Ok(databases) => return Ok(Ok(databases)),
                // The waiting task reports the error again.
                Err(error) if may_pass(&error) => tokio::spawn(async { Err(error) }),
                Err(error) => return Err(error),
            },
        };
        Ok(Err(Self { places, attempt, decides_until, said: None }))
    }

    /// Waits until they are open, and starts the control plane. If one refuses us at first, the error is sent to
    /// `refused`, and nothing is started.
    pub(crate) async fn start_when_open(
        mut self,
        local: LocalParts,
        (config, public_url): (Config, PublicUrl),
        (bridge, vital): (Bridge, Arc<Vital>),
        refused: oneshot::Sender<anyhow::Error>,
    ) -> ControlPlane {
        let mut pause = BACK_OFF.0;
        loop {
            let reason = match self.opened(&local).await {
                Ok(Ok(databases)) => {
                    match start(databases, local.clone(), &config, public_url.clone(), (&bridge, &vital)).await {
                        Ok(started) => {
                            tracing::info!("the database answers; all parts are running");
                            return started;
                        }
                        Err(error) => describe(&error),
                    }
                }
                Ok(Err(error)) if Instant::now() < self.decides_until && !may_pass(&error) => {
                    // Nobody receives it if the server is just stopping.
                    let _ = refused.send(error);
                    return std::future::pending().await;
                }
                Ok(Err(error)) => describe(&error),
                Err(error) => error.to_string(),
            };
            self.log_reason(&reason);
            trust(&local);
            self.decides_until = Instant::now();
            self.attempt = tokio::spawn(retry(self.places.clone(), pause));
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    /// Waits for the attempt. If the databases do not answer in time, the table is trusted meanwhile.
    async fn opened(&mut self, local: &LocalParts) -> Result<anyhow::Result<Databases>, JoinError> {
        if let Ok(opened) = timeout_at(self.decides_until, &mut self.attempt).await {
            return opened;
        }
        if self.said.is_none() {
            self.log_reason("it does not answer");
        }
        trust(local);
        (&mut self.attempt).await
    }

    /// Logs why it takes long, once and again if the reason changes.
    fn log_reason(&mut self, reason: &str) {
        if self.said.as_deref() == Some(reason) {
            return;
        }
        tracing::warn!(reason, "waiting for the database; links that are in the link table redirect meanwhile");
        self.said = Some(reason.to_owned());
    }
}

/// Trusts the link table although nobody knows what it lacks: a table that was complete once is better than none.
fn trust(local: &LocalParts) {
    if let Err(error) = local.table.trust() {
        tracing::error!(error = &error as &dyn std::error::Error, "the link table cannot be read");
    }
}

async fn retry(places: DatabasePlaces, pause: Duration) -> anyhow::Result<Databases> {
    sleep(pause).await;
    places.open().await
}

/// Whether this error can go away without a change here.
fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_unavailable)
            || cause.downcast_ref::<ClicksError>().is_some_and(ClicksError::is_unavailable)
    })
}

/// Starts the control plane on open databases, watches its jobs, and passes requests to it.
///
/// # Errors
/// If a database fails.
pub(crate) async fn start(
    databases: Databases,
    local: LocalParts,
    config: &Config,
    public_url: PublicUrl,
    (bridge, vital): (&Bridge, &Vital),
) -> anyhow::Result<ControlPlane> {
    let instance = Instance::join(local, databases, config).await?;
    let app = match instance.start_app(config, public_url).await {
        Ok(app) => app,
        Err(error) => {
            // The next attempt starts to count the spool again.
            instance.clicks.stop().await;
            return Err(error);
        }
    };
    let jobs = Arc::downgrade(&app);
    vital.watch(move || jobs.upgrade()?.ended_job());
    bridge.open(waypost_http::router(Arc::clone(&app), http_settings(config)));
    tokio::spawn(log_readiness(Arc::clone(&app)));
    Ok(ControlPlane { app, instance })
}

async fn log_readiness(app: Arc<App>) {
    if app.wait_until_ready(Duration::from_secs(1)).await {
        tracing::info!("ready");
        return;
    }
    tracing::info!("the link table is catching up with the database; links that are in it already redirect meanwhile");
    while !app.wait_until_ready(Duration::from_secs(10)).await {}
    tracing::info!("ready");
}
