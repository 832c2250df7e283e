//! The control plane's start, which waits for the databases as long as it must while the edge redirects from the table that is there.
//!
//! What a database says on the first try decides: where it refuses us (another program's, a newer schema, a wrong password),
//! the start ends with that. Where it does not answer, or only later says something else, it is asked again and again. Where there is a
//! link table, links that are in it redirect before the database has said anything; only what is not in it has to wait.

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

/// How long what the databases say decides about the start: what is there answers by then. Without a link table the listeners wait
/// for as long.
const FIRST_WAIT: Duration = Duration::from_secs(3);
/// How long the listeners wait where there is a link table.
const WAIT_WITH_TABLE: Duration = Duration::from_millis(300);
/// The pause before the next try: doubled each time from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The databases on their way to be opened.
pub(crate) struct Opening {
    places: DatabasePlaces,
    attempt: JoinHandle<anyhow::Result<Databases>>,
    /// Until when a refusal ends the start.
    decides_until: Instant,
    /// What has been said of why it takes long.
    said: Option<String>,
}

/// The control plane at work.
pub(crate) struct ControlPlane {
    pub(crate) app: Arc<App>,
    pub(crate) instance: Instance,
}

impl Opening {
    /// Begins to open them; gives them at once where they answer.
    ///
    /// # Errors
    /// Where one cannot be used as it is.
    pub(crate) async fn begin(places: DatabasePlaces, table: &Path) -> anyhow::Result<Result<Databases, Self>> {
        let decides_until = Instant::now() + FIRST_WAIT;
        let wait = if table.exists() { WAIT_WITH_TABLE } else { FIRST_WAIT };
        let mut attempt = tokio::spawn(places.clone().open());
        let attempt = match timeout(wait, &mut attempt).await {
            Err(_) => attempt,
            Ok(opened) => match opened? {
                Ok(databases) => return Ok(Ok(databases)),
                // Said again by the task that waits.
                Err(error) if may_pass(&error) => tokio::spawn(async { Err(error) }),
                Err(error) => return Err(error),
            },
        };
        Ok(Err(Self { places, attempt, decides_until, said: None }))
    }

    /// Waits until they are open and the control plane is at work. Where one refuses us at first, that goes to `refused`, and nothing
    /// else happens here.
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
                    // Nobody hears it where the server stops just now.
                    let _ = refused.send(error);
                    return std::future::pending().await;
                }
                Ok(Err(error)) => describe(&error),
                Err(error) => error.to_string(),
            };
            self.say(&reason);
            trust(&local);
            self.decides_until = Instant::now();
            self.attempt = tokio::spawn(retry(self.places.clone(), pause));
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    /// What comes of the attempt. The table is trusted meanwhile, once the databases have had their time to say what it lacks.
    async fn opened(&mut self, local: &LocalParts) -> Result<anyhow::Result<Databases>, JoinError> {
        if let Ok(opened) = timeout_at(self.decides_until, &mut self.attempt).await {
            return opened;
        }
        if self.said.is_none() {
            self.say("it does not answer");
        }
        trust(local);
        (&mut self.attempt).await
    }

    /// Says once why it takes long, and again where that changes.
    fn say(&mut self, reason: &str) {
        if self.said.as_deref() == Some(reason) {
            return;
        }
        tracing::warn!(reason, "waiting for the database; links that are in the link table redirect meanwhile");
        self.said = Some(reason.to_owned());
    }
}

/// Nobody can say what the table lacks. Links of one that was complete once are more than none.
fn trust(local: &LocalParts) {
    if let Err(error) = local.table.trust() {
        tracing::error!(error = &error as &dyn std::error::Error, "the link table cannot be read");
    }
}

async fn retry(places: DatabasePlaces, pause: Duration) -> anyhow::Result<Databases> {
    sleep(pause).await;
    places.open().await
}

/// Whether this can be over without anybody's doing here.
fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_unavailable)
            || cause.downcast_ref::<ClicksError>().is_some_and(ClicksError::is_unavailable)
    })
}

/// Starts the control plane on open databases, has its jobs looked after, and sends it the requests that come.
///
/// # Errors
/// Where a database fails.
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
            // Another try counts what is in the spool again.
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
