//! Watches the parts that must run as long as the process: threads that redirect, jobs that count, and so on. If one of
//! them ends, by a panic or otherwise, the process ends too, with status 1, so that its supervisor starts it again:
//! nobody would notice a server that redirects and does not count, or listens and does not answer.
//!
//! The parts are checked from time to time. Each has a function that returns what has ended; a part does not have to
//! report its end itself, which it could not always do.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::task::JoinHandle;

/// How often the parts are checked.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the other parts may take to stop, in addition to the time for connections, before the process ends anyway.
const STOP_WAIT: Duration = Duration::from_secs(30);

type Look = Box<dyn Fn() -> Option<&'static str> + Send>;

/// The parts that must not end. Shared by `Arc`.
#[derive(Default)]
pub(crate) struct Vital {
    /// A std mutex: held during a check, never across an await.
    looks: Mutex<Vec<Look>>,
}

impl Vital {
    /// Watches a part by a function that returns the name of what has ended.
    pub(crate) fn watch(&self, look: impl Fn() -> Option<&'static str> + Send + 'static) {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
    }

    /// Watches a task.
    pub(crate) fn watch_task<T>(&self, name: &'static str, task: &JoinHandle<T>) {
        let task = task.abort_handle();
        self.watch(move || task.is_finished().then_some(name));
    }

    /// The name of a part that has ended.
    fn ended(&self) -> Option<&'static str> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(|look| look())
    }

    /// Waits until a watched part ends, or `look` returns one, and returns its name.
    pub(crate) async fn ends(&self, beside: impl Fn() -> Option<&'static str>) -> &'static str {
        loop {
            if let Some(name) = self.ended().or_else(&beside) {
                return name;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Ends the process after the time that a stop may take, whatever still runs: the remaining parts may wait for the one
/// that has ended.
pub(crate) fn end_for_certain(drain_timeout: Duration) {
    let ended = thread::Builder::new().name("last-end".to_owned()).spawn(move || {
        thread::sleep(drain_timeout + STOP_WAIT);
        tracing::error!("the other parts do not stop; ending without them");
        std::process::exit(1);
    });
    if let Err(error) = ended {
        tracing::warn!(%error, "nothing watches that the other parts stop");
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn whatever_ends_is_noticed() {
        let vital = Vital::default();
        vital.watch(|| None);
        let (panic, has_to) = tokio::sync::oneshot::channel::<()>();
        vital.watch_task("the one that waits", &tokio::spawn(pending::<()>()));
        vital.watch_task(
            "the one that panics",
            &tokio::spawn(async {
                let _ = has_to.await;
                panic!("on purpose");
            }),
        );
        tokio::task::yield_now().await;
        assert_eq!(vital.ended(), None, "all go on");
        assert_eq!(vital.ends(|| Some("another")).await, "another");
        drop(panic);
        assert_eq!(vital.ends(|| None).await, "the one that panics");
        let vital = Vital::default();
        vital.watch_task("the one that returns", &tokio::spawn(async {}));
        assert_eq!(vital.ends(|| None).await, "the one that returns");
    }
}
