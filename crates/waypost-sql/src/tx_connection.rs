//! A connection that a pool lent for one transaction, and the question whether it may go back.
//!
//! After some errors nobody but the engine knows whether a transaction is still open: SQLite rolls back by itself when a disk
//! is full or fails, and then refuses the `ROLLBACK` that follows. Such a connection would fail every transaction after
//! this one, so it is closed and the pool opens another. It goes back only after a commit or a rollback that succeeded.
//!
//! Transactions are begun and ended with plain statements: the driver's own transactions count their depth, and give a connection
//! back whatever became of their end.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Executor as _};
use tokio::time::{Instant, timeout_at};

use crate::dialect;
use crate::error::SqlError;
use crate::options::{Wait, within};
use crate::write_health::WriteHealth;

/// How long a connection that comes back may take to roll back, and to give a sign of life, where a network is between.
const GIVE_BACK_MAX: Duration = Duration::from_secs(5);

/// The connection. Dropping it undoes what was not committed.
#[derive(Debug)]
pub(crate) struct TxConnection {
    /// `None` only while it is dropped.
    connection: Option<PoolConnection<Any>>,
    state: State,
    /// How long a statement may take.
    statement_max: Option<Duration>,
    /// Told how the transaction ended, where it is one that writes.
    health: Option<WriteHealth>,
}

/// How the transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Takes statements.
    Open,
    /// A statement failed, and the engine has certainly kept the transaction: all that is left is to roll back.
    Failed,
    /// It ended well.
    Ended,
    /// A statement is under way, was abandoned, or failed in a way that leaves the transaction's state unknown.
    Unknown,
}

impl TxConnection {
    /// Borrows a connection and begins a transaction on it, all of it before `deadline`.
    ///
    /// A database that another process has locked is asked again and again: the engine itself waits for `busy_step` each time.
    pub(crate) async fn begin(
        pool: &AnyPool,
        begin: &'static str,
        wait: Wait,
        health: Option<WriteHealth>,
    ) -> Result<Self, sqlx::Error> {
        let Wait { deadline, busy_step, statement_max } = wait;
        let acquired = timeout_at(deadline, pool.acquire()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        let connection = acquired.inspect_err(|_| {
            if let Some(health) = &health {
                health.note(false);
            }
        })?;
        let mut borrowed = Self { connection: Some(connection), state: State::Unknown, statement_max, health };
        loop {
            let begun = timeout_at(deadline, borrowed.raw().execute(begin)).await;
            match begun.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(_) => break,
                Err(error) if dialect::is_busy(&error) && Instant::now() + busy_step < deadline => {}
                Err(error) => return Err(error),
            }
        }
        borrowed.state = State::Open;
        Ok(borrowed)
    }

    /// Runs one statement in the time that it may take. One that is given up leaves its connection to be closed.
    ///
    /// # Errors
    /// Also where a statement of this transaction has failed before: on SQLite another one could take effect by itself, because
    /// the engine may have ended the transaction.
    pub(crate) async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        if self.state != State::Open {
            return Err(given_up());
        }
        // Whoever drops the future of the statement leaves it at that.
        self.state = State::Unknown;
        let limit = self.statement_max;
        let outcome = within(limit, statement(self.raw())).await;
        self.state = match &outcome {
            Ok(_) => State::Open,
            Err(error) if dialect::keeps_transaction(error) => State::Failed,
            Err(_) => State::Unknown,
        };
        outcome
    }

    /// Commits. All that is left then is to drop this.
    pub(crate) async fn commit(&mut self, operation: &'static str) -> Result<(), SqlError> {
        if self.state != State::Open {
            return Err(dialect::failure(operation, given_up()));
        }
        let committed = self.run(async |connection| connection.execute("COMMIT").await.map(drop)).await;
        // Whatever else it says, the transaction is over, or nobody knows.
        self.state = if committed.is_ok() { State::Ended } else { State::Unknown };
        committed.map_err(|error| dialect::commit_failure(operation, error))
    }

    fn raw(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().expect("the connection is there until the drop")
    }
}

fn given_up() -> sqlx::Error {
    sqlx::Error::Protocol("the transaction was given up after an error".to_owned())
}

impl Drop for TxConnection {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if let Some(health) = &self.health
            && matches!(self.state, State::Ended | State::Unknown)
        {
            health.note(self.state == State::Ended);
        }
        match self.state {
            State::Ended => drop(tokio::spawn(give_back(connection, self.statement_max))),
            State::Unknown => connection.close_on_drop(),
            State::Open | State::Failed => {
                let limit = self.statement_max.map(|limit| limit.min(GIVE_BACK_MAX));
                tokio::spawn(async move {
                    if let Err(error) = within(limit, connection.execute("ROLLBACK")).await {
                        tracing::debug!(%error, "a transaction could not be rolled back: closing its connection");
                        connection.close_on_drop();
                    } else {
                        give_back(connection, limit).await;
                    }
                });
            }
        }
    }
}

/// Gives a connection back to its pool, which asks it for a sign of life first: without an end by itself, so that a network that
/// has fallen silent would keep its place. Where none comes in time the connection is closed and its place is free.
async fn give_back(mut connection: PoolConnection<Any>, statement_max: Option<Duration>) {
    let limit = statement_max.map(|limit| limit.min(GIVE_BACK_MAX));
    let returned = async {
        connection.return_to_pool().await;
        Ok(())
    };
    if let Err(error) = within(limit, returned).await {
        tracing::debug!(%error, "a connection gave no sign of life: closed it");
    }
}
