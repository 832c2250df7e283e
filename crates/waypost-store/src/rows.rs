//! Reading rows: columns by name, with what failed named where a stored value has no place in its type.

use std::str::FromStr;

use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};
use waypost_core::Timestamp;

use crate::error::StoreError;

/// The 16 bytes of a fresh UUIDv7: ids made later, in this process, sort later.
pub(crate) fn new_id() -> [u8; 16] {
    uuid::Uuid::now_v7().into_bytes()
}

/// A count or version as the database keeps it.
pub(crate) fn as_bigint(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// One row of a named kind.
pub(crate) struct Columns<'r> {
    row: &'r AnyRow,
    what: &'static str,
}

impl<'r> Columns<'r> {
    pub(crate) const fn new(row: &'r AnyRow, what: &'static str) -> Self {
        Self { row, what }
    }

    /// The column's value as it is.
    pub(crate) fn get<T: Decode<'r, Any> + Type<Any>>(&self, column: &str) -> Result<T, StoreError> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, &error))
    }

    /// A text column that must be an id (or any other type that reads itself from text).
    pub(crate) fn id<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.get::<String>(column)?.parse().map_err(|error| self.corrupt(column, &error))
    }

    /// A text column that may be absent.
    pub(crate) fn optional_id<T>(&self, column: &str) -> Result<Option<T>, StoreError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.get::<Option<String>>(column)?;
        text.map(|text| text.parse().map_err(|error| self.corrupt(column, &error))).transpose()
    }

    /// A text column that is one of a few words.
    pub(crate) fn parsed<T>(&self, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let text = self.get::<String>(column)?;
        parse(&text).ok_or_else(|| self.corrupt(column, &format_args!("unknown word {text:?}")))
    }

    /// A time.
    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.get(column).map(Timestamp::from_micros)
    }

    /// A time that may be absent.
    pub(crate) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// A count, version or sequence: never negative.
    pub(crate) fn count(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|error| self.corrupt(column, &error))
    }

    /// A yes or no, kept as 1 or 0.
    pub(crate) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        self.get::<i64>(column).map(|value| value != 0)
    }

    /// The error for a value that has no place in its type.
    pub(crate) fn corrupt(&self, column: &str, reason: &dyn std::fmt::Display) -> StoreError {
        let id = self.row.try_get::<String, _>("id").unwrap_or_else(|_| "(no id)".to_owned());
        StoreError::Corrupt { what: self.what, id, reason: format!("{column}: {reason}") }
    }
}
