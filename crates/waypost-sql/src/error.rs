//! What can go wrong with a database, whatever is in it.

/// Why a database could not be opened, or a transaction did not happen. Unless a variant says otherwise nothing was
/// changed.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The database address is of no known form.
    #[error("the database address cannot be used: {reason}")]
    Address {
        /// What is wrong with it; never holds the address itself, which may carry a password.
        reason: String,
    },
    /// The database is not one of ours, or is damaged. It was left as it is.
    #[error("the database {database} is refused: {reason}")]
    Refused {
        /// The file, or the name of the database.
        database: String,
        /// What was found, and what a person can do.
        reason: String,
    },
    /// The database was written by a newer release.
    #[error("the database has schema {found} and this release knows schemas up to {known}: start the newer release")]
    NewerSchema {
        /// The schema found.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// A migration failed; the database has the schema it had before.
    #[error("migration {version} ({name}) failed")]
    Migration {
        /// The migration's number.
        version: i64,
        /// The migration's name.
        name: &'static str,
        /// The cause.
        source: Box<sqlx::Error>,
    },
    /// The database could not be reached, or was busy for too long. Trying again later may help.
    #[error("the database is not available for {operation}")]
    Unavailable {
        /// The transaction's name.
        operation: &'static str,
        /// The cause.
        source: Box<sqlx::Error>,
    },
    /// The connection was lost, or the disk failed, while the transaction was being committed: whether it took place is
    /// not known.
    #[error("it is not known whether {operation} was committed")]
    CommitUnknown {
        /// The transaction's name.
        operation: &'static str,
        /// The cause.
        source: Box<sqlx::Error>,
    },
    /// The server refuses it until a person gives back what was there at the start: a right, a table, a password. Then
    /// the same call succeeds without a restart.
    #[error("the database refuses {operation}: {remedy}")]
    Withheld {
        /// The transaction's name.
        operation: &'static str,
        /// What a person can do; names neither users nor tables, which the cause does.
        remedy: &'static str,
        /// The cause.
        source: Box<sqlx::Error>,
    },
    /// Two transactions stood in each other's way: the same one may succeed when it is tried again.
    #[error("{operation} met a conflicting transaction")]
    Conflict {
        /// The transaction's name.
        operation: &'static str,
        /// The cause.
        source: Box<sqlx::Error>,
    },
    /// The database failed in any other way.
    #[error("the database failed in {operation}")]
    Database {
        /// The transaction's name.
        operation: &'static str,
        /// The cause.
        source: Box<sqlx::Error>,
    },
    /// A stored value cannot be read: damage, or a bug.
    #[error("{what} {id} holds a value that cannot be read: {reason}")]
    Corrupt {
        /// The kind of row.
        what: &'static str,
        /// Which one.
        id: String,
        /// What was found.
        reason: String,
    },
}

impl SqlError {
    /// Whether the same call may succeed later without any change of it: answer 503, not 500.
    pub const fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::CommitUnknown { .. } | Self::Conflict { .. } | Self::Withheld { .. }
        )
    }
}
