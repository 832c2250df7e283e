//! How a store is opened: its connections, its clock, and how long it waits for what.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout};
use waypost_core::Timestamp;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Connections that read side by side (SQLite), or connections in all (PostgreSQL).
    pub connections_max: u32,
    /// How long a transaction waits before it fails as [`crate::SqlError::Unavailable`], in milliseconds: for a
    /// connection and for its turn together.
    pub wait_ms: u64,
    /// How long one statement, or a commit, may take on PostgreSQL before it fails as [`crate::SqlError::Unavailable`],
    /// in milliseconds: a server, or the network to it, may hang.
    pub statement_ms_max: u64,
    /// How long the start waits for another process that is migrating the same database, in milliseconds.
    pub migration_wait_ms: u64,
    /// Where the time comes from; tests move it.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            connections_max: 8,
            wait_ms: 4_500,
            statement_ms_max: 30_000,
            migration_wait_ms: 60_000,
            clock: Clock::system(),
        }
    }
}

/// Where a store reads the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
        })
    }

    /// A clock that shows what this function gives.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Until when a transaction waits for its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) deadline: Instant,
    /// How long the engine waits by itself for another process's lock before it says so.
    pub(crate) busy_step: Duration,
    /// How long each statement may take after that. `None`: as long as it does.
    pub(crate) statement_max: Option<Duration>,
}

/// How long an SQLite connection that writes waits by itself for another process. Short, so that a deadline is kept.
const BUSY_STEP: Duration = Duration::from_millis(200);

pub(crate) const fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn busy_step(wait: Duration) -> Duration {
    wait.min(BUSY_STEP)
}

/// The outcome of this, or that it took too long.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Some(limit) = limit else { return work.await };
    let late = || sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"));
    timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}
