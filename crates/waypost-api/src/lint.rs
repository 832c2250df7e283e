//! What is odd about a link that is valid: findings for people, with codes for programs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waypost_core::LinkRecord;

use crate::decide::take_record;
use crate::problem::Invalid;
use crate::read::Fields;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FindingCode {
    /// The link has expired already.
    Expired,
    /// No visit can match the rule.
    NeverTrue,
    /// A rule matches every visit, so no rule after it applies.
    Unreachable,
    /// An earlier rule matches every visit that this one matches.
    Shadowed,
    /// An earlier rule of the same kind matches some of the visits that this one matches.
    Overlapping,
    /// A destination leads back to this instance.
    Loop,
    /// A destination is not encrypted.
    Http,
    /// A destination is so long that proxies refuse it.
    LongDestination,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FindingLevel {
    /// Probably a mistake. Each save answers with these.
    Warning,
    /// Perhaps meant so.
    Note,
}

/// Something odd about a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// What it is about.
    pub code: FindingCode,
    /// How much it matters.
    pub level: FindingLevel,
    /// The field, as a path: `rules[1].when`.
    pub field: String,
    /// The earlier rule that has to do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// What is odd, for people.
    pub detail: String,
}

impl Finding {
    /// The finding as one line.
    pub fn to_text(&self) -> String {
        format!("{}: {}", self.field, self.detail)
    }
}

/// The findings about a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Findings {
    /// In the order of the record's fields.
    pub findings: Vec<Finding>,
}

/// Reads a request to check a record: `{"record": {...}}`.
///
/// # Errors
/// Every field that is at fault.
pub fn read_lint(object: Map<String, Value>) -> Result<LinkRecord, Invalid> {
    let mut fields = Fields::of(object);
    let record = take_record(&mut fields);
    fields.finish()?;
    record.map(|(record, _)| record).ok_or_else(|| Invalid::of_fields(Vec::new()))
}
