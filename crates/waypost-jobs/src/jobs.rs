//! Tasks that run as long as the instance: watched while it runs, and awaited when it stops.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;

/// Tasks that must not end before they are told to.
#[derive(Debug, Default)]
pub struct Jobs {
    /// A std mutex: held to look at the handles or to take them, never across an await.
    running: Mutex<Vec<Job>>,
}

/// One of them.
#[derive(Debug)]
pub struct Job {
    /// What it does, for the log.
    pub name: &'static str,
    /// Its task.
    pub task: JoinHandle<()>,
}

impl Jobs {
    /// Starts one, whose name says what it does. Must be called within a Tokio runtime.
    pub fn start(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let job = Job { name, task: tokio::spawn(work) };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    /// One that has ended although nobody has taken it, by a panic or otherwise.
    pub fn ended(&self) -> Option<&'static str> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().find(|job| job.task.is_finished()).map(|job| job.name)
    }

    /// Gives all of them to the one who ends them.
    pub fn take(&self) -> Vec<Job> {
        std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn one_that_ends_is_named() {
        let jobs = Jobs::default();
        jobs.start("waits", pending());
        jobs.start("goes on", pending());
        tokio::task::yield_now().await;
        assert_eq!(jobs.ended(), None);
        jobs.start("returns", async {});
        tokio::task::yield_now().await;
        assert_eq!(jobs.ended(), Some("returns"));
        for job in jobs.take() {
            job.task.abort();
        }
        assert_eq!(jobs.ended(), None, "who was taken may end");
        jobs.start("panics", async { panic!("on purpose") });
        tokio::task::yield_now().await;
        assert_eq!(jobs.ended(), Some("panics"));
    }
}
