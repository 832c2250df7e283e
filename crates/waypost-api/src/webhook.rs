//! Signed deliveries: clicks of other edges, and passwords that their visitors typed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::problem::{Invalid, ProblemCode};

/// What became of a delivery of clicks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeliveryResult {
    /// One for each event, in their order.
    pub results: Vec<EventResult>,
    /// Events that were counted.
    pub counted: u64,
    /// Events that had been counted before.
    pub duplicates: u64,
    /// Events that were not counted.
    pub refused: u64,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventResult {
    /// What it calls itself, where it does.
    pub event_id: Option<String>,
    /// `counted`, `duplicate` or `refused`.
    pub result: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An attempt to unlock a link. Has no debug output, for it carries a password.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnlockAttempt {
    /// The host; empty for the default domain.
    #[serde(default)]
    pub domain: String,
    /// The path as the visitor asked for it, percent-encoded, with its leading `/`.
    pub path: String,
    /// What the visitor typed.
    pub password: String,
    /// The visitor's; attempts without one share an allowance.
    #[serde(default)]
    pub address: Option<IpAddr>,
}

impl UnlockAttempt {
    /// Reads a request's body. The reader's own words may repeat a value, and with it the password: they are left out.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn read(body: &[u8]) -> Result<Self, Invalid> {
        serde_json::from_slice(body).map_err(|error| {
            let wanted = "an object with the texts `path` and `password`, and perhaps `domain` and `address`";
            match error.is_data() {
                true => Invalid::new(ProblemCode::InvalidField, format!("the body must be {wanted}")),
                false => Invalid::new(ProblemCode::BadJson, "the body is not JSON"),
            }
        })
    }
}

/// What became of an attempt to unlock a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnlockVerdict {
    /// `granted`, `refused`, `throttled`, `not_found`, `gone` or `not_locked`.
    pub outcome: String,
    /// When to try again, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}
