//! The audit log: every change is written to it in its own transaction, and the administrators of an account read it.

use serde_json::Value;
use waypost_api::audit::{self as api, AuditPage, ListAudit};
use waypost_api::link::LinkFields;
use waypost_core::id::{AccountId, LinkId};
use waypost_store::{AuditFilter, ReadTx, SqlError, StoreError, StoredAuditEntry, Tx};

use crate::access::author::{Changed, difference};
use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::problem::Problem;

const _: () = assert!(api::PAGE_ENTRIES_MAX == waypost_store::PAGE_AUDIT_ENTRIES_MAX);

/// A page ends early after an entry with which it is larger than this as JSON: links may be large, and have many versions.
const PAGE_BYTES_MAX: usize = 4 << 20;

impl Caller {
    /// Adds a change by this caller to the audit log of its account, in the transaction of the change.
    pub(crate) async fn record(&self, tx: &mut Tx, operation: Operation, changed: Changed) -> Result<(), StoreError> {
        tx.add_audit_entry(&self.account_id, &self.author.entry(operation, changed)).await
    }
}

impl App {
    /// Adds a change outside the links' database to the audit log, before it is made.
    pub(crate) async fn record_ahead(
        &self,
        caller: &Caller,
        operation: Operation,
        changed: Changed,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin("record_ahead").await?;
        caller.record(&mut tx, operation, changed).await?;
        tx.commit().await
    }

    /// A page of the audit log of the caller's account, newest first.
    ///
    /// # Errors
    /// Where the caller may not, or the database fails.
    pub async fn list_audit(&self, caller: &Caller, asked: ListAudit) -> Result<AuditPage, Problem> {
        caller.may(Operation::ReadAuditLog)?;
        let ListAudit { cursor, limit, actor, action, object_id, from, to } = asked;
        let filter = AuditFilter { actor, action, object_id, from, until: to, before_entry: cursor };
        let mut tx = self.store.read("list_audit").await?;
        let entries = tx.list_audit_entries(&caller.account_id, &filter, limit).await?;
        let mut is_more = entries.len() == limit as usize;
        let mut items = Vec::with_capacity(entries.len());
        let (mut left, mut bytes) = (entries.len(), 0);
        for entry in entries {
            let item = show(&mut tx, &caller.account_id, entry).await?;
            bytes += serde_json::to_vec(&item).map_or(0, |json| json.len());
            items.push(item);
            left -= 1;
            if bytes > PAGE_BYTES_MAX && left > 0 {
                is_more = true;
                break;
            }
        }
        let next_cursor = items.last().filter(|_| is_more).map(|last| last.id.to_string());
        Ok(AuditPage { items, next_cursor })
    }
}

/// An entry as the API shows it; what was changed of a link comes from its versions.
async fn show(tx: &mut ReadTx, account_id: &AccountId, stored: StoredAuditEntry) -> Result<api::AuditEntry, Problem> {
    let StoredAuditEntry { audit_entry_id, action, entry, created_at } = stored;
    let link_id = entry.object_id.as_deref().and_then(|id| id.parse::<LinkId>().ok());
    let (before, after) = match (link_id, entry.version) {
        (Some(link_id), Some(version)) => link_difference(tx, account_id, &link_id, version).await?,
        _ => (read(entry.before.as_deref()), read(entry.after.as_deref())),
    };
    Ok(api::AuditEntry {
        id: audit_entry_id,
        created_at,
        actor: entry.actor,
        actor_name: entry.actor_name,
        address: entry.address,
        action,
        object_id: entry.object_id,
        version: entry.version,
        before,
        after,
    })
}

fn read(text: Option<&str>) -> Option<Value> {
    serde_json::from_str(text?).ok()
}

/// In which fields a version of a link differs from the one before.
async fn link_difference(
    tx: &mut ReadTx,
    account_id: &AccountId,
    link_id: &LinkId,
    version: u64,
) -> Result<(Option<Value>, Option<Value>), Problem> {
    let mut at = async |version: u64| -> Result<Option<LinkFields>, StoreError> {
        match tx.link_at_version(account_id, link_id, version).await {
            // What cannot be read any more is not shown, and hides no other entry.
            Err(StoreError::Sql(SqlError::Corrupt { .. })) => Ok(None),
            found => Ok(found?.flatten().map(LinkFields::from)),
        }
    };
    let (before, after) = match version {
        0 => (None, None),
        _ => (at(version - 1).await?, at(version).await?),
    };
    let whole = |fields: &LinkFields| serde_json::to_value(fields).ok();
    Ok(match (before, after) {
        (Some(before), Some(after)) => {
            let (before, after) = difference(&before, &after);
            (Some(before.into()), Some(after.into()))
        }
        (before, after) => (before.as_ref().and_then(whole), after.as_ref().and_then(whole)),
    })
}
