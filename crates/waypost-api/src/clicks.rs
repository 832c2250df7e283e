//! Raw clicks: listing, the live feed, erasure, and the audit.

mod audit;
mod query;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waypost_core::Timestamp;
use waypost_core::click::ClickEvent;

pub use audit::{AuditTotals, ClickAudit, EpochAudit, LostClicks, SpoolAudit};
pub use query::{FollowClicks, ListClicks, ListRefused, PAGE_CLICKS, PAGE_CLICKS_MAX, PAGE_REFUSED_MAX};

use crate::problem::{FieldError, Invalid};
use crate::read::Fields;

/// The most days raw clicks can be kept by choice.
const RETENTION_DAYS_MAX: u64 = 36_500;

/// A page of clicks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClickPage {
    /// The newest first.
    pub clicks: Vec<ClickEvent>,
    /// What asks for the next page; `null` at the end.
    pub next_cursor: Option<String>,
    /// Clicks of this page whose stored bytes are damaged; they are left out.
    pub damaged: u64,
}

/// Clicks that a live feed has passed over, because they came faster than its reader took them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MissedClicks {
    /// How many; `null` where that is not known.
    pub clicks: Option<u64>,
}

/// What was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Erased {
    /// Raw clicks deleted; clicks that were pruned before are counted out of the totals without being among these.
    pub deleted: u64,
}

/// For how long raw clicks are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Retention {
    /// As the account has chosen; `null` for the instance's default.
    pub days: Option<u32>,
    /// Why clicks are not deleted by what the clock shows; absent where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// For how long raw clicks are to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetRetention {
    /// `None` for the instance's default.
    pub days: Option<u32>,
}

impl SetRetention {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Every field that is at fault.
    pub fn read(object: Map<String, Value>) -> Result<Self, Invalid> {
        let mut fields = Fields::of(object);
        let days = match fields.take("days") {
            Some(Value::Null) => None,
            Some(Value::Number(days)) if days.as_u64().is_some_and(|days| (1..=RETENTION_DAYS_MAX).contains(&days)) => {
                days.as_u64().and_then(|days| u32::try_from(days).ok())
            }
            Some(_) | None => {
                let wanted = format!("a whole number from 1 to {RETENTION_DAYS_MAX}, or null");
                fields.refuse(FieldError::invalid("days", &wanted));
                None
            }
        };
        fields.finish().map(|()| Self { days })
    }
}

/// A page of events that were refused, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefusedPage {
    /// The events.
    pub events: Vec<RefusedEvent>,
    /// What asks for the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// An event that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefusedEvent {
    /// When it came first.
    pub received_at: Timestamp,
    /// The edge that it says it comes from.
    pub edge_id: String,
    /// Why it was not counted.
    pub reason: String,
    /// Its JSON as text, without what says who the visitor was; cut where it is long.
    pub event: String,
}
