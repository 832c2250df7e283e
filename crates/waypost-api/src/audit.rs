//! The audit log.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use waypost_core::Timestamp;
use waypost_core::id::AuditEntryId;

use crate::problem::{Invalid, ProblemCode};
use crate::read::{Parameters, QueryPairs, read_end, read_start};

/// Entries of a page where the caller does not say.
const PAGE_ENTRIES: u32 = 50;
/// The most entries of a page.
pub const PAGE_ENTRIES_MAX: u32 = 1_000;

/// One change: who, what, when and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Names it for good; later entries have greater ids.
    pub id: AuditEntryId,
    /// When the change was made.
    pub created_at: Timestamp,
    /// Who made it: `operator`, or the id of a person or API key.
    pub actor: String,
    /// What people called the actor then.
    pub actor_name: Option<String>,
    /// The address that the request came from, as far as the address policy allows to keep it.
    pub address: Option<String>,
    /// What was done, such as `link.create`.
    pub action: String,
    /// The id of what was changed.
    pub object_id: Option<String>,
    /// The version that a link has had since.
    pub version: Option<u64>,
    /// The fields that were changed, as they were before.
    pub before: Option<Value>,
    /// These fields as they have been since.
    pub after: Option<Value>,
}

/// A page of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// The newest first.
    pub items: Vec<AuditEntry>,
    /// What asks for the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// Which entries to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListAudit {
    /// Where the page before this one ended.
    pub cursor: Option<AuditEntryId>,
    /// How many at the most.
    pub limit: u32,
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Only those of this action, or of all actions on one kind of object: `link.create`, `link`.
    pub action: Option<String>,
    /// Only those of the object with this id.
    pub object_id: Option<String>,
    /// Only those from this time on.
    pub from: Option<Timestamp>,
    /// Only those before this time.
    pub to: Option<Timestamp>,
}

impl ListAudit {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// Every parameter that is at fault.
    pub fn read(pairs: QueryPairs, now: Timestamp) -> Result<Self, Invalid> {
        let mut parameters = Parameters::of(pairs);
        let is_action = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_'));
        let asked = Self {
            cursor: parameters.read("cursor", ProblemCode::BadRequest, |text| {
                text.parse().map_err(|_| "is not one of this list".to_owned())
            }),
            limit: parameters.limit(ProblemCode::BadRequest, PAGE_ENTRIES_MAX).unwrap_or(PAGE_ENTRIES),
            actor: parameters.text("actor"),
            action: parameters.read("action", ProblemCode::BadRequest, |text| {
                let wanted = || "must be an action such as link.create, or a kind of object such as link".to_owned();
                is_action(text).then(|| text.to_owned()).ok_or_else(wanted)
            }),
            object_id: parameters.text("object_id"),
            from: parameters.read("from", ProblemCode::RangeInvalid, |text| read_start(text, &TimeZone::UTC, now, now)),
            to: parameters.read("to", ProblemCode::RangeInvalid, |text| read_end(text, &TimeZone::UTC, now)),
        };
        parameters.finish().map(|()| asked)
    }
}
