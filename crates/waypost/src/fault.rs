//! How the program ends when a command fails: the reason, printed once, and the exit status.

use std::io::ErrorKind;

use waypost_clicks::ClicksError;
use waypost_edge::EdgeError;
use waypost_store::{SqlError, StoreError};
use waypost_table::TableError;

use crate::config::load::Faults;
use crate::data_dir::DataDirError;

/// It may work if it is tried again, or the cause is outside this machine.
const EXIT_FAULT: u8 = 1;
/// A person has to change something first: a setting, a folder, a file. Starting again does not help.
const EXIT_CHANGE_NEEDED: u8 = 2;

/// The exit status of a run that failed with this.
pub(crate) fn exit_status(error: &anyhow::Error) -> u8 {
    if error.chain().any(needs_a_change) { EXIT_CHANGE_NEEDED } else { EXIT_FAULT }
}

/// Whether a database says so each time, until a person changes something.
const fn is_lasting(error: &SqlError) -> bool {
    matches!(
        error,
        SqlError::Address { .. } | SqlError::Refused { .. } | SqlError::NewerSchema { .. } | SqlError::Withheld { .. }
    )
}

fn needs_a_change(cause: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        return matches!(
            error.kind(),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory
        );
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return match error {
            StoreError::Sql(error) => is_lasting(error),
            error => matches!(error, StoreError::PublicUrlTaken { .. }),
        };
    }
    if let Some(error) = cause.downcast_ref::<ClicksError>() {
        return matches!(error, ClicksError::Sql(error) if is_lasting(error));
    }
    if let Some(error) = cause.downcast_ref::<TableError>() {
        return matches!(error, TableError::NotATable { .. } | TableError::OtherFormat { .. });
    }
    if let Some(error) = cause.downcast_ref::<DataDirError>() {
        return !matches!(error, DataDirError::InUse { .. });
    }
    cause.is::<Faults>() || matches!(cause.downcast_ref::<EdgeError>(), Some(EdgeError::NoAddress))
}

/// The error with its causes; a cause whose text is already included is left out.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let cause = || std::io::Error::new(ErrorKind::PermissionDenied, "no");
        let unusable = DataDirError::Unusable { path: "/x".into(), source: cause() };
        let error = anyhow::Error::new(unusable).context("start");
        assert_eq!(describe(&error), "start: the data folder /x cannot be used: no");
        assert_eq!(exit_status(&error), EXIT_CHANGE_NEEDED);
        let error = Err::<(), _>(std::io::Error::other("a")).context("b").expect_err("an error");
        assert_eq!((describe(&error), exit_status(&error)), ("b: a".to_owned(), EXIT_FAULT));
    }
}
