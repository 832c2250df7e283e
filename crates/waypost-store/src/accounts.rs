//! Accounts: the tenants. Every other row but shared domains belongs to one.

use sqlx::any::AnyRow;
use waypost_core::Timestamp;
use waypost_core::id::AccountId;

use crate::error::StoreError;
use crate::rows::{Columns, new_id};
use crate::tx::{ReadTx, Tx};

/// The most accounts that one list gives.
const ACCOUNTS_MAX: i64 = 1_000;

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// The account of whoever runs the instance; there is exactly one.
    Default,
    /// Owns the links that nobody signed in for; there is exactly one.
    Anonymous,
    /// Any other.
    Standard,
}

impl AccountKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Anonymous => "anonymous",
            Self::Standard => "standard",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Default, Self::Anonymous, Self::Standard].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub account_id: AccountId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub kind: AccountKind,
    /// When it was made.
    pub created_at: Timestamp,
}

fn read_account(row: &AnyRow) -> Result<Account, StoreError> {
    let columns = Columns::new(row, "account");
    Ok(Account {
        account_id: columns.id("id")?,
        name: columns.get("name")?,
        kind: columns.parsed("kind", AccountKind::parse)?,
        created_at: columns.time("created_at")?,
    })
}

impl ReadTx {
    /// The account with this id.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn get_account(&mut self, account_id: &AccountId) -> Result<Option<Account>, StoreError> {
        let statement = sqlx::query("SELECT id, name, kind, created_at FROM accounts WHERE id = $1");
        let row = self.fetch_optional(statement.bind(account_id.as_str())).await?;
        row.as_ref().map(read_account).transpose()
    }

    /// The oldest 1,000 accounts, oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_accounts(&mut self) -> Result<Vec<Account>, StoreError> {
        let statement = sqlx::query("SELECT id, name, kind, created_at FROM accounts ORDER BY id LIMIT $1");
        self.fetch_all(statement.bind(ACCOUNTS_MAX)).await?.iter().map(read_account).collect()
    }

    pub(crate) async fn account_of_kind(&mut self, kind: AccountKind) -> Result<Option<Account>, StoreError> {
        let statement = sqlx::query(
            "SELECT id, name, kind, created_at FROM accounts WHERE kind = $1 AND kind <> 'standard' ORDER BY id",
        );
        let row = self.fetch_optional(statement.bind(kind.as_str())).await?;
        row.as_ref().map(read_account).transpose()
    }
}

impl Tx {
    /// Makes an account of the standard kind.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn create_account(&mut self, name: &str) -> Result<Account, StoreError> {
        let account_id = AccountId::from_uuid_bytes(new_id());
        self.insert_account(&account_id, name, AccountKind::Standard).await?;
        self.get_account(&account_id).await?.ok_or(StoreError::NotFound { what: "account" })
    }

    /// Adds the account unless there is one of its kind already (which only the standard kind allows).
    pub(crate) async fn insert_account(
        &mut self,
        account_id: &AccountId,
        name: &str,
        kind: AccountKind,
    ) -> Result<(), StoreError> {
        let now = self.now().as_micros();
        let statement = sqlx::query(
            "INSERT INTO accounts (id, name, kind, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        );
        self.execute(statement.bind(account_id.as_str()).bind(name).bind(kind.as_str()).bind(now)).await.map(drop)
    }
}
