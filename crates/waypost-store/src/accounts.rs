//! Accounts: the tenants. Every other row but shared domains belongs to one.

pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod members;
pub(crate) mod qr_logos;
pub(crate) mod utm_templates;

use sqlx::any::AnyRow;
use waypost_core::Timestamp;
use waypost_core::id::AccountId;
use waypost_sql::Statement;

use crate::error::StoreError;
use crate::rows::{Columns, account_number, new_number};
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
        account_id: columns.account_id("id")?,
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
        let statement = Statement::new("SELECT id, name, kind, created_at FROM accounts WHERE id = $1");
        let row = self.fetch_optional(statement.bind(account_number(account_id))).await?;
        row.as_ref().map(read_account).transpose()
    }

    /// The oldest 1,000 accounts, oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_accounts(&mut self) -> Result<Vec<Account>, StoreError> {
        let statement = Statement::new("SELECT id, name, kind, created_at FROM accounts ORDER BY id LIMIT $1");
        self.fetch_all(statement.bind(ACCOUNTS_MAX)).await?.iter().map(read_account).collect()
    }

    async fn account_of_kind(&mut self, kind: AccountKind) -> Result<Option<Account>, StoreError> {
        let statement = Statement::new(
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
        let statement = Statement::new(
            "INSERT INTO accounts (id, name, kind, created_at) VALUES ($1, $2, $3, $4)
             RETURNING id, name, kind, created_at",
        );
        let statement = statement.bind(new_number()).bind(name).bind(AccountKind::Standard.as_str());
        let statement = statement.bind(self.now().as_micros());
        let rows = self.fetch_all(statement).await?;
        rows.first().ok_or(StoreError::NotFound { what: "account" }).and_then(read_account)
    }

    /// The account of this kind, of which there is one in the instance; made here where it is missing.
    pub(crate) async fn ensure_account(&mut self, kind: AccountKind, name: &str) -> Result<Account, StoreError> {
        let statement = Statement::new(
            "INSERT INTO accounts (id, name, kind, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        );
        let statement = statement.bind(new_number()).bind(name).bind(kind.as_str());
        self.execute(statement.bind(self.now().as_micros())).await?;
        self.account_of_kind(kind).await?.ok_or(StoreError::NotFound { what: "account" })
    }
}
