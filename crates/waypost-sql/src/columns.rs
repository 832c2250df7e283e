//! Reading rows: columns by name, with what failed named where a stored value has no place in its type.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};
use waypost_core::Timestamp;

use crate::error::SqlError;

/// A count or version as the database keeps it.
pub fn as_bigint(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// One row of a named kind.
pub struct Columns<'r> {
    row: &'r AnyRow,
    what: &'static str,
}

impl<'r> Columns<'r> {
    /// A row of this kind.
    pub const fn new(row: &'r AnyRow, what: &'static str) -> Self {
        Self { row, what }
    }

    /// The column's value as it is.
    ///
    /// # Errors
    /// [`SqlError::Corrupt`] where the value has no place in its type.
    pub fn get<T: Decode<'r, Any> + Type<Any>>(&self, column: &str) -> Result<T, SqlError> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, &error))
    }

    /// A text column that must be an id (or any other type that reads itself from text).
    ///
    /// # Errors
    /// [`SqlError::Corrupt`] where the value has no place in its type.
    pub fn id<T>(&self, column: &str) -> Result<T, SqlError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.get::<String>(column)?.parse().map_err(|error| self.corrupt(column, &error))
    }

    /// A text column that is one of a few words.
    ///
    /// # Errors
    /// [`SqlError::Corrupt`] where the value has no place in its type.
    pub fn parsed<T>(&self, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, SqlError> {
        let text = self.get::<String>(column)?;
        parse(&text).ok_or_else(|| self.corrupt(column, &format_args!("unknown word {text:?}")))
    }

    /// A time.
    ///
    /// # Errors
    /// [`SqlError::Corrupt`] where the value has no place in its type.
    pub fn time(&self, column: &str) -> Result<Timestamp, SqlError> {
        self.get(column).map(Timestamp::from_micros)
    }

    /// A time that may be absent.
    ///
    /// # Errors
    /// [`SqlError::Corrupt`] where the value has no place in its type.
    pub fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, SqlError> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// A count, version or sequence: never negative.
    ///
    /// # Errors
    /// [`SqlError::Corrupt`] where the value has no place in its type.
    pub fn count(&self, column: &str) -> Result<u64, SqlError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|error| self.corrupt(column, &error))
    }

    /// A count that fits 32 bits.
    ///
    /// # Errors
    /// [`SqlError::Corrupt`] where the value has no place in its type.
    pub fn small_count(&self, column: &str) -> Result<u32, SqlError> {
        u32::try_from(self.get::<i64>(column)?).map_err(|error| self.corrupt(column, &error))
    }

    /// A yes or no, kept as 1 or 0.
    ///
    /// # Errors
    /// [`SqlError::Corrupt`] where the value has no place in its type.
    pub fn flag(&self, column: &str) -> Result<bool, SqlError> {
        self.get::<i64>(column).map(|value| value != 0)
    }

    /// The error for a value that has no place in its type.
    pub fn corrupt(&self, column: &str, reason: &dyn fmt::Display) -> SqlError {
        let text = self.row.try_get::<String, _>("id").ok();
        let number = || self.row.try_get::<i64, _>("id").ok().map(|number| format!("{number:016x}"));
        let bytes = || self.row.try_get::<Vec<u8>, _>("id").ok().map(|bytes| HEXLOWER.encode(&bytes));
        let id = text.or_else(number).or_else(bytes).unwrap_or_else(|| "(no id)".to_owned());
        SqlError::Corrupt { what: self.what, id, reason: format!("{column}: {reason}") }
    }
}

impl fmt::Debug for Columns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}
