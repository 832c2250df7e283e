//! The control plane's start, which waits for the databases as long as it must while the edge redirects from the table that is there.
//!
//! What a database says on the first try decides: where it refuses us (another program's, a newer schema, a wrong password),
//! the start ends with that. Where it does not answer, or only later says something else, it is asked again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use waypost_control::{App, PublicUrl};
use waypost_store::StoreError;

use crate::config::Config;
use crate::fault::describe;
use crate::instance::{DatabasePlaces, Databases, Instance, LocalParts};
use crate::serve::bridge::Bridge;
use crate::serve::vital::Vital;

/// How long the listeners wait for the databases: what is there answers by then.
const FIRST_WAIT: Duration = Duration::from_secs(3);
/// The pause before the next try: doubled each time from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The databases on their way to be opened.
pub(crate) struct Opening {
    places: DatabasePlaces,
    attempt: JoinHandle<anyhow::Result<Databases>>,
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
    pub(crate) async fn begin(places: DatabasePlaces) -> anyhow::Result<Result<Databases, Self>> {
        let mut attempt = tokio::spawn(places.clone().open());
        let first = match timeout(FIRST_WAIT, &mut attempt).await {
            Ok(opened) => opened?,
            Err(_) => {
                let mut opening = Self { places, attempt, said: None };
                opening.say("it does not answer");
                return Ok(Err(opening));
            }
        };
        match first {
            Ok(databases) => Ok(Ok(databases)),
            Err(error) if may_pass(&error) => {
                let attempt = tokio::spawn(retry(places.clone(), BACK_OFF.0));
                let mut opening = Self { places, attempt, said: None };
                opening.say(&describe(&error));
                Ok(Err(opening))
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until they are open and the control plane is at work.
    pub(crate) async fn start_when_open(
        mut self,
        local: LocalParts,
        config: Config,
        public_url: PublicUrl,
        (bridge, vital): (Bridge, Arc<Vital>),
    ) -> ControlPlane {
        let mut pause = BACK_OFF.0;
        loop {
            let reason = match (&mut self.attempt).await {
                Ok(Ok(databases)) => {
                    match start(databases, local.clone(), &config, public_url.clone(), (&bridge, &vital)).await {
                        Ok(started) => {
                            tracing::info!("the database answers; everything is at work");
                            return started;
                        }
                        Err(error) => describe(&error),
                    }
                }
                Ok(Err(error)) => describe(&error),
                Err(error) => error.to_string(),
            };
            self.say(&reason);
            pause = (pause * 2).min(BACK_OFF.1);
            self.attempt = tokio::spawn(retry(self.places.clone(), pause));
        }
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

async fn retry(places: DatabasePlaces, pause: Duration) -> anyhow::Result<Databases> {
    sleep(pause).await;
    places.open().await
}

/// Whether this can be over without anybody's doing here.
fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_unavailable))
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
    bridge.open(waypost_control::router(Arc::clone(&app)));
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
