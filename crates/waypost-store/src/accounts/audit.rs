//! The audit log: who changed what in an account, when and from where. An entry is written in the transaction of its change, and
//! never altered.
//!
//! An entry of a change of a link holds the link's version instead of its content, which is in the versions of the link.

use sqlx::any::AnyRow;
use waypost_core::id::{AccountId, AuditEntryId, LinkId};
use waypost_core::{LinkRecord, Timestamp};
use waypost_sql::{Statement, as_bigint};

use crate::error::StoreError;
use crate::links::record_json;
use crate::rows::{Columns, account_number, link_bytes, new_id};
use crate::tx::{ReadTx, Tx};

/// The most entries of one page.
pub const PAGE_AUDIT_ENTRIES_MAX: u32 = 1_000;

/// What an entry says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who made the change: `operator`, or the id of a person or API key.
    pub actor: String,
    /// What people call the actor, as it was then.
    pub actor_name: Option<String>,
    /// The address that the request came from, as far as the address policy allows to keep it.
    pub address: Option<String>,
    /// What was done: `link.create`.
    pub action: &'static str,
    /// The id of what was changed.
    pub object_id: Option<String>,
    /// The version that the change gave to a link.
    pub version: Option<u64>,
    /// What was there before, in JSON and without secrets.
    pub before: Option<String>,
    /// What is there now, in JSON and without secrets.
    pub after: Option<String>,
}

/// An entry as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAuditEntry {
    /// Its id: later entries have greater ones.
    pub audit_entry_id: AuditEntryId,
    /// What was done; a name of a newer release may be unknown here.
    pub action: String,
    /// The rest; `action` is empty here.
    pub entry: AuditEntry,
    /// When.
    pub created_at: Timestamp,
}

/// Which entries to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Only those of this action, or of all actions on one kind of object: `link.create`, `link`.
    pub action: Option<String>,
    /// Only those of the object with this id.
    pub object_id: Option<String>,
    /// Only those from this time on.
    pub from: Option<Timestamp>,
    /// Only those before this time.
    pub until: Option<Timestamp>,
    /// Only those before this entry, which ended the page before.
    pub before_entry: Option<AuditEntryId>,
}

fn read_entry(row: &AnyRow) -> Result<StoredAuditEntry, StoreError> {
    let columns = Columns::new(row, "audit entry");
    let id: Vec<u8> = columns.get("id")?;
    let id: [u8; 16] = id.try_into().map_err(|_| columns.corrupt("id", &"not 16 bytes"))?;
    let version: Option<i64> = columns.get("version")?;
    Ok(StoredAuditEntry {
        audit_entry_id: AuditEntryId::from_uuid_bytes(id),
        action: columns.get("action")?,
        created_at: columns.time("created_at")?,
        entry: AuditEntry {
            actor: columns.get("actor")?,
            actor_name: columns.get("actor_name")?,
            address: columns.get("address")?,
            action: "",
            object_id: columns.get("object_id")?,
            version: version.and_then(|version| u64::try_from(version).ok()),
            before: columns.get("before_change")?,
            after: columns.get("after_change")?,
        },
    })
}

/// The bytes of an entry's id; some before all others where the id was not created here.
fn entry_bytes(id: &AuditEntryId) -> Vec<u8> {
    let hex = id.as_str().split_once('_').map_or("", |(_, hex)| hex);
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap_or_default()
}

impl ReadTx {
    /// Entries of the account, newest first: at least 1 and at most 1,000.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_audit_entries(
        &mut self,
        account_id: &AccountId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<StoredAuditEntry>, StoreError> {
        let before = filter.before_entry.as_ref().map_or_else(|| vec![0xff; 17], entry_bytes);
        let statement = Statement::new(LIST_SQL)
            .bind(account_number(account_id))
            .bind(before)
            .bind(filter.actor.as_deref())
            .bind(filter.action.as_deref())
            .bind(filter.object_id.as_deref())
            .bind(filter.from.map_or(i64::MIN, Timestamp::as_micros))
            .bind(filter.until.map_or(i64::MAX, Timestamp::as_micros))
            .bind(i64::from(limit.clamp(1, PAGE_AUDIT_ENTRIES_MAX)));
        self.fetch_all(statement).await?.iter().map(read_entry).collect()
    }

    /// A link of the account as this version left it: `Some(None)` where it was deleted, `None` where that is not known.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn link_at_version(
        &mut self,
        account_id: &AccountId,
        link_id: &LinkId,
        version: u64,
    ) -> Result<Option<Option<LinkRecord>>, StoreError> {
        let statement = Statement::new(LINK_AT_VERSION_SQL)
            .bind(account_number(account_id))
            .bind(link_bytes(link_id))
            .bind(as_bigint(version));
        let row = self.fetch_optional(statement).await?;
        row.map(|row| record_json::read_optional(&Columns::new(&row, "version of link"))).transpose()
    }
}

impl Tx {
    /// Adds an entry of this account to the audit log, with the time of this transaction.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn add_audit_entry(&mut self, account_id: &AccountId, entry: &AuditEntry) -> Result<(), StoreError> {
        let statement = Statement::new(ADD_SQL)
            .bind(account_number(account_id))
            .bind(new_id().to_vec())
            .bind(entry.actor.as_str())
            .bind(entry.actor_name.as_deref())
            .bind(entry.address.as_deref())
            .bind(entry.action)
            .bind(entry.object_id.as_deref())
            .bind(entry.version.map(as_bigint))
            .bind(entry.before.as_deref())
            .bind(entry.after.as_deref())
            .bind(self.now().as_micros());
        self.execute(statement).await.map(drop)
    }
}

const ADD_SQL: &str = "INSERT INTO audit_entries
       (account_id, id, actor, actor_name, address, action, object_id, version, before_change, after_change, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// Entries before one, newest first.
const LIST_SQL: &str =
    "SELECT id, actor, actor_name, address, action, object_id, version, before_change, after_change, created_at
     FROM audit_entries
     WHERE account_id = $1 AND id < $2 AND actor = coalesce($3, actor)
       AND ($4 IS NULL OR action = $4 OR action LIKE $4 || '.%')
       AND ($5 IS NULL OR object_id = $5) AND created_at >= $6 AND created_at < $7
     ORDER BY id DESC LIMIT $8";

/// One version of a link.
const LINK_AT_VERSION_SQL: &str = "SELECT CASE WHEN l.deleted_at IS NULL THEN l.record END AS record
     FROM links AS l WHERE l.account_id = $1 AND l.id = $2 AND l.version = $3
     UNION ALL
     SELECT v.record FROM links AS l JOIN link_versions AS v ON v.link_id = l.id
     WHERE l.account_id = $1 AND l.id = $2 AND v.version = $3";
