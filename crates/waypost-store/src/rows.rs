//! Reading rows of links: ids as the database keeps them.
//!
//! Ids that stand in the rows of every link are kept short: accounts and domains as a number (the 16 hex digits of the
//! text), links as 16 bytes. It makes the database and each of its indexes a third smaller, and writing that much faster.

use std::ops::Deref;

use data_encoding::HEXLOWER;
use sqlx::any::AnyRow;
use waypost_core::id::{AccountId, DomainId, LinkId};
use waypost_sql::SqlError;

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

/// One row of a named kind, with columns that hold ids.
pub(crate) struct Columns<'r>(waypost_sql::Columns<'r>);

impl<'r> Columns<'r> {
    pub(crate) const fn new(row: &'r AnyRow, what: &'static str) -> Self {
        Self(waypost_sql::Columns::new(row, what))
    }

    /// The id of an account, kept as its number.
    pub(crate) fn account_id(&self, column: &str) -> Result<AccountId, SqlError> {
        let text = format!("acc_{:016x}", self.get::<i64>(column)?);
        text.parse().map_err(|error| self.corrupt(column, &error))
    }

    /// The id of an account that may be absent.
    pub(crate) fn optional_account_id(&self, column: &str) -> Result<Option<AccountId>, SqlError> {
        self.get::<Option<i64>>(column)?.map(|_| self.account_id(column)).transpose()
    }

    /// The id of a domain, kept as its number.
    pub(crate) fn domain_id(&self, column: &str) -> Result<DomainId, SqlError> {
        let text = format!("dom_{:016x}", self.get::<i64>(column)?);
        text.parse().map_err(|error| self.corrupt(column, &error))
    }

    /// The id of a link, kept as its 16 bytes.
    pub(crate) fn link_id(&self, column: &str) -> Result<LinkId, SqlError> {
        Ok(LinkId::from_uuid_bytes(self.link_number(column)?.to_be_bytes()))
    }

    /// The 16 bytes of a link's id as a number.
    pub(crate) fn link_number(&self, column: &str) -> Result<u128, SqlError> {
        let bytes = self.get::<&[u8]>(column)?.try_into().map_err(|_| self.corrupt(column, &"not 16 bytes"))?;
        Ok(u128::from_be_bytes(bytes))
    }
}

impl<'r> Deref for Columns<'r> {
    type Target = waypost_sql::Columns<'r>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
