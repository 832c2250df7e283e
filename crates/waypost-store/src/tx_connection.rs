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
use crate::write_health::WriteHealth;

/// The connection. Dropping it undoes what was not committed.
#[derive(Debug)]
pub(crate) struct TxConnection {
    /// `None` only while it is dropped.
    connection: Option<PoolConnection<Any>>,
    state: State,
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
        (deadline, busy_step): (Instant, Duration),
        health: Option<WriteHealth>,
    ) -> Result<Self, sqlx::Error> {
        let acquired = timeout_at(deadline, pool.acquire()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        let connection = acquired.inspect_err(|_| {
            if let Some(health) = &health {
                health.note(false);
            }
        })?;
        let mut borrowed = Self { connection: Some(connection), state: State::Unknown, health };
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

    /// The connection for one statement, whose outcome must be given to [`TxConnection::done`].
    ///
    /// # Errors
    /// Where a statement of this transaction has failed before: on SQLite another one could take effect by itself, because the
    /// engine may have ended the transaction.
    pub(crate) fn statement(&mut self) -> Result<&mut AnyConnection, sqlx::Error> {
        if self.state != State::Open {
            return Err(sqlx::Error::Protocol("the transaction was given up after an error".to_owned()));
        }
        // Whoever drops the future of the statement leaves it at that.
        self.state = State::Unknown;
        Ok(self.raw())
    }

    /// Takes the outcome of a statement.
    pub(crate) fn done<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.state = match &outcome {
            Ok(_) => State::Open,
            Err(error) if dialect::keeps_transaction(error) => State::Failed,
            Err(_) => State::Unknown,
        };
        outcome
    }

    /// Commits.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.statement()?.execute("COMMIT").await?;
        self.state = State::Ended;
        Ok(())
    }

    fn raw(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().expect("the connection is there until the drop")
    }
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
            State::Ended => {}
            State::Unknown => connection.close_on_drop(),
            State::Open | State::Failed => {
                tokio::spawn(async move {
                    if let Err(error) = connection.execute("ROLLBACK").await {
                        tracing::debug!(%error, "a transaction could not be rolled back: closing its connection");
                        connection.close_on_drop();
                    }
                });
            }
        }
    }
}
