//! Members: the people in an account.

use sqlx::any::AnyRow;
use waypost_core::Timestamp;
use waypost_core::access::Role;
use waypost_core::id::{AccountId, MemberId};
use waypost_sql::{Constraint, Statement};

use crate::error::StoreError;
use crate::rows::{Columns, account_number, new_id};
use crate::tx::{ReadTx, Tx};

/// The most members that one list gives.
const MEMBERS_MAX: i64 = 1_000;

/// A member to be made.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// The account.
    pub account_id: AccountId,
    /// The address; kept in lower case, unique in the account.
    pub email: String,
    /// What the member may do.
    pub role: Role,
}

/// One person in one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub member_id: MemberId,
    /// The account.
    pub account_id: AccountId,
    /// The address, in lower case.
    pub email: String,
    /// What the member may do.
    pub role: Role,
    /// When the member joined.
    pub created_at: Timestamp,
}

fn read_member(row: &AnyRow) -> Result<Member, StoreError> {
    let columns = Columns::new(row, "member");
    Ok(Member {
        member_id: columns.id("id")?,
        account_id: columns.account_id("account_id")?,
        email: columns.get("email")?,
        role: columns.parsed("role", Role::from_name)?,
        created_at: columns.time("created_at")?,
    })
}

impl ReadTx {
    /// The account's oldest 1,000 members, oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_members(&mut self, account_id: &AccountId) -> Result<Vec<Member>, StoreError> {
        let statement = Statement::new(
            "SELECT id, account_id, email, role, created_at FROM members WHERE account_id = $1 ORDER BY id LIMIT $2",
        );
        self.fetch_all(statement.bind(account_number(account_id)).bind(MEMBERS_MAX))
            .await?
            .iter()
            .map(read_member)
            .collect()
    }
}

impl Tx {
    /// Makes a member.
    ///
    /// # Errors
    /// [`StoreError::EmailTaken`] where the account has a member with this address; [`StoreError::NotFound`] where
    /// there is no such account.
    pub async fn create_member(&mut self, new: &NewMember) -> Result<Member, StoreError> {
        let member_id = MemberId::from_uuid_bytes(new_id());
        let email = new.email.trim().to_lowercase();
        let statement = Statement::new(
            "INSERT INTO members (id, account_id, email, role, created_at) VALUES ($1, $2, $3, $4, $5)
             RETURNING id, account_id, email, role, created_at",
        )
        .bind(member_id.as_str())
        .bind(account_number(&new.account_id))
        .bind(email.as_str())
        .bind(new.role.name())
        .bind(self.now().as_micros());
        let row = self
            .insert_row(statement, |constraint| match constraint {
                Constraint::Unique => StoreError::EmailTaken { email: email.clone() },
                Constraint::ForeignKey => StoreError::NotFound { what: "account" },
            })
            .await?;
        read_member(&row)
    }
}
