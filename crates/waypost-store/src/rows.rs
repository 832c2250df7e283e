//! Reading rows: columns by name, with what failed named where a stored value has no place in its type.
//!
//! Ids that stand in the rows of every link are kept short: accounts and domains as a number (the 16 hex digits of the
//! text), links as 16 bytes. It makes the database and each of its indexes a third smaller, and writing that much faster.

use std::str::FromStr;

use data_encoding::HEXLOWER;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};
use waypost_core::Timestamp;
use waypost_core::id::{AccountId, DomainId, LinkId};

use crate::error::StoreError;

/// The 16 bytes of a fresh UUIDv7: ids made later, in this process, sort later.
pub(crate) fn new_id() -> [u8; 16] {
    uuid::Uuid::now_v7().into_bytes()
}

/// A fresh number for an account or a domain: milliseconds since 1970, then 21 random bits.
pub(crate) fn new_number() -> i64 {
    let bytes = u128::from_be_bytes(new_id());
    let (millis, random) = ((bytes >> 80) as i64, (bytes & 0x1f_ffff) as i64);
    (millis << 21 | random) & i64::MAX
}

/// The account's number; one that no account has where the id was not made here.
pub(crate) fn account_number(account_id: &AccountId) -> i64 {
    number_of(account_id.as_str())
}

/// The domain's number; one that no domain has where the id was not made here.
pub(crate) fn domain_number(domain_id: &DomainId) -> i64 {
    number_of(domain_id.as_str())
}

fn number_of(id: &str) -> i64 {
    let digits = id.split_once('_').map_or("", |(_, digits)| digits);
    let is_ours = digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    i64::from_str_radix(digits, 16).ok().filter(|_| is_ours).unwrap_or(0)
}

/// The link's bytes; some that no link has where the id was not made here.
pub(crate) fn link_bytes(link_id: &LinkId) -> Vec<u8> {
    let hex = link_id.as_str().split_once('_').map_or("", |(_, hex)| hex);
    HEXLOWER.decode(hex.as_bytes()).ok().filter(|bytes| bytes.len() == 16).unwrap_or_default()
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

    /// The id of an account, kept as its number.
    pub(crate) fn account_id(&self, column: &str) -> Result<AccountId, StoreError> {
        let text = format!("acc_{:016x}", self.get::<i64>(column)?);
        text.parse().map_err(|error| self.corrupt(column, &error))
    }

    /// The id of an account that may be absent.
    pub(crate) fn optional_account_id(&self, column: &str) -> Result<Option<AccountId>, StoreError> {
        self.get::<Option<i64>>(column)?.map(|_| self.account_id(column)).transpose()
    }

    /// The id of a domain, kept as its number.
    pub(crate) fn domain_id(&self, column: &str) -> Result<DomainId, StoreError> {
        let text = format!("dom_{:016x}", self.get::<i64>(column)?);
        text.parse().map_err(|error| self.corrupt(column, &error))
    }

    /// The id of a link, kept as its 16 bytes.
    pub(crate) fn link_id(&self, column: &str) -> Result<LinkId, StoreError> {
        Ok(LinkId::from_uuid_bytes(self.link_number(column)?.to_be_bytes()))
    }

    /// The 16 bytes of a link's id as a number.
    pub(crate) fn link_number(&self, column: &str) -> Result<u128, StoreError> {
        let bytes = self.get::<&[u8]>(column)?.try_into().map_err(|_| self.corrupt(column, &"not 16 bytes"))?;
        Ok(u128::from_be_bytes(bytes))
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

    /// A count that fits 32 bits.
    pub(crate) fn small_count(&self, column: &str) -> Result<u32, StoreError> {
        u32::try_from(self.get::<i64>(column)?).map_err(|error| self.corrupt(column, &error))
    }

    /// A yes or no, kept as 1 or 0.
    pub(crate) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        self.get::<i64>(column).map(|value| value != 0)
    }

    /// The error for a value that has no place in its type.
    pub(crate) fn corrupt(&self, column: &str, reason: &dyn std::fmt::Display) -> StoreError {
        let text = self.row.try_get::<String, _>("id").ok();
        let number = || self.row.try_get::<i64, _>("id").ok().map(|number| format!("{number:016x}"));
        let bytes = || self.row.try_get::<Vec<u8>, _>("id").ok().map(|bytes| HEXLOWER.encode(&bytes));
        let id = text.or_else(number).or_else(bytes).unwrap_or_else(|| "(no id)".to_owned());
        StoreError::Corrupt { what: self.what, id, reason: format!("{column}: {reason}") }
    }
}
