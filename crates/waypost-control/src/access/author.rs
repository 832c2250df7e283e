//! Entries of the audit log: who made a change, and what it changed.

use serde::Serialize;
use serde_json::{Map, Value, json};
use waypost_core::id::LinkId;
use waypost_store::{AuditEntry, CreateOutcome};

use crate::access::operation::Operation;

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
pub(crate) fn difference(before: &impl Serialize, after: &impl Serialize) -> (Map<String, Value>, Map<String, Value>) {
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
