//! The audit log: every change is written to it in its own transaction, and the administrators of an account read it.

use serde::Serialize;
use serde_json::{Map, Value, json};
use waypost_api::audit::{self as api, AuditPage, ListAudit};
use waypost_api::link::LinkFields;
use waypost_core::id::{AccountId, LinkId};
use waypost_store::{AuditEntry, AuditFilter, CreateOutcome, ReadTx, StoreError, StoredAuditEntry, Tx};

use crate::access::caller::Caller;
use crate::access::operation::Operation;
use crate::app::App;
use crate::problem::Problem;

const _: () = assert!(api::PAGE_ENTRIES_MAX == waypost_store::PAGE_AUDIT_ENTRIES_MAX);

/// Who makes a change, as the versions of links and the audit log have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    /// `operator`, `anonymous`, or the id of a person or API key.
    pub(crate) id: String,
    /// What people call the author.
    pub(crate) name: Option<String>,
    /// The address of the request, as far as the address policy allows to keep it.
    pub(crate) address: Option<String>,
}

/// What an operation has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The id of what was changed.
    pub(crate) object_id: Option<String>,
    /// The version that a link has had since; its content is in its versions.
    pub(crate) version: Option<u64>,
    before: Option<String>,
    after: Option<String>,
}

impl Author {
    /// Those who create links without an API key.
    pub(crate) fn anonymous() -> Self {
        Self { id: "anonymous".to_owned(), name: None, address: None }
    }

    /// The entry of a change by this author.
    pub(crate) fn entry(&self, operation: Operation, changed: Changed) -> AuditEntry {
        AuditEntry {
            actor: self.id.clone(),
            actor_name: self.name.clone(),
            address: self.address.clone(),
            action: operation.requirement().name,
            object_id: changed.object_id,
            version: changed.version,
            before: changed.before,
            after: changed.after,
        }
    }
}

impl Changed {
    /// A link, which has this version since.
    pub(crate) fn link(link_id: &LinkId, version: u64) -> Self {
        Self { object_id: Some(link_id.as_str().to_owned()), version: Some(version), ..Self::default() }
    }

    /// Something that was not there before.
    pub(crate) fn created(id: &str, after: &impl Serialize) -> Self {
        let after = json(after);
        Self { object_id: Some(id.to_owned()), after, ..Self::default() }
    }

    /// Something that is not there any more.
    pub(crate) fn deleted(id: &str, before: &impl Serialize) -> Self {
        let before = json(before);
        Self { object_id: Some(id.to_owned()), before, ..Self::default() }
    }

    /// Something that is different now: only the fields that differ are kept.
    pub(crate) fn updated(id: &str, before: &impl Serialize, after: &impl Serialize) -> Self {
        let (before, after) = difference(before, after);
        Self { object_id: Some(id.to_owned()), before: json(&before), after: json(&after), version: None }
    }

    /// Something without a state of its own that is kept here.
    pub(crate) fn done(object_id: Option<&str>, what: &impl Serialize) -> Self {
        Self { object_id: object_id.map(str::to_owned), after: json(what), ..Self::default() }
    }
}

/// The links that one request has created; `None` where there are none.
pub(crate) fn created_links(outcomes: &[CreateOutcome]) -> Option<Changed> {
    let created = outcomes.iter().filter_map(|outcome| match outcome {
        CreateOutcome::Created { link_id, version, .. } => Some((link_id, *version)),
        _ => None,
    });
    let created: Vec<_> = created.collect();
    match created.as_slice() {
        [] => None,
        [(link_id, version)] => Some(Changed::link(link_id, *version)),
        [(first, _), .., (last, _)] => {
            let what = json!({ "links": created.len(), "first_link_id": first, "last_link_id": last });
            Some(Changed::done(None, &what))
        }
    }
}

fn json(value: &impl Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}

/// The fields in which two objects differ, as each of them has them.
fn difference(before: &impl Serialize, after: &impl Serialize) -> (Map<String, Value>, Map<String, Value>) {
    let object = |value: Result<Value, _>| match value {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => Map::new(),
    };
    let (mut before, mut after) = (object(serde_json::to_value(before)), object(serde_json::to_value(after)));
    let equal: Vec<String> =
        before.iter().filter(|(name, value)| after.get(*name) == Some(*value)).map(|(name, _)| name.clone()).collect();
    for name in equal {
        before.remove(&name);
        after.remove(&name);
    }
    (before, after)
}

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
        let is_full = entries.len() == limit as usize;
        let next_cursor = entries.last().filter(|_| is_full).map(|last| last.audit_entry_id.to_string());
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            items.push(show(&mut tx, &caller.account_id, entry).await?);
        }
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
        Ok(tx.link_at_version(account_id, link_id, version).await?.flatten().map(LinkFields::from))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_kept() {
        let before = json!({"a": 1, "b": [1], "c": null});
        let after = json!({"a": 2, "b": [1], "d": "x"});
        let changed = Changed::updated("key_1", &before, &after);
        assert_eq!(changed.before.as_deref(), Some(r#"{"a":1,"c":null}"#));
        assert_eq!(changed.after.as_deref(), Some(r#"{"a":2,"d":"x"}"#));
    }
}
