//! What can go wrong with clicks.

use waypost_rollup::QueryError;
use waypost_sql::SqlError;

/// Why an operation on clicks did not happen. Nothing was changed, unless the database says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ClicksError {
    /// The database failed.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// A batch of clicks does not begin where the edge's epoch stands; nothing of it was counted.
    #[error(
        "clicks of edge {edge_id}, epoch {epoch}, are counted up to sequence {counted} and the batch begins at {begins}"
    )]
    ClicksMoved {
        /// The edge.
        edge_id: String,
        /// The run of its writer.
        epoch: u64,
        /// The last sequence counted.
        counted: u64,
        /// The batch's first.
        begins: u64,
    },
    /// More was asked for than one call takes.
    #[error("at most {max} {what} in one call")]
    TooMany {
        /// What there were too many of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A list cursor that this store did not hand out.
    #[error("the cursor is not one of this list")]
    CursorInvalid,
}

impl ClicksError {
    /// Whether the same call may succeed later without any change of it: answer 503, not 500.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Sql(error) if error.is_unavailable())
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The question has no answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] ClicksError),
}
